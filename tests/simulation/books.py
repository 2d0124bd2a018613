"""The books of a history as it begins: one ledger, partners with money, and where they are told."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.rails import shipped_tariffs
from ledger import partners, tariffs
from ledger.database import driver, run
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger, create_ledger
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.post import post_entries
from ledger.money import Money
from ledger.partners import Partner
from ledger.sealing import Sealer
from ledger.webhooks import endpoints
from tests.simulation.daraja import OPENING_UTILITY_CENTS, SHORTCODE

SECRET = bytes(range(32))
FEE_CENTS = 500
PREFUND_CENTS = 5_000_000
FLOAT = f"asset.float.daraja.{SHORTCODE}.utility"


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger and its partners, each with the URL and the secret of its endpoint, if it has one."""

    ledger: Ledger
    partners: tuple[Partner, ...]
    endpoints: dict[str, str]


async def open_books(engine: AsyncEngine, *, count: int, ids: IdSource, now: datetime) -> Opened:
    """The first partner is told by webhook."""

    async def command(connection: AsyncConnection) -> Opened:
        ledger = await create_ledger(
            connection, code="history", name="History", base_currency="KES", time_zone="Africa/Nairobi", now=now
        )
        specs = chart.common_accounts(currency="KES")
        specs += chart.shortcode_accounts(provider="daraja", shortcode=SHORTCODE, currency="KES")
        await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
        await tariffs.add_bands(connection, ledger_id=ledger.id, bands=shipped_tariffs())
        opened = [await _open_partner(connection, ledger, f"partner-{number}", ids, now) for number in range(count)]
        await _fund(connection, ledger, opened, ids, now)
        return Opened(ledger, tuple(opened), await _tell(connection, ledger, opened[0], ids, now))

    return await run(engine, command)


async def _open_partner(
    connection: AsyncConnection, ledger: Ledger, code: str, ids: IdSource, now: datetime
) -> Partner:
    fee = Money("KES", FEE_CENTS)
    return await partners.create_partner(
        connection, ledger=ledger, code=code, name=code, payout_fee=fee, ids=ids, now=now
    )


async def _fund(
    connection: AsyncConnection, ledger: Ledger, opened: list[Partner], ids: IdSource, now: datetime
) -> None:
    openings = [(FLOAT, "equity.opening", OPENING_UTILITY_CENTS)]
    openings += [("asset.bank.main", one.funding_account, PREFUND_CENTS) for one in opened]
    entries = [
        JournalEntry(
            kind="opening",
            postings=(debit(debited, Money("KES", cents)), credit(credited, Money("KES", cents))),
            effective_at=now,
            source=Source.OPENING,
        )
        for debited, credited, cents in openings
    ]
    requests = [PostRequest(entry, "history") for entry in entries]
    await post_entries(
        await driver(connection), ledger=ledger, requests=requests, directory=AccountDirectory(), ids=ids, now=now
    )


async def _tell(
    connection: AsyncConnection, ledger: Ledger, partner: Partner, ids: IdSource, now: datetime
) -> dict[str, str]:
    secret = random.Random(str(ledger.id)).randbytes(endpoints.SECRET_BYTES)
    url = f"https://hooks.example.com/{partner.code}"
    told = await endpoints.create_endpoint(
        connection,
        ledger_id=ledger.id,
        partner_id=partner.id,
        url=url,
        request_id="endpoint",
        secret=secret,
        sealer=Sealer(SECRET, purpose="webhook secrets"),
        ids=ids,
        now=now,
    )
    return {url: told.secret}
