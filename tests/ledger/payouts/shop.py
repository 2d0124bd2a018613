"""A ledger with the shipped chart and one prefunded partner: all that payouts need but a rail. The clock stands still.

async with open_shop(engine) as shop:
    payout_id = await shop.request(shillings=1500)
    await shop.record((payout_id, Started()), (payout_id, settled(shop, payout_id)))
"""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import partners, tariffs
from ledger.database import driver, run, transaction
from ledger.idempotency import claim
from ledger.ids import IdSource, encode
from ledger.journal import accounts, chart
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger, create_ledger
from ledger.journal.decide import Posted, PostRequest
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.post import post_entries
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outcomes import Recorded, cancel_payout, record
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payouts import queries
from ledger.payouts.limits import RailLimits
from ledger.payouts.outcome import Outcome, Report
from ledger.payouts.payout import RailAccounts
from ledger.payouts.queries import Payout, PayoutEvent
from ledger.payouts.request import RACING_CONSTRAINTS, PayoutRequest, Requested, RequestResult, request_payouts
from ledger.tariffs import Band
from tests.ledger.payouts.agreement import disagreements

MOMENT = datetime(2026, 9, 1, 7, 15, 36, tzinfo=UTC)
SECRET = bytes(range(32))
PARTY_KEYS = PartyKeys(SECRET)
LIMITS = {"daraja": {"KES": RailLimits(step=100, minimum=1_000, maximum=25_000_000)}}
PAYEE = "254712345678"
CHARGE = 500

FLOAT, BANK = "asset.float.daraja.600584.utility", "asset.bank.main"
WORKING = "asset.float.daraja.600584.working"
PREFUND, OPENING = "liab.partner_prefund.shop", "equity.opening"
IN_TRANSIT, UNKNOWN = "liab.payout.in_transit.daraja.600584", "liab.payout.unknown.daraja.600584"
DEFERRED, FEES, SHORTAGE = "liab.deferred_fee", "income.payout_fees", "asset.recon.shortage"
CLAWBACK = "asset.receivable.customer_clawback"
CHARGES, OWED = "expense.provider_charges.payouts", "liab.provider_charges.daraja.600584"

ACCOUNTS = RailAccounts(FLOAT, WORKING, IN_TRANSIT, UNKNOWN, OWED, CHARGES, DEFERRED, FEES, SHORTAGE, CLAWBACK)


class Clock:
    """Shows the same moment until it is moved."""

    def __init__(self, moment: datetime = MOMENT) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, *, seconds: float) -> None:
        """Moves the moment on."""
        self.moment += timedelta(seconds=seconds)


@dataclass(kw_only=True)
class Shop:
    """One ledger with one partner, "shop". Amounts are minor units unless named otherwise."""

    engine: AsyncEngine
    clock: Clock
    ids: IdSource
    directory: AccountDirectory
    ledger: Ledger
    partner: Partner
    float_opening: int
    prefunded: int
    numbers: int = field(default=0)

    def now(self) -> datetime:
        """What the clock shows."""
        return self.clock()

    def draft(
        self, *, msisdn: str = PAYEE, shillings: int = 1500, key: str | None = None, reference: str | None = None
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
            payee=Msisdn(msisdn),
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
                limits=LIMITS,
                party_keys=PARTY_KEYS,
                directory=self.directory,
                ids=self.ids,
                now=self.now(),
            )

        return await run(self.engine, command, again_on=RACING_CONSTRAINTS)

    async def request(self, *, msisdn: str = PAYEE, shillings: int = 1500) -> int:
        """The id of a payout that must be accepted."""
        (payout_id,) = await self.request_many(1, msisdn=msisdn, shillings=shillings)
        return payout_id

    async def request_many(self, count: int, *, msisdn: str = PAYEE, shillings: int = 1500) -> list[int]:
        """The ids of payouts that must be accepted, requested as one set."""
        verdicts = await self.request_all(*(self.draft(msisdn=msisdn, shillings=shillings) for _ in range(count)))
        requested = [one for one in verdicts if isinstance(one, Requested)]
        assert len(requested) == count, verdicts
        return [one.payout_id for one in requested]

    async def record(self, *outcomes: tuple[int, Outcome]) -> list[Recorded]:
        """What became of the outcomes, recorded as one set and committed."""
        reports = [
            Report(payout_id=payout_id, outcome=outcome, source=Source.CALLBACK, actor="tests")
            for payout_id, outcome in outcomes
        ]

        async def command(connection: AsyncConnection) -> list[Recorded]:
            return await record(
                await driver(connection),
                ledger=self.ledger,
                reports=reports,
                directory=self.directory,
                ids=self.ids,
                now=self.now(),
            )

        return await run(self.engine, command)

    async def cancel(self, payout_id: int, *, reason: str = "ordered twice") -> None:
        """Takes the payout back, or raises PayoutNotCancellable."""

        async def command(connection: AsyncConnection) -> None:
            await cancel_payout(
                await driver(connection),
                ledger=self.ledger,
                payout_id=payout_id,
                reason=reason,
                actor="shop",
                directory=self.directory,
                ids=self.ids,
                now=self.now(),
            )

        await run(self.engine, command)

    async def payout(self, payout_id: int) -> Payout:
        """The payout as it stands."""
        async with transaction(self.engine) as connection:
            return await queries.get_payout(connection, ledger_id=self.ledger.id, partner_id=None, payout_id=payout_id)

    async def state(self, payout_id: int) -> str:
        """The payout's state in a word."""
        return (await self.payout(payout_id)).state.value

    async def events(self, payout_id: int) -> list[PayoutEvent]:
        """What happened to the payout, oldest first."""
        async with transaction(self.engine) as connection:
            return await queries.list_events(connection, ledger_id=self.ledger.id, payout_id=payout_id)

    async def entries(self, payout_id: int) -> list[str]:
        """The kinds of the payout's entries, oldest first."""
        found = await self.rows(
            "SELECT kind FROM journal_entries WHERE ledger_id = :ledger AND subject_id = :subject ORDER BY id",
            subject=encode("pay", payout_id),
        )
        return [kind for (kind,) in found]

    async def reviews(self) -> list[tuple[str, int | None]]:
        """The open cases of the ledger: queue and payout, oldest first."""
        found = await self.rows("SELECT queue, payout_id FROM reviews WHERE ledger_id = :ledger ORDER BY id")
        return [(queue, payout_id) for queue, payout_id in found]

    async def held(self, payout_id: int) -> int:
        """The entry that last put money of the payout into suspense; 0 for none."""
        found = await self.rows(
            "SELECT coalesce(max(held_entry_id), 0) FROM reviews WHERE ledger_id = :ledger AND payout_id = :payout",
            payout=payout_id,
        )
        return int(found[0][0])

    async def rows(self, query: str, **parameters: object) -> Sequence[Any]:
        """What a query answers; :ledger is this ledger's id."""
        async with transaction(self.engine) as connection:
            found = await connection.execute(text(query), {"ledger": self.ledger.id} | parameters)
            return found.all()

    async def balance(self, path: str) -> int:
        """An account's balance on its normal side."""
        async with transaction(self.engine) as connection:
            found = await accounts.find_account(connection, ledger_id=self.ledger.id, path=path, currency="KES")
        return found.balance

    async def post(self, *entries: JournalEntry) -> list[Posted]:
        """Posts entries that must be accepted."""

        async def command(connection: AsyncConnection) -> list[Posted]:
            verdicts = await post_entries(
                await driver(connection),
                ledger=self.ledger,
                requests=[PostRequest(entry, "test") for entry in entries],
                directory=self.directory,
                ids=self.ids,
                now=self.now(),
            )
            assert all(isinstance(one, Posted) for one in verdicts), verdicts
            return [one for one in verdicts if isinstance(one, Posted)]

        return await run(self.engine, command)


@asynccontextmanager
async def open_shop(
    engine: AsyncEngine,
    *,
    clock: Clock | None = None,
    prefunded: int = 20_000_000,
    fee: int = 0,
    bands: Iterable[Band] | None = None,
) -> AsyncIterator[Shop]:
    """A shop with KES 1,000,000 of float and every payout charged KES 5 by the provider, unless `bands` say otherwise.
    Leaving it asserts that the books and the payouts agree."""
    code = f"shop-{secrets.token_hex(8)}"
    clock, ids = clock or Clock(), IdSource(random.Random(code))
    ledger, partner = await run(engine, partial(_open_books, code=code, fee=fee, bands=bands, ids=ids, now=clock()))
    shop = Shop(
        engine=engine,
        clock=clock,
        ids=ids,
        directory=AccountDirectory(),
        ledger=ledger,
        partner=partner,
        float_opening=100_000_000,
        prefunded=prefunded,
    )
    await shop.post(
        opening(FLOAT, OPENING, shop.float_opening, at=clock()), opening(BANK, PREFUND, prefunded, at=clock())
    )
    yield shop
    assert await disagreements(engine, ledger_id=ledger.id) == []


async def _open_books(
    connection: AsyncConnection, *, code: str, fee: int, bands: Iterable[Band] | None, ids: IdSource, now: datetime
) -> tuple[Ledger, Partner]:
    flat = Band("daraja", "KES", date(2020, 1, 1), 0, 10**12, CHARGE)
    ledger = await create_ledger(
        connection, code=code, name="Test", base_currency="KES", time_zone="Africa/Nairobi", now=now
    )
    specs = chart.common_accounts(currency="KES")
    specs += chart.shortcode_accounts(provider="daraja", shortcode="600584", currency="KES")
    await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
    await tariffs.add_bands(connection, ledger_id=ledger.id, bands=[flat] if bands is None else list(bands))
    partner = await partners.create_partner(
        connection, ledger=ledger, code="shop", name="Shop", payout_fee=Money("KES", fee), ids=ids, now=now
    )
    return ledger, partner


def opening(debited: str, credited: str, minor_units: int, *, at: datetime) -> JournalEntry:
    """Money that was there before."""
    money = Money("KES", minor_units)
    lines = (debit(debited, money), credit(credited, money))
    return JournalEntry(kind="opening", postings=lines, effective_at=at, source=Source.OPENING)
