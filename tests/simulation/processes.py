"""Our processes in a history: the real doors over connections and networks that the history owns. They die and return.

A process that died lost everything it had in memory. What its actors would have done does not happen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, LiteralString

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.balances import BalanceWatch
from adapters.daraja.client import DarajaRail
from adapters.daraja.collections import DarajaCollections
from adapters.daraja.credentials import ConstantSecrets, DarajaAccess, DarajaSecrets
from adapters.daraja.session import DarajaSession
from adapters.dispatch import Dispatcher, DispatchSettings, Errand
from adapters.inbound import Inbound
from adapters.inquiry import Inquiry
from adapters.provider import PayoutRail
from adapters.resubmission import Resubmission
from adapters.sandbox.credentials import make_certificate
from adapters.silence import SilenceWatch
from adapters.submission import Submission
from adapters.transport import Secret
from adapters.webhooks import Deliverer, DelivererSettings
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.outbox import queue
from ledger.outcomes import OutcomeRecorder
from ledger.parties import PartyKeys
from ledger.payouts.limits import RailLimits
from ledger.sealing import Sealer
from ledger.webhooks.deliveries import RetryPolicy
from tests.simulation.books import SECRET
from tests.simulation.clock import START, SkewedClock
from tests.simulation.daraja import SHORTCODE
from tests.simulation.network import ReceiverLine
from tests.simulation.options import Kind, Options
from tests.simulation.parts_of_money_in import MoneyIn
from tests.simulation.postgres import Engines

LEASE = timedelta(minutes=10)
RESULT_DEADLINE = timedelta(minutes=15)
SCHEDULE = [timedelta(seconds=seconds) for seconds in (60, 300, 1_800, 7_200)]
PATIENCE = timedelta(minutes=10)
BALANCE_INTERVAL = timedelta(minutes=5)
WEBHOOK_RESTS = tuple(timedelta(seconds=s) for s in (5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
CONFIRM_ABOVE = 200_000
# Receipts above are given to nobody before the provider, asked, has confirmed them.
VERIFY_ABOVE = 100_000
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

    @property
    def money_in(self) -> MoneyIn:
        """The doors for money in."""
        found: MoneyIn = self.parts["money in"]
        return found

    def _make(self) -> dict[str, Any]:
        session = self._session()
        rails: dict[str, PayoutRail] = {"daraja": DarajaRail(session)}
        shared: dict[str, Any] = {"engine": self.engine, "ids": self.ids, "now": self.clock.now}
        keys, sealer = PartyKeys(SECRET), Sealer(SECRET, purpose="inbox messages")
        money_in = MoneyIn(
            secret=SECRET,
            rails={"daraja": DarajaCollections(session, now=self.clock.now)},
            limits=LIMITS,
            directory=self.directory,
            tokens=self._token,
            public_url=PUBLIC_URL,
            dispatching=self._dispatching(),
            schedule=SCHEDULE,
            verify_above=VERIFY_ABOVE if self.surroundings.options.verifies else None,
            **shared,
        )
        return {
            "dispatcher": self._dispatcher(rails, keys, shared),
            "inbound": Inbound(
                rails=rails,
                party_keys=keys,
                sealer=sealer,
                recorder=self.recorder,
                collections=money_in.judge(),
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
            "money in": money_in,
            **money_in.parts(),
        }

    def _session(self) -> DarajaSession:
        options = self.surroundings.options
        access = DarajaAccess(
            base_url="https://daraja.example.com",
            initiator_name="daftari_api",
            certificate=_CERTIFICATE.pem.encode(),
            shortcode=SHORTCODE,
            api_version="v3" if options.refuses_repeats else "v1",
            resubmits=options.refuses_repeats,
        )
        secrets = DarajaSecrets(Secret("key"), Secret("secret"), Secret("Password#1"), Secret("passkey"))
        client = httpx.AsyncClient(transport=self.surroundings.provider, base_url=access.base_url)
        return DarajaSession(access, secrets=ConstantSecrets(secrets), client=client, monotonic=self.clock.monotonic)

    def _dispatching(self) -> DispatchSettings:
        return DispatchSettings(
            public_url=PUBLIC_URL, lease=LEASE, calls_max=self.surroundings.options.calls_max, rails=("daraja",)
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
        return Dispatcher(errands=errands, tokens=self._token, settings=self._dispatching(), **shared)

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


async def ask_phones(process: Process) -> int:
    """One step of prompting and asking about prompts."""
    done: int = await process.parts["prompter"].step()
    return done


async def send_back(process: Process) -> int:
    """One step of returning money."""
    done: int = await process.parts["returner"].step()
    return done


async def check_receipts(process: Process) -> int:
    """One step of asking what became of receipts."""
    done: int = await process.parts["checker"].step()
    return done


async def list_receipts(process: Process) -> int:
    """One step of asking what no callback told of."""
    done: int = await process.parts["recovery"].step()
    return done


async def end_waiting(process: Process) -> int:
    """One step of ending the waits of receipts and orders."""
    done: int = await process.parts["waiting"].step()
    return done


async def work_days(process: Process) -> int:
    """One step of the work of days of loans."""
    done: int = await process.parts["loans"].step()
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
# When they have something to do next.
DUE: LiteralString = """
SELECT 'dispatch', min(due_at) FROM instructions WHERE done_at IS NULL AND kind LIKE 'payout.%%'
UNION ALL SELECT 'judge', min(due_at) FROM inbox WHERE judged_at IS NULL
UNION ALL SELECT 'webhooks', min(greatest(d.due_at, coalesce(d.leased_until, d.due_at))) FROM webhook_deliveries AS d
    JOIN webhook_endpoints AS e ON e.ledger_id = d.ledger_id AND e.id = d.endpoint_id
    WHERE d.state = 'PENDING' AND e.probe_at IS NULL
UNION ALL SELECT 'webhooks', min(e.probe_at) FROM webhook_endpoints AS e WHERE EXISTS (
    SELECT FROM webhook_deliveries AS d WHERE d.endpoint_id = e.id AND d.state = 'PENDING')
UNION ALL SELECT 'silence', min(updated_at) + %(patience)s FROM payouts WHERE state = 'SUBMITTED'
"""
ALL_WORKS: dict[str, Work] = {
    **WORKS,
    "prompts": ask_phones,
    "returns": send_back,
    "checks": check_receipts,
    "receipts": list_receipts,
    "waiting": end_waiting,
    "loans": work_days,
}


def works_of(kind: Kind) -> dict[str, Work]:
    """What a worker does in a history of a kind."""
    return WORKS if kind is Kind.PAYOUTS else ALL_WORKS
