"""The books of a history of promotions as it begins: a wallet in RWF, a partner with money, a campaign, and batches:
one that lasts, one that soon ends, and a draft."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.momo.declared import FLOATS
from api.promoting import PromotionParts, promotion_parts
from ledger import partners
from ledger.database import driver, run
from ledger.idempotency import KeyClaim, claim
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger, create_ledger
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.post import post_entries
from ledger.journal.poster import Poster
from ledger.money import Money
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payouts.limits import RailLimits
from ledger.promotions.batch import Funding
from ledger.promotions.campaigns import NewCampaign, create_campaign
from ledger.promotions.desk import BatchRequest, Order
from ledger.promotions.issuing import read_sheet
from tests.simulation.books import SECRET, Opened
from tests.simulation.wallet import OPENING, WALLET

FACE, PREFUND, PER_PHONE = 500, 100_000, 2
LIMITS = {"momo": {"RWF": RailLimits(step=1, minimum=1, maximum=2_000_000)}}
FLOAT = f"asset.float.momo.{WALLET}.disbursement"
# Name, codes, how long it lasts, whether it is active from the start.
BATCHES = (("lasting", 5, timedelta(days=60), True), ("short", 4, timedelta(hours=5), True),
           ("draft", 2, timedelta(days=60), False))  # fmt: skip
CLIENT_ID = 9


@dataclass(frozen=True, slots=True)
class Printed:
    """A batch as its printer knows it: codes by number."""

    id: int
    code: str
    expires_at: datetime
    codes: dict[int, str]


@dataclass(frozen=True, slots=True)
class Fair(Opened):
    """The same books, with what was printed."""

    batches: tuple[Printed, ...]


def parts_of(ids: IdSource, directory: AccountDirectory, *, seed: int = 0) -> PromotionParts:
    """Everything about promotions in a process; only whoever opens the books makes codes."""
    return promotion_parts(
        poster=Poster(directory=directory, ids=ids),
        secret=SECRET,
        party_keys=PartyKeys(SECRET),
        limits=LIMITS,
        randomness=random.Random(seed).randbytes,
    )


def key(name: str) -> KeyClaim:
    """A request id of the people at the desk."""
    return claim(client_id=CLIENT_ID, key=name, method="Desk", content=b"")


async def open_fair(engine: AsyncEngine, *, ids: IdSource, now: datetime) -> Fair:
    """Opens and prints everything."""

    async def command(connection: AsyncConnection) -> tuple[Ledger, Partner]:
        ledger = await create_ledger(
            connection, code="fair", name="Fair", base_currency="RWF", time_zone="Africa/Kigali", now=now
        )
        specs = chart.common_accounts(currency="RWF")
        specs += chart.shortcode_accounts(provider="momo", shortcode=WALLET, currency="RWF", floats=FLOATS)
        await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
        partner = await partners.create_partner(
            connection, ledger=ledger, code="brewery", name="Brewery", payout_fee=Money("RWF", 0), ids=ids, now=now
        )
        openings = [(FLOAT, "equity.opening", OPENING), ("asset.bank.main", partner.funding_account, PREFUND)]
        requests = [_opening(*one, now=now) for one in openings]
        session = await driver(connection)
        await post_entries(session, ledger=ledger, requests=requests, directory=AccountDirectory(), ids=ids, now=now)
        campaign = NewCampaign(
            key=key("campaign"), actor="amina", code="caps", name="Caps", per_msisdn_max=PER_PHONE,
            per_msisdn_day_max=None,
        )  # fmt: skip
        await create_campaign(session, ledger_id=ledger.id, campaign=campaign, ids=ids, now=now)
        return ledger, partner

    ledger, partner = await run(engine, command)
    parts = parts_of(ids, AccountDirectory(), seed=7)
    batches = [
        await _print(engine, ledger, parts, request=_request(name, count, now + lasting), active=active, now=now)
        for name, count, lasting, active in BATCHES
    ]
    return Fair(ledger, (partner,), {}, tuple(batches))


def _opening(debited: str, credited: str, amount: int, *, now: datetime) -> PostRequest:
    money = Money("RWF", amount)
    lines = (debit(debited, money), credit(credited, money))
    entry = JournalEntry(kind="opening", postings=lines, effective_at=now, source=Source.OPENING)
    return PostRequest(entry, "history")


def _request(name: str, count: int, expires_at: datetime) -> BatchRequest:
    return BatchRequest(
        key=key(f"batch-{name}"),
        actor="amina",
        code=name,
        campaign="caps",
        amount=Money("RWF", FACE),
        count=count,
        funding=Funding.PREFUND,
        partner="brewery",
        shortcode="",
        assignee="",
        expires_at=expires_at,
        second_person=False,
    )


async def _print(
    engine: AsyncEngine, ledger: Ledger, parts: PromotionParts, *, request: BatchRequest, active: bool, now: datetime
) -> Printed:
    async def command(connection: AsyncConnection) -> Printed:
        batch_id, _ = await parts.desk.create(connection, ledger=ledger, request=request, now=now)
        session = await driver(connection)
        await parts.mint.generate(session, ledger=ledger, batch_id=batch_id, actor="amina", now=now)
        sheet = await read_sheet(session, ledger=ledger, batch_id=batch_id, first_number=1, keys=parts.keys)
        if active:
            order = Order(key(f"activate-{request.code}"), batch_id, "baraka", "")
            await parts.desk.activate(session, ledger=ledger, order=order, now=now)
        return Printed(batch_id, request.code, request.expires_at, {one.number: one.code for one in sheet})

    return await run(engine, command)
