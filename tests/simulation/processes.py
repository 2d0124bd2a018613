"""Our processes in a history: the real doors over connections and networks that the history owns. They die and return.

A process that died lost everything it had in memory. What its actors would have done does not happen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.balances import BalanceWatch
from adapters.daraja.client import DarajaRail
from adapters.daraja.credentials import ConstantSecrets, DarajaAccess, DarajaSecrets
from adapters.daraja.session import DarajaSession
from adapters.dispatch import Dispatcher, DispatchSettings, Errand
from adapters.inbound import Inbound
from adapters.inquiry import Inquiry
from adapters.prompt_judging import PromptJudge
from adapters.provider import PayoutRail
from adapters.receiving import CollectionJudge
from adapters.resubmission import Resubmission
from adapters.sandbox.credentials import make_certificate
from adapters.silence import SilenceWatch
from adapters.submission import Submission
from adapters.transport import Secret
from adapters.webhooks import Deliverer, DelivererSettings
from ledger.collections.reference import ReceiptKeys
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.outbox import queue
from ledger.outcomes import OutcomeRecorder
from ledger.parties import PartyKeys
from ledger.payouts.limits import RailLimits
from ledger.prompts import PromptRecorder
from ledger.receiving import ReceiptRecorder, open_recorder
from ledger.sealing import Sealer
from ledger.webhooks.deliveries import RetryPolicy
from tests.simulation.books import SECRET
from tests.simulation.clock import START, SkewedClock
from tests.simulation.daraja import SHORTCODE
from tests.simulation.network import ReceiverLine
from tests.simulation.options import Options
from tests.simulation.postgres import Engines

LEASE = timedelta(minutes=10)
RESULT_DEADLINE = timedelta(minutes=15)
SCHEDULE = [timedelta(seconds=seconds) for seconds in (60, 300, 1_800, 7_200)]
PATIENCE = timedelta(minutes=10)
BALANCE_INTERVAL = timedelta(minutes=5)
WEBHOOK_RESTS = tuple(timedelta(seconds=s) for s in (5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
CONFIRM_ABOVE = 200_000
LIMITS = {"daraja": {"KES": RailLimits(step=100, minimum=1_000, maximum=25_000_000)}}
PUBLIC_URL = "https://edge.example.com"
_CERTIFICATE = make_certificate(START)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every process of a history is given."""

    options: Options
    engines: Engines
    provider: httpx.AsyncBaseTransport
    receivers: ReceiverLine
    chance: random.Random


@dataclass(slots=True, kw_only=True)
class Process:
    """One process of ours. `parts` are made anew whenever it starts."""

    name: str
    clock: SkewedClock
    surroundings: Surroundings
    engine: AsyncEngine = field(init=False)
    ids: IdSource = field(init=False)
    directory: AccountDirectory = field(init=False)
    parts: Mapping[str, Any] = field(init=False)
    starts: int = 0

    def start(self) -> None:
        """Everything in memory is new."""
        self.starts += 1
        around = self.surroundings
        self.engine = around.engines.of(self.name)
        self.ids = IdSource(random.Random(around.chance.getrandbits(64)))
        self.directory = AccountDirectory()
        self.parts = self._make()

    async def die(self) -> None:
        """Nothing of it is left: neither tries under way nor connections."""
        tries: set[asyncio.Task[None]] = self.parts["deliverer"]._under_way
        for one in tries:
            one.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
        await self.engine.dispose()

    @property
    def recorder(self) -> OutcomeRecorder:
        """The door for outcomes."""
        return OutcomeRecorder(directory=self.directory, ids=self.ids, query_after=SCHEDULE[0])

    @property
    def inbound(self) -> Inbound:
        """The inbound door."""
        found: Inbound = self.parts["inbound"]
        return found

    def _make(self) -> dict[str, Any]:
        rails: dict[str, PayoutRail] = {"daraja": self._rail()}
        shared: dict[str, Any] = {"engine": self.engine, "ids": self.ids, "now": self.clock.now}
        keys, sealer = PartyKeys(SECRET), Sealer(SECRET, purpose="inbox messages")
        return {
            "dispatcher": self._dispatcher(rails, keys, shared),
            "inbound": Inbound(
                rails=rails,
                party_keys=keys,
                sealer=sealer,
                recorder=self.recorder,
                collections=CollectionJudge(
                    rails={}, recorder=self._receipt_recorder(), judges=[self._prompt_judge(keys)]
                ),
                confirm_above=CONFIRM_ABOVE if self.surroundings.options.confirms else None,
                **shared,
            ),
            "silence": SilenceWatch(
                engine=self.engine, recorder=self.recorder, now=self.clock.now, patience=RESULT_DEADLINE
            ),
            "balances": BalanceWatch(
                rails=rails, tokens=self._token, public_url=PUBLIC_URL, interval=BALANCE_INTERVAL, **shared
            ),
            "deliverer": self._deliverer(shared),
        }

    def _prompt_judge(self, keys: PartyKeys) -> PromptJudge:
        recorder = PromptRecorder(
            receipts=self._receipt_recorder(), keys=ReceiptKeys(SECRET), party_keys=keys, ids=self.ids
        )
        return PromptJudge(rails={}, recorder=recorder)

    def _receipt_recorder(self) -> ReceiptRecorder:
        return open_recorder(keys=ReceiptKeys(SECRET), directory=self.directory, ids=self.ids)

    def _rail(self) -> DarajaRail:
        options = self.surroundings.options
        access = DarajaAccess(
            base_url="https://daraja.example.com",
            initiator_name="daftari_api",
            certificate=_CERTIFICATE.pem.encode(),
            shortcode=SHORTCODE,
            api_version="v3" if options.refuses_repeats else "v1",
            resubmits=options.refuses_repeats,
        )
        secrets = DarajaSecrets(Secret("key"), Secret("secret"), Secret("Password#1"))
        client = httpx.AsyncClient(transport=self.surroundings.provider, base_url=access.base_url)
        return DarajaRail(
            DarajaSession(access, secrets=ConstantSecrets(secrets), client=client, monotonic=self.clock.monotonic)
        )

    def _dispatcher(self, rails: dict[str, PayoutRail], keys: PartyKeys, shared: dict[str, Any]) -> Dispatcher:
        inquiry = Inquiry(
            rails=rails,
            recorder=self.recorder,
            ids=self.ids,
            now=self.clock.now,
            schedule=SCHEDULE,
            patience=PATIENCE,
        )
        sending: dict[str, Any] = {
            "rails": rails, "party_keys": keys, "recorder": self.recorder, "now": self.clock.now,
        }  # fmt: skip
        errands: dict[str, Errand] = {
            queue.SUBMIT: Submission(**sending),
            queue.RESUBMIT: Resubmission(**sending),
            queue.QUERY: inquiry,
        }
        settings = DispatchSettings(
            public_url=PUBLIC_URL, lease=LEASE, calls_max=self.surroundings.options.calls_max, rails=("daraja",)
        )
        return Dispatcher(errands=errands, tokens=self._token, settings=settings, **shared)

    def _deliverer(self, shared: dict[str, Any]) -> Deliverer:
        rests = WEBHOOK_RESTS[:0] if "webhook-retries" in self.surroundings.options.without else WEBHOOK_RESTS
        retry = RetryPolicy(
            rests=rests,
            probe=timedelta(minutes=10),
            randomness=random.Random(self.surroundings.chance.getrandbits(64)),
        )
        return Deliverer(
            egress=self.surroundings.receivers,
            sealer=Sealer(SECRET, purpose="webhook secrets"),
            retry=retry,
            settings=DelivererSettings(calls_max=1, endpoint_calls_max=1, lease=timedelta(seconds=90)),
            **shared,
        )

    def _token(self) -> str:
        return f"{self.surroundings.chance.getrandbits(256):064x}"


Work = Callable[[Process], Coroutine[Any, Any, int]]


async def dispatch(process: Process) -> int:
    """One step of sending; each says how much there was to do."""
    done: int = await process.parts["dispatcher"].step()
    return done


async def judge(process: Process) -> int:
    """One step of judging."""
    return await process.inbound.step(limit=10)


async def call_silence(process: Process) -> int:
    """One step of calling silence unknown."""
    done: int = await process.parts["silence"].step()
    return done


async def watch_balances(process: Process) -> int:
    """One step of asking for balances."""
    done: int = await process.parts["balances"].step()
    return done


async def deliver(process: Process) -> int:
    """One step of telling partners, with the tries it began."""
    deliverer: Deliverer = process.parts["deliverer"]
    begun = await deliverer.step()
    await deliverer.drain()
    return begun


WORKS: dict[str, Work] = {
    "dispatch": dispatch,
    "judge": judge,
    "silence": call_silence,
    "balances": watch_balances,
    "webhooks": deliver,
}
