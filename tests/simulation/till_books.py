"""The books of a history about money in, as it begins: a paybill, wallets with references, lenders, loan products."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections import directory, shortcodes
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.reference import ReceiptKeys
from ledger.collections.shortcodes import Shortcode
from ledger.database import driver, run
from ledger.idempotency import claim
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.post import post_entries
from ledger.loans.products import BusinessCalendar, ProductRequest, create_product
from ledger.loans.terms import (
    FixedPenalty,
    InterestMethod,
    Interval,
    LoanTerms,
    Mode,
    Rate,
    RatePeriod,
    Unit,
    UpfrontFee,
)
from ledger.money import Money
from tests.simulation.books import FLOAT, SECRET, Opened
from tests.simulation.daraja import SHORTCODE

WALLETS = {"W-ZURI": "liab.wallet.zuri", "W-JUMA": "liab.wallet.juma"}
LENDER, LENDER_CENTS = "lender", 10_000_000
CLIENT_ID = 7
_OURS = LoanTerms(
    currency="KES",
    principal_min=100_000,
    principal_max=10_000_000,
    method=InterestMethod.FLAT,
    rate=Rate(500, RatePeriod.INSTALMENT),
    instalments=2,
    every=Interval(1, Unit.DAY),
    upfront_fee=UpfrontFee(fixed_minor_units=10_000),
    penalty=FixedPenalty(minor_units=5_000, cap_basis_points=5_000),
    step=100,
)
_BETWEEN_CUSTOMERS = LoanTerms(
    currency="KES",
    principal_min=100_000,
    principal_max=10_000_000,
    method=InterestMethod.REDUCING_BALANCE,
    rate=Rate(300, RatePeriod.INSTALMENT),
    instalments=3,
    every=Interval(1, Unit.DAY),
    mode=Mode.AGENT,
    service_fee_basis_points=200,
    step=100,
)
PRODUCTS = {"ours": _OURS, "theirs": _BETWEEN_CUSTOMERS}


def paybill(*, validates: bool) -> Shortcode:
    """The shortcode that collects; where it `validates`, a reference that means nothing is refused beforehand."""
    return Shortcode("daraja", SHORTCODE, "KES", FLOAT, accepts_unanswered=True, refuses_unknown=validates)


async def open_till(engine: AsyncEngine, opened: Opened, *, validates: bool, ids: IdSource, now: datetime) -> None:
    """On top of the books of partners."""

    async def command(connection: AsyncConnection) -> None:
        ledger = opened.ledger
        shortcode = paybill(validates=validates)
        await shortcodes.open_shortcode(connection, ledger=ledger, shortcode=shortcode, ids=ids, now=now)
        await _open_wallets(connection, ledger, ids, now)
        for code, terms in PRODUCTS.items():
            request = ProductRequest(
                key=claim(client_id=CLIENT_ID, key=f"product-{code}", method="CreateLoanProduct", content=b""),
                actor="amina",
                code=code,
                name=code,
                partner=opened.partners[0].code,
                terms=terms,
                calendar=BusinessCalendar(),
                second_person=True,
            )
            await create_product(connection, ledger=ledger, request=request, ids=ids, now=now)

    await run(engine, command)


async def _open_wallets(connection: AsyncConnection, ledger: Ledger, ids: IdSource, now: datetime) -> None:
    session, keys = await driver(connection), ReceiptKeys(SECRET)
    for customer in ("zuri", "juma", LENDER):
        specs = chart.customer_accounts(customer=customer, currency="KES")
        await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
    for reference, path in WALLETS.items():
        target = Target(TargetKind.ACCOUNT, path)
        await directory.add_reference(
            session, ledger_id=ledger.id, reference=reference, target=target, keys=keys, ids=ids, now=now
        )
    money = Money("KES", LENDER_CENTS)
    entry = JournalEntry(
        kind="opening",
        postings=(debit("asset.bank.main", money), credit(f"liab.wallet.{LENDER}", money)),
        effective_at=now,
        source=Source.OPENING,
    )
    requests = [PostRequest(entry, "history")]
    await post_entries(session, ledger=ledger, requests=requests, directory=AccountDirectory(), ids=ids, now=now)
