"""Loan products: terms under a code, in versions that never change, and the calendar that their due dates keep."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import partners
from ledger.database import Driver, driver
from ledger.errors import LoanTermsInvalid, TextInvalid
from ledger.idempotency import KeyClaim, find_keys, key_reused, store_key
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.books import Ledger
from ledger.loans.refusals import LoanProductNotFound
from ledger.loans.schedule import Schedule, business_days, make_schedule
from ledger.loans.terms import LoanTerms
from ledger.loans.terms_text import terms_as_json, terms_of
from ledger.money import Money
from ledger.text import check_text

HOLIDAYS_MAX = 1_000
DAYS_OF_A_WEEK = 7
_CODE = re.compile(r"[a-z][a-z0-9-]{1,31}", re.ASCII)
_SCHEDULES_REMEMBERED = 4_096

_ADD = """
INSERT INTO loan_products (ledger_id, id, code, version, name, partner_id, mode, currency, terms, weekend, holidays,
    second_person, created_by, created_at)
SELECT %(ledger)s, %(id)s, %(code)s, coalesce(max(version), 0) + 1, %(name)s, %(partner)s, %(mode)s, %(currency)s,
    %(terms)s, %(weekend)s::smallint[], %(holidays)s::date[], %(second)s, %(actor)s, %(now)s
FROM loan_products WHERE ledger_id = %(ledger)s AND code = %(code)s
"""
_READ = """
SELECT p.id, p.code, p.version, p.name, r.code, p.terms::text, p.weekend, p.holidays, p.second_person, p.created_at
FROM loan_products AS p JOIN partners AS r ON r.ledger_id = p.ledger_id AND r.id = p.partner_id
WHERE p.ledger_id = %s AND p.id = ANY(%s)
"""
_NEWEST = "SELECT id FROM loan_products WHERE ledger_id = %s AND code = %s ORDER BY version DESC LIMIT 1"
_LIST = """
SELECT p.id FROM loan_products AS p WHERE p.ledger_id = %s AND p.code > %s AND NOT EXISTS (
    SELECT FROM loan_products AS n WHERE n.ledger_id = p.ledger_id AND n.code = p.code AND n.version > p.version)
ORDER BY p.code LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """The weekdays (Monday is 0) and dates on which nothing falls due."""

    weekend: frozenset[int] = frozenset()
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not self.weekend < set(range(DAYS_OF_A_WEEK)):
            raise LoanTermsInvalid("a weekend is some of the weekdays 0 to 6, never all", field="weekend")
        if len(self.holidays) > HOLIDAYS_MAX:
            raise LoanTermsInvalid(f"at most {HOLIDAYS_MAX:,} holidays", field="holidays")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRequest:
    """A product to make, or its next version. `partner` is the code of that in whose name its loans are paid out;
    `second_person`: who approves must be another than who requested."""

    key: KeyClaim
    actor: str
    code: str
    name: str
    partner: str
    terms: LoanTerms
    calendar: BusinessCalendar
    second_person: bool

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise TextInvalid(
                "a product's code is 2 to 32 of a-z, 0-9 and dash, starting with a letter", field="product.code"
            )
        check_text(self.name, field="product.name", length_max=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One version of a product."""

    id: int
    code: str
    version: int
    name: str
    partner: str
    terms: LoanTerms
    calendar: BusinessCalendar
    second_person: bool
    created_at: datetime

    def schedule(self, gross: Money, starts_on: date) -> Schedule:
        """What is due when of a loan under it. Raises what make_schedule() raises."""
        return _schedule(self.terms, self.calendar, gross, starts_on)


@lru_cache(maxsize=_SCHEDULES_REMEMBERED)
def _schedule(terms: LoanTerms, calendar: BusinessCalendar, gross: Money, starts_on: date) -> Schedule:
    is_business_day = business_days(weekend=calendar.weekend, holidays=calendar.holidays)
    return make_schedule(terms, principal=gross, starts_on=starts_on, is_business_day=is_business_day)


async def create_product(
    connection: AsyncConnection, *, ledger: Ledger, request: ProductRequest, ids: IdSource, now: datetime
) -> tuple[Product, bool]:
    """Makes a product, or the next version of it, and says whether the same request had before. Raises PartnerNotFound,
    IdempotencyKeyReused."""
    session = await driver(connection)
    stored = (await find_keys(session, ledger_id=ledger.id, claims=[request.key])).get(request.key.identity)
    if stored is not None:
        if not stored.matches(request.key):
            raise key_reused(request.key)
        return (await read_products(session, ledger_id=ledger.id, ids=[stored.result_id]))[stored.result_id], True
    partner = await partners.find_partner(connection, ledger_id=ledger.id, code=request.partner)
    if partner.payout_fee.currency != request.terms.currency:
        raise LoanTermsInvalid(f"partner {partner.code} pays out in {partner.payout_fee.currency}", field="partner")
    specs = chart.common_accounts(currency=request.terms.currency)
    await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
    product_id = ids.next(now)
    parameters = {
        "ledger": ledger.id,
        "id": product_id,
        "code": request.code,
        "name": request.name,
        "partner": partner.id,
        "mode": request.terms.mode.value,
        "currency": request.terms.currency,
        "terms": Jsonb(terms_as_json(request.terms)),
        "weekend": sorted(request.calendar.weekend),
        "holidays": sorted(request.calendar.holidays),
        "second": request.second_person,
        "actor": request.actor,
        "now": now,
    }
    await session.execute(_ADD, parameters)
    await store_key(session, ledger_id=ledger.id, claim=request.key, result_id=product_id, now=now)
    return (await read_products(session, ledger_id=ledger.id, ids=[product_id]))[product_id], False


async def read_products(driver: Driver, *, ledger_id: int, ids: Collection[int]) -> dict[int, Product]:
    """Products by id."""
    cursor = await driver.execute(_READ, (ledger_id, list(ids)))
    return {
        row[0]: Product(
            id=row[0],
            code=row[1],
            version=row[2],
            name=row[3],
            partner=row[4],
            terms=terms_of(row[5]),
            calendar=BusinessCalendar(frozenset(row[6]), frozenset(row[7])),
            second_person=row[8],
            created_at=row[9],
        )
        for row in await cursor.fetchall()
    }


async def find_product(driver: Driver, *, ledger_id: int, code: str) -> Product:
    """The newest version of a product. Raises LoanProductNotFound."""
    row = await (await driver.execute(_NEWEST, (ledger_id, code))).fetchone()
    if row is None:
        raise LoanProductNotFound(f"no loan product {code!r:.40} in this ledger", field="product")
    return (await read_products(driver, ledger_id=ledger_id, ids=[row[0]]))[row[0]]


async def list_products(driver: Driver, *, ledger_id: int, after: str, limit: int) -> Sequence[Product]:
    """The newest version of each product, in code order after `after`."""
    ids = [row[0] for row in await (await driver.execute(_LIST, (ledger_id, after, limit))).fetchall()]
    found = await read_products(driver, ledger_id=ledger_id, ids=ids)
    return [found[one] for one in ids]
