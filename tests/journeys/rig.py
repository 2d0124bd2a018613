"""Everything a payout passes through, wired for tests: books, doors, the Daraja adapter, the sandbox, the callback edge."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.daraja.client import DarajaRail, open_rail
from adapters.daraja.credentials import DarajaSettings
from adapters.dispatch import Dispatcher, DispatchSettings
from adapters.inbound import Inbound
from adapters.inquiry import Inquiry
from adapters.listener import Listener
from adapters.sandbox.server import SandboxServer
from adapters.sandbox.settings import SandboxSettings
from adapters.submission import Submission
from adapters.transport import HttpLimits, Secret
from api.http import callbacks
from api.wiring import shipped_tariffs
from ledger import partners
from ledger.database import driver, run, transaction
from ledger.idempotency import claim
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger, create_ledger
from ledger.journal.decide import Posted, PostRequest, Refused
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.post import post_entries
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox import queue
from ledger.outcomes import OutcomeRecorder
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payouts import queries, tariffs
from ledger.payouts.queries import Payout
from ledger.payouts.request import RACING_CONSTRAINTS, PayoutRequest, Requested, RequestResult, request_payouts
from ledger.sealing import Sealer

SECRET = bytes(range(32))
QUERY_SCHEDULE = [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2)]


@dataclass(kw_only=True)
class Rig:
    """One ledger with one partner, and the machinery around it. Amounts are minor units unless named otherwise."""

    engine: AsyncEngine
    ledger: Ledger
    partner: Partner
    rail: DarajaRail
    sandbox: SandboxServer
    dispatcher: Dispatcher
    inbound: Inbound
    directory: AccountDirectory
    ids: IdSource
    float_opening: int
    prefunded: int
    numbers: int = field(default=0)

    @staticmethod
    def now() -> datetime:
        """The wall clock."""
        return datetime.now(UTC)

    def draft(
        self, *, msisdn: str, shillings: int, key: str | None = None, reference: str | None = None
    ) -> PayoutRequest:
        """A request for a payout; key and reference are fresh unless given."""
        self.numbers += 1
        reference = reference or f"order-{self.numbers}"
        content = f"{msisdn}:{shillings}:{reference}".encode()
        return PayoutRequest(
            key=claim(client_id=7, key=key or f"key-{self.numbers}", method="RequestPayout", content=content),
            actor="shop",
            partner=self.partner,
            partner_reference=reference,
            msisdn=Msisdn(msisdn),
            amount=Money("KES", shillings * 100),
            purpose="business",
            remarks="",
            shortcode="",
        )

    async def request_all(self, *drafts: PayoutRequest) -> list[RequestResult]:
        """The verdicts on a set of requests, committed."""

        async def command(connection: AsyncConnection) -> list[RequestResult]:
            return await request_payouts(
                await driver(connection),
                ledger=self.ledger,
                requests=drafts,
                limits={"daraja": self.rail.capabilities.payout_limits},
                party_keys=PartyKeys(SECRET),
                directory=self.directory,
                ids=self.ids,
                now=self.now(),
            )

        return await run(self.engine, command, again_on=RACING_CONSTRAINTS)

    async def request(self, *, msisdn: str, shillings: int) -> int:
        """The id of a payout that must be accepted."""
        (verdict,) = await self.request_all(self.draft(msisdn=msisdn, shillings=shillings))
        assert isinstance(verdict, Requested), verdict
        return verdict.payout_id

    async def work_until_quiet(self) -> None:
        """Dispatches and judges until no instruction is due, no callback is on its way and none awaits judgement."""
        while True:
            sent = await self.dispatcher.step()
            await self.sandbox.idle()
            judged = await self.inbound.step(limit=100)
            if not sent and not judged:
                return

    async def payout(self, payout_id: int) -> Payout:
        """The payout as it stands."""
        async with transaction(self.engine) as connection:
            return await queries.get_payout(connection, ledger_id=self.ledger.id, partner_id=None, payout_id=payout_id)

    async def balance(self, path: str) -> int:
        """An account's balance on its normal side."""
        async with transaction(self.engine) as connection:
            found = await accounts.find_account(connection, ledger_id=self.ledger.id, path=path, currency="KES")
        return found.balance

    async def post(self, *entries: JournalEntry) -> list[Posted]:
        """Posts entries that must be accepted."""

        async def command(connection: AsyncConnection) -> list[Posted]:
            requests = [PostRequest(entry, "test") for entry in entries]
            verdicts = await post_entries(
                await driver(connection),
                ledger=self.ledger,
                requests=requests,
                directory=self.directory,
                ids=self.ids,
                now=self.now(),
            )
            assert all(isinstance(one, Posted) for one in verdicts), verdicts
            return [one for one in verdicts if isinstance(one, Posted)]

        return await run(self.engine, command)


@asynccontextmanager
async def open_rig(engine: AsyncEngine, *, code: str) -> AsyncIterator[Rig]:
    """A rig on a database of its own (the worker's queues span ledgers), prefunded with KES 100,000."""
    sandbox = SandboxServer(
        SandboxSettings(callback_delay_seconds=0.0, hang_seconds_max=5.0),
        clock=lambda: datetime.now(UTC),
        randomness=random.Random(7),
    )
    base_url = await sandbox.start()
    settings = sandbox_settings(base_url, sandbox)
    rail = open_rail(settings, monotonic=time.monotonic, limits=HttpLimits(read_seconds=0.5))
    listener = Listener(host="127.0.0.1", port=0, grace_seconds=1)
    try:
        rig = await _build(engine, code=code, rail=rail, sandbox=sandbox)
        public_url = await listener.start(callbacks.application(rig.inbound, healthy=_healthy))
        rig.dispatcher = _dispatcher(rig, public_url)
        yield rig
    finally:
        await listener.stop()
        await rail.close()
        await sandbox.stop()


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
        certificate=sandbox.certificate_pem.encode(),
        shortcode=defaults.shortcode,
    )


def _dispatcher(rig: Rig, public_url: str) -> Dispatcher:
    recorder = OutcomeRecorder(directory=rig.directory, ids=rig.ids, query_after=QUERY_SCHEDULE[0])
    rails = {"daraja": rig.rail}
    submission = Submission(rails=rails, party_keys=PartyKeys(SECRET), recorder=recorder, now=rig.now)
    inquiry = Inquiry(
        rails=rails,
        recorder=recorder,
        ids=rig.ids,
        now=rig.now,
        schedule=QUERY_SCHEDULE,
        patience=timedelta(minutes=10),
    )
    return Dispatcher(
        engine=rig.engine,
        errands={queue.SUBMIT: submission, queue.QUERY: inquiry},
        ids=rig.ids,
        now=rig.now,
        settings=DispatchSettings(public_url=public_url, lease=timedelta(seconds=60), calls_max=16),
    )


async def _build(engine: AsyncEngine, *, code: str, rail: DarajaRail, sandbox: SandboxServer) -> Rig:
    directory, ids = AccountDirectory(), IdSource(random.SystemRandom())
    now = Rig.now()

    async def books(connection: AsyncConnection) -> tuple[Ledger, Partner]:
        ledger = await create_ledger(
            connection, code=code, name="Test", base_currency="KES", time_zone="Africa/Nairobi", now=now
        )
        specs = chart.common_accounts(currency="KES")
        specs += chart.shortcode_accounts(provider="daraja", shortcode="600584", currency="KES")
        await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
        await tariffs.add_bands(connection, ledger_id=ledger.id, bands=shipped_tariffs())
        partner = await partners.create_partner(
            connection, ledger=ledger, code="shop", name="Shop", payout_fee=Money("KES", 0), ids=ids, now=now
        )
        return ledger, partner

    ledger, partner = await run(engine, books)
    inbound = Inbound(
        engine=engine,
        rails={"daraja": rail},
        party_keys=PartyKeys(SECRET),
        sealer=Sealer(SECRET, purpose="inbox messages"),
        recorder=OutcomeRecorder(directory=directory, ids=ids, query_after=QUERY_SCHEDULE[0]),
        ids=ids,
        now=Rig.now,
    )
    float_opening, prefunded = SandboxSettings().opening_utility_cents, 10_000_000
    rig = Rig(
        engine=engine,
        ledger=ledger,
        partner=partner,
        rail=rail,
        sandbox=sandbox,
        dispatcher=None,  # type: ignore[arg-type]  # set once the callback edge has its address
        inbound=inbound,
        directory=directory,
        ids=ids,
        float_opening=float_opening,
        prefunded=prefunded,
    )
    await rig.post(
        _opening("asset.float.daraja.600584.utility", "equity.opening", float_opening, now),
        _opening("asset.bank.main", "liab.partner_prefund.shop", prefunded, now),
    )
    return rig


def _opening(debited: str, credited: str, minor_units: int, now: datetime) -> JournalEntry:
    money = Money("KES", minor_units)
    lines = (debit(debited, money), credit(credited, money))
    return JournalEntry(kind="opening", postings=lines, effective_at=now, source=Source.OPENING)
