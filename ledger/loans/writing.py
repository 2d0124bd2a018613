"""The SQL of loans, each statement for a whole set: adding, locking, reading what their accounts hold, and changing
them. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.loans import accounts
from ledger.loans.accrual import PrincipalRepaid
from ledger.loans.books import Book, LoanMoney, PrincipalBook
from ledger.loans.dues import Parts
from ledger.loans.loan import Event, Move, State, Stay
from ledger.loans.products import Product, read_products
from ledger.loans.refusals import LoanNotFound
from ledger.loans.schedule import Schedule
from ledger.loans.terms import Mode, Part
from ledger.money import Money

PREFIX = "loan"

_ADD = """
WITH added AS (
    INSERT INTO loans (ledger_id, id, product_id, borrower, party_id, lender, currency, gross, net, fee, reference,
        second_person, requested_by, state, version, penalties_charged, created_at, updated_at)
    VALUES (%(ledger)s, %(id)s, %(product)s, %(borrower)s, %(party)s, %(lender)s, %(currency)s, %(gross)s, %(net)s,
        %(fee)s, %(reference)s, %(second)s, %(actor)s, 'REQUESTED', 1, 0, %(now)s, %(now)s)
)
INSERT INTO loan_events (ledger_id, loan_id, version, state, event, actor, recorded_at)
VALUES (%(ledger)s, %(id)s, 1, 'REQUESTED', 'requested', %(actor)s, %(now)s)
"""
_LOCK = "SELECT FROM loans WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_READ = """
SELECT l.id, l.product_id, l.borrower, l.party_id, y.payee_masked, l.lender, l.currency, l.net, l.fee, l.reference,
    l.requested_by, l.approved_by, l.state, l.version, l.payout_id, l.starts_on, l.accrued_before, l.worked_before,
    l.penalties_charged, l.created_at, l.updated_at
FROM loans AS l JOIN parties AS y ON y.ledger_id = l.ledger_id AND y.id = l.party_id
WHERE l.ledger_id = %s AND l.id = ANY(%s) ORDER BY l.id
"""
_TO_WORK = """
SELECT id FROM loans WHERE ledger_id = %s AND state = 'ACTIVE' AND worked_before < %s ORDER BY worked_before, id
LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""
# Each ledger has its own today.
_LEDGERS_TO_WORK = """
SELECT g.id FROM ledgers AS g WHERE EXISTS (
    SELECT FROM loans AS l WHERE l.ledger_id = g.id AND l.state = 'ACTIVE'
       AND l.worked_before < (%s::timestamptz AT TIME ZONE g.time_zone)::date)
"""
_OF_PAYOUTS = """
SELECT payout_id, loan_id FROM loan_events
WHERE ledger_id = %s AND payout_id = ANY(%s) AND event = 'disbursement_started'
"""
_STEP = """
WITH step AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(version)s::int[], %(approved)s::text[],
        %(payout)s::bigint[], %(starts)s::date[], %(accrued)s::date[], %(worked)s::date[], %(penalties)s::bigint[],
        %(event)s::text[], %(entry)s::bigint[], %(amount)s::bigint[], %(about)s::bigint[], %(receipt)s::bigint[],
        %(detail)s::text[], %(actor)s::text[])
        AS s (id, state, version, approved_by, payout_id, starts_on, accrued_before, worked_before, penalties_charged,
            event, entry_id, amount, about_payout, receipt_id, detail, actor)
), changed AS (
    UPDATE loans AS l SET state = s.state, version = s.version, approved_by = s.approved_by, payout_id = s.payout_id,
        starts_on = s.starts_on, accrued_before = s.accrued_before, worked_before = s.worked_before,
        penalties_charged = s.penalties_charged, updated_at = %(now)s
    FROM step AS s WHERE l.ledger_id = %(ledger)s AND l.id = s.id AND l.version = s.version - 1
    RETURNING l.id
), told AS (
    INSERT INTO loan_events (ledger_id, loan_id, version, state, event, entry_id, amount, payout_id, receipt_id, detail,
        actor, recorded_at)
    SELECT %(ledger)s, id, version, state, event, entry_id, amount, about_payout, receipt_id, detail, actor, %(now)s
    FROM step
)
SELECT count(*) FROM changed
"""
_HELD = """
SELECT a.path, b.debits - b.credits FROM unnest(%s::text[], %s::text[]) AS w (path, currency)
JOIN accounts AS a ON a.ledger_id = %s AND a.path = w.path AND a.currency = w.currency
JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
"""
# By when it happened: what is learned behind a close has the business date of the first open day.
_DAYS = """
SELECT a.path, (e.effective_at AT TIME ZONE %s::text)::date,
    sum(CASE p.side WHEN 'C' THEN p.amount ELSE -p.amount END)::bigint
FROM unnest(%s::text[], %s::text[]) AS w (path, currency)
JOIN accounts AS a ON a.ledger_id = %s AND a.path = w.path AND a.currency = w.currency
JOIN postings AS p ON p.ledger_id = a.ledger_id AND p.account_id = a.id
JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLoan:
    """A loan that was asked for."""

    id: int
    product: Product
    borrower: str
    party_id: int
    lender: str | None
    gross: Money
    net: Money
    fee: Money
    reference: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """A loan as it was read, under its lock where it is to change. `starts_on` and the days after it are None until it
    exists; `penalties_charged` is minor units."""

    id: int
    product: Product
    borrower: str
    party_id: int
    payee_masked: str
    lender: str | None
    net: Money
    fee: Money
    reference: str
    requested_by: str
    approved_by: str | None
    state: State
    version: int
    payout_id: int | None
    starts_on: date | None
    accrued_before: date | None
    worked_before: date | None
    penalties_charged: int
    created_at: datetime
    updated_at: datetime

    @property
    def public_id(self) -> str:
        """What everybody outside knows it by."""
        return encode(PREFIX, self.id)

    @property
    def gross(self) -> Money:
        """What is owed as principal once it is paid out."""
        return self.net + self.fee

    @property
    def book(self) -> Book:
        """Its accounts."""
        name = self.public_id.lower()
        if self.product.terms.mode is Mode.PRINCIPAL:
            return accounts.principal_book(loan=name, borrower=self.borrower)
        assert self.lender is not None, "a lender's loan has a lender"
        return accounts.agent_book(loan=name, lender=self.lender, borrower=self.borrower)

    @property
    def money(self) -> LoanMoney:
        """What its entries need."""
        return LoanMoney(self.public_id, self.book, self.net, self.fee)

    @property
    def schedule(self) -> Schedule:
        """What is due when, of a loan that exists."""
        assert self.starts_on is not None, "a loan that does not exist has no schedule"
        return self.product.schedule(self.gross, self.starts_on)

    @property
    def accrued(self) -> date:
        """The day before which interest is in the books, of a loan that exists."""
        assert self.accrued_before is not None
        return self.accrued_before

    @property
    def worked(self) -> date:
        """The day before which all days' work is done, of a loan that exists."""
        assert self.worked_before is not None
        return self.worked_before

    def moved(self, verdict: Move | Stay, **changes: Any) -> Loan:
        """After an event that the state table allows: one version on."""
        state = verdict.target if isinstance(verdict, Move) else self.state
        return replace(self, state=state, version=self.version + 1, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A loan after an event, and what is told of that. `about_payout` is the payout that the event is about; `amount`
    is minor units. `outstanding` is what is owed after it, where another step may follow in the set; else the books
    say."""

    loan: Loan
    event: Event
    actor: str
    entry_id: int | None = None
    amount: int | None = None
    about_payout: int | None = None
    receipt_id: int | None = None
    detail: str | None = None
    outstanding: Money | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a loan's own accounts hold."""

    outstanding: Parts
    deferred_fee: Money
    written_off: Money


async def add_loan(driver: Driver, *, ledger_id: int, loan: NewLoan, now: datetime) -> None:
    """Adds a loan, requested."""
    parameters = {
        "ledger": ledger_id,
        "id": loan.id,
        "product": loan.product.id,
        "borrower": loan.borrower,
        "party": loan.party_id,
        "lender": loan.lender,
        "currency": loan.gross.currency,
        "gross": loan.gross.minor_units,
        "net": loan.net.minor_units,
        "fee": loan.fee.minor_units,
        "reference": loan.reference,
        "second": loan.product.second_person,
        "actor": loan.actor,
        "now": now,
    }
    await driver.execute(_ADD, parameters)


async def lock_loans(driver: Driver, *, ledger_id: int, loan_ids: Iterable[int]) -> dict[int, Loan]:
    """Locks loans in id order, so that two sets never wait for each other, and reads them as they are then."""
    wanted = sorted(set(loan_ids))
    if not wanted:
        return {}
    await driver.execute(_LOCK, (ledger_id, wanted))
    return await read_loans(driver, ledger_id=ledger_id, loan_ids=wanted)


async def lock_loan(driver: Driver, *, ledger_id: int, loan_id: int) -> Loan:
    """One. Raises LoanNotFound."""
    found = await lock_loans(driver, ledger_id=ledger_id, loan_ids=[loan_id])
    if loan_id not in found:
        raise LoanNotFound("no such loan in this ledger", field="loan_id")
    return found[loan_id]


async def lock_loans_to_work(driver: Driver, *, ledger_id: int, until: date, limit: int) -> list[Loan]:
    """Locks loans whose days' work is not done until then, the furthest behind first; those others work on are left to
    them."""
    rows = await (await driver.execute(_TO_WORK, (ledger_id, until, limit))).fetchall()
    return list((await read_loans(driver, ledger_id=ledger_id, loan_ids=[row[0] for row in rows])).values())


async def find_ledgers_to_work(driver: Driver, *, now: datetime) -> set[int]:
    """The ledgers in which some loan's work is not done for all days before their own today."""
    return {row[0] for row in await (await driver.execute(_LEDGERS_TO_WORK, (now,))).fetchall()}


async def find_loans_of_payouts(driver: Driver, *, ledger_id: int, payout_ids: Collection[int]) -> dict[int, int]:
    """Which loan each payout was to pay out."""
    cursor = await driver.execute(_OF_PAYOUTS, (ledger_id, list(payout_ids)))
    return dict(await cursor.fetchall())


async def read_loans(driver: Driver, *, ledger_id: int, loan_ids: Collection[int]) -> dict[int, Loan]:
    """Loans by id, unlocked, in id order."""
    rows = await (await driver.execute(_READ, (ledger_id, list(loan_ids)))).fetchall()
    products = await read_products(driver, ledger_id=ledger_id, ids={row[1] for row in rows}) if rows else {}
    return {row[0]: _loan(row, products) for row in rows}


async def write_steps(driver: Driver, *, ledger_id: int, steps: Sequence[Step], now: datetime) -> None:
    """Changes locked loans, at most one step of each, and tells of it."""
    if not steps:
        return
    loans = [one.loan for one in steps]
    parameters: dict[str, object] = {
        "ledger": ledger_id,
        "now": now,
        "id": [one.id for one in loans],
        "state": [one.state.value for one in loans],
        "version": [one.version for one in loans],
        "approved": [one.approved_by for one in loans],
        "payout": [one.payout_id for one in loans],
        "starts": [one.starts_on for one in loans],
        "accrued": [one.accrued_before for one in loans],
        "worked": [one.worked_before for one in loans],
        "penalties": [one.penalties_charged for one in loans],
        "event": [one.event.value for one in steps],
        "entry": [one.entry_id for one in steps],
        "amount": [one.amount for one in steps],
        "about": [one.about_payout for one in steps],
        "receipt": [one.receipt_id for one in steps],
        "detail": [one.detail[:200] if one.detail else None for one in steps],
        "actor": [one.actor for one in steps],
    }
    row = await (await driver.execute(_STEP, parameters)).fetchone()
    assert row is not None
    assert row[0] == len(steps), "a locked loan changed"


async def read_standings(driver: Driver, *, ledger_id: int, loans: Sequence[Loan]) -> dict[int, Standing]:
    """What the loans' accounts hold. They change under their loans' locks alone."""
    paths = {(path, loan.net.currency) for loan in loans for path in _own_accounts(loan.book)}
    columns = [list(column) for column in zip(*paths, strict=True)] if paths else [[], []]
    held: dict[str, int] = dict(await (await driver.execute(_HELD, (*columns, ledger_id))).fetchall())
    return {loan.id: _standing(loan, held) for loan in loans}


async def read_repaid(
    driver: Driver, *, ledger: Ledger, loans: Sequence[Loan]
) -> dict[int, tuple[PrincipalRepaid, ...]]:
    """What was paid back of the principal of each, by the day on which it was, whenever the books learned of it."""
    by_path = {loan.book.receivables.principal: loan for loan in loans}
    place = (ledger.zone.key, list(by_path), [loan.net.currency for loan in loans], ledger.id)
    repaid: dict[int, tuple[PrincipalRepaid, ...]] = {loan.id: () for loan in loans}
    for path, day, units in await (await driver.execute(_DAYS, place)).fetchall():
        loan = by_path[path]
        # The day it was paid out has the whole principal on the other side.
        paid = int(units) + (loan.gross.minor_units if day == loan.starts_on else 0)
        repaid[loan.id] = (*repaid[loan.id], PrincipalRepaid(day, paid))
    return repaid


def _own_accounts(book: Book) -> list[str]:
    deferred = [book.deferred_fee] if isinstance(book, PrincipalBook) else []
    return [*(book.receivables.of(part) for part in Part), *deferred, book.written_off]


def _standing(loan: Loan, held: Mapping[str, int]) -> Standing:
    book, currency = loan.book, loan.net.currency
    owed = {part.value: held.get(book.receivables.of(part), 0) for part in Part}
    deferred = -held.get(book.deferred_fee, 0) if isinstance(book, PrincipalBook) else 0
    return Standing(Parts(currency, **owed), Money(currency, deferred), Money(currency, held.get(book.written_off, 0)))


def _loan(row: Sequence[Any], products: Mapping[int, Product]) -> Loan:
    currency = row[6]
    return Loan(
        id=row[0],
        product=products[row[1]],
        borrower=row[2],
        party_id=row[3],
        payee_masked=row[4],
        lender=row[5],
        net=Money(currency, row[7]),
        fee=Money(currency, row[8]),
        reference=row[9],
        requested_by=row[10],
        approved_by=row[11],
        state=State(row[12]),
        version=row[13],
        payout_id=row[14],
        starts_on=row[15],
        accrued_before=row[16],
        worked_before=row[17],
        penalties_charged=row[18],
        created_at=row[19],
        updated_at=row[20],
    )
