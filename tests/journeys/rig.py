"""All that a payout passes through, wired for tests: a shop, the doors, the Daraja adapter, the sandbox, the callback
edge. The clock stands still until a test moves it.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import cast

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.daraja.client import DarajaRail
from adapters.daraja.collections import DarajaCollections
from adapters.daraja.credentials import DarajaSettings
from adapters.daraja.session import open_session
from adapters.dispatch import Dispatcher
from adapters.inbound import Inbound
from adapters.judging import RESTS
from adapters.listener import Listener
from adapters.provider import CallbackUrls, PayoutRail
from adapters.sandbox.credentials import Certificate, make_certificate
from adapters.sandbox.server import SandboxServer
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.world import Fate, SeenRequest
from adapters.transport import HttpLimits, Secret
from api.http import callbacks
from api.profile import Profile
from api.rails import shipped_tariffs
from api.settings import Settings
from api.wiring import WorkerApplication
from ledger.database import driver, run
from ledger.parties import PartyKeys
from ledger.payouts import switches
from ledger.sealing import Sealer
from tests.journeys.observed import ObservedRail
from tests.ledger.payouts.shop import MOMENT, SECRET, Clock, Shop, open_shop

LEASE_SECONDS = 60
CALLS_MAX = 16
RESULT_DEADLINE_SECONDS = 900
SEALER = Sealer(SECRET, purpose="inbox messages")


@dataclass(kw_only=True)
class Rig(Shop):
    """A shop and the machinery around it. `dispatcher` and `inbound` are one worker; `application` makes others."""

    application: WorkerApplication
    rail: ObservedRail
    sandbox: SandboxServer
    dispatcher: Dispatcher
    prompter: Dispatcher
    returner: Dispatcher
    checker: Dispatcher
    inbound: Inbound
    public_url: str
    sandbox_url: str

    def another_dispatcher(self) -> Dispatcher:
        """The dispatcher of another worker."""
        return self.application.dispatcher(public_url=self.public_url)

    def _doors(self) -> tuple[Dispatcher, ...]:
        return (self.dispatcher, self.prompter, self.returner, self.checker)

    async def work_until_quiet(self) -> None:
        """Dispatches and judges until no instruction is due, no callback is on its way and none awaits judgement."""
        while True:
            sent = sum([await door.step() for door in self._doors()])
            await self.sandbox.idle()
            judged = await self.inbound.step(limit=100)
            if not sent and not judged:
                return

    async def judge_for_good(self) -> None:
        """Judges what is stored, over and over while the clock runs past every rest that a message may be put to."""
        for rest in (timedelta(0), *RESTS):
            self.clock.advance(seconds=rest.total_seconds())
            while await self.inbound.step(limit=256):
                pass

    async def resume(self) -> bool:
        """An operator mends our access to the rail, if it was stopped for that, and lets it go on."""

        async def command(connection: AsyncConnection) -> bool:
            session = await driver(connection)
            stopped = bool(await switches.stopped_rails(session, ledger_id=self.ledger.id))
            if stopped:
                await switches.resume_rail(
                    session, ledger_id=self.ledger.id, rail="daraja", actor="amina", now=self.now()
                )
            return stopped

        return await run(self.engine, command)

    async def work_through(self) -> None:
        """Works until quiet, with an operator who resumes the rail whenever the provider refused our access."""
        await self.work_until_quiet()
        while await self.resume():
            await self.work_until_quiet()

    async def fall_silent(self) -> None:
        """Lets the deadline of results pass and calls what was not heard of unknown."""
        self.clock.advance(seconds=RESULT_DEADLINE_SECONDS + 1)
        await self.application.silence_watch().step()

    async def urls(self, payout_id: int) -> CallbackUrls:
        """Where the provider was last told to call back about the payout."""
        return self.rail.urls[(await self.payout(payout_id)).provider_reference][-1]

    async def conversation(self, payout_id: int) -> str:
        """What the provider calls the payout it took in."""
        found = await self.rows(
            "SELECT value FROM provider_references WHERE ledger_id = :ledger AND payout_id = :payout "
            "AND kind = 'daraja.conversation_id'",
            payout=payout_id,
        )
        return str(found[0][0])

    async def call_back(self, payout_id: int, body: bytes, *, kind: str = "result") -> None:
        """Stores a callback on the payout's own path, as the edge would."""
        urls = await self.urls(payout_id)
        token = (urls.result_url if kind == "result" else urls.timeout_url).rpartition("/")[2]
        await self.receive(token, body, kind=kind)

    async def receive(self, token: str, body: bytes, *, kind: str = "result") -> None:
        """Stores a callback on any path of the ledger."""
        await self.inbound.receive(
            ledger_id=self.ledger.id, rail="daraja", kind=kind, token=token, raw=body, remote_address="127.0.0.1"
        )

    async def script(self, behaviour: str, *, count: int) -> None:
        """The rail's next requests get this behaviour, whatever their numbers say."""
        wanted = {"scripted": [{"behaviour": behaviour, "count": count}]}
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False) as control:
            (await control.post("/sandbox/faults", json=wanted)).raise_for_status()

    async def verdicts(self) -> list[tuple[str | None, int | None]]:
        """What became of each stored message, oldest first: the word (None while it waits) and the payout."""
        found = await self.rows("SELECT verdict, payout_id FROM inbox WHERE ledger_id = :ledger ORDER BY id")
        return [(verdict, payout_id) for verdict, payout_id in found]

    async def seen(self, payout_id: int) -> list[SeenRequest]:
        """The requests about the payout that the rail saw."""
        reference = (await self.payout(payout_id)).provider_reference
        return [one for one in self.sandbox.world.requests if one.originator_conversation_id == reference]

    async def paid(self, payout_id: int) -> bool:
        """Whether the rail moved the money, whatever anyone was told."""
        return Fate.PAID in {one.fate for one in await self.seen(payout_id)}


@asynccontextmanager
async def open_rig(
    engine: AsyncEngine,
    *,
    clock: Clock | None = None,
    read_seconds: float = 1.5,
    resubmits: bool = False,
    verify_above: int | None = None,
) -> AsyncIterator[Rig]:
    """A rig in a ledger of its own, though the worker's queues span ledgers; prefunded with KES 100,000. Leaving it
    asserts that books and payouts agree."""
    clock = clock or Clock()
    await run(engine, _end_what_others_left)
    sandbox = _sandbox(clock)
    listener = Listener(host="127.0.0.1", port=0, grace_seconds=1)
    async with AsyncExitStack() as stack:
        opening = open_shop(engine, clock=clock, prefunded=10_000_000, bands=shipped_tariffs())
        shop, base_url = await stack.enter_async_context(opening), await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        access = replace(sandbox_settings(base_url, sandbox), resubmits=resubmits)
        session = open_session(access, monotonic=time.monotonic, limits=HttpLimits(read_seconds=read_seconds))
        stack.push_async_callback(session.close)
        rail = ObservedRail(DarajaRail(session))
        application = _application(shop, rail, DarajaCollections(session, now=clock), verify_above=verify_above)
        inbound = application.inbound()
        edge = callbacks.application(inbound, questions=application.questions(), healthy=_healthy)
        public_url = await listener.start(edge)
        stack.push_async_callback(listener.stop)
        yield Rig(
            **vars(shop),
            application=application,
            rail=rail,
            sandbox=sandbox,
            dispatcher=application.dispatcher(public_url=public_url),
            prompter=application.prompter(public_url=public_url),
            returner=application.returner(public_url=public_url),
            checker=application.checker(public_url=public_url),
            inbound=inbound,
            public_url=public_url,
            sandbox_url=base_url,
        )


async def _end_what_others_left(connection: AsyncConnection) -> None:
    """Workers' queues span ledgers: what earlier tests left in theirs is not to be carried out over this rail."""
    await connection.execute(text("UPDATE instructions SET done_at = now(), lease_token = NULL WHERE done_at IS NULL"))


def _sandbox(clock: Clock) -> SandboxServer:
    settings = SandboxSettings(callback_delay_seconds=0.0, hang_seconds_max=5.0, certificate=_certificate())
    return SandboxServer(settings, clock=clock, randomness=random.Random(7))


def _application(
    shop: Shop, rail: ObservedRail, collections: DarajaCollections, *, verify_above: int | None
) -> WorkerApplication:
    settings = Settings(
        lease_seconds=LEASE_SECONDS,
        worker_calls_max=CALLS_MAX,
        worker_poll_seconds=0.01,
        result_deadline_seconds=RESULT_DEADLINE_SECONDS,
        balance_query_seconds=0,
        verify_above_minor_units=verify_above,
        clock_skew_seconds_max=1e9,  # the test's clock stands where the test puts it
    )
    profile = Profile(shop.engine, "tests", SECRET)
    return WorkerApplication(
        settings=settings,
        profile=profile,
        rails={"daraja": cast(PayoutRail, rail)},
        collections={"daraja": collections},
        party_keys=PartyKeys(SECRET),
        sealer=SEALER,
        directory=shop.directory,
        ids=shop.ids,
        clock=shop.clock,
    )


@cache
def _certificate() -> Certificate:
    return make_certificate(MOMENT)


async def _healthy() -> bool:
    return True


def sandbox_settings(base_url: str, sandbox: SandboxServer) -> DarajaSettings:
    """The adapter's settings for a sandbox with its default credentials."""
    defaults = SandboxSettings()
    return DarajaSettings(
        base_url=base_url,
        consumer_key=Secret(defaults.consumer_key),
        consumer_secret=Secret(defaults.consumer_secret),
        initiator_name=defaults.initiator_name,
        initiator_password=Secret(defaults.initiator_password),
        passkey=Secret(defaults.passkey),
        certificate=sandbox.certificate_pem.encode(),
        shortcode=defaults.shortcode,
    )
