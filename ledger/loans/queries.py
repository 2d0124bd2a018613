"""Reading loans: one with what it owes, many, their events, statements, quotes and ages. All figures come from the
loans' accounts; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import Driver, driver
from ledger.journal.books import Ledger
from ledger.loans.accruing import work_of_days
from ledger.loans.ageing import Bucket, bucket_of, days_past_due
from ledger.loans.books import PrincipalBook
from ledger.loans.dues import Due, Parts, Payoff, dues_of, sum_parts
from ledger.loans.loan import State
from ledger.loans.refusals import LoanNotFound, LoanNotReady
from ledger.loans.schedule import day_of
from ledger.loans.settling import quote_of
from ledger.loans.terms import Part
from ledger.loans.writing import Loan, Standing, read_loans, read_repaid, read_standings
from ledger.money import Money

_loans, _events = tables.loans.c, tables.loan_events.c

# An account of one loan has few postings: all of them are found by the account's own index.
_STATEMENT = """
WITH own AS (
    SELECT a.id, w.part FROM unnest(%(paths)s::text[], %(parts)s::text[]) AS w (path, part)
    JOIN accounts AS a ON a.ledger_id = %(ledger)s AND a.path = w.path AND a.currency = %(currency)s
), lines AS (
    SELECT p.entry_id, own.part, sum(CASE p.side WHEN 'D' THEN p.amount ELSE -p.amount END)::bigint AS units
    FROM own JOIN postings AS p ON p.ledger_id = %(ledger)s AND p.account_id = own.id AND p.entry_id > %(after)s
    GROUP BY 1, 2
)
SELECT e.id, e.kind, e.business_date, coalesce(e.reference, ''), e.recorded_at,
    coalesce(sum(units) FILTER (WHERE part = 'penalty'), 0)::bigint,
    coalesce(sum(units) FILTER (WHERE part = 'fee'), 0)::bigint,
    coalesce(sum(units) FILTER (WHERE part = 'interest'), 0)::bigint,
    coalesce(sum(units) FILTER (WHERE part = 'principal'), 0)::bigint,
    -coalesce(sum(units) FILTER (WHERE part = 'deferred_fee'), 0)::bigint,
    coalesce(sum(units) FILTER (WHERE part = 'written_off'), 0)::bigint
FROM lines JOIN journal_entries AS e ON e.ledger_id = %(ledger)s AND e.id = lines.entry_id
GROUP BY e.id, e.kind, e.business_date, e.reference, e.recorded_at ORDER BY e.id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class LoanView:
    """A loan, what its accounts hold, and the instalments with anything open; none before it exists."""

    loan: Loan
    standing: Standing
    dues: tuple[Due, ...]


@dataclass(frozen=True, slots=True)
class LoanEvent:
    """One change of a loan; `amount` is minor units."""

    version: int
    state: State
    event: str
    entry_id: int | None
    amount: int | None
    payout_id: int | None
    receipt_id: int | None
    detail: str | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What one entry did to what the borrower owes, part by part, minor units: positive where they owe more. Beside it,
    what it did to our unearned fee and to what is written off and pursued."""

    entry_id: int
    kind: str
    business_date: date
    reference: str
    recorded_at: datetime
    penalty: int
    fee: int
    interest: int
    principal: int
    deferred_fee: int
    written_off: int


@dataclass(frozen=True, slots=True)
class Age:
    """How late an active loan is."""

    loan: Loan
    outstanding: Parts
    overdue: Parts
    days: int
    bucket: Bucket


async def get_loan(connection: AsyncConnection, *, ledger: Ledger, loan_id: int) -> LoanView:
    """One loan. Raises LoanNotFound."""
    session = await driver(connection)
    loan = await _find(session, ledger, loan_id)
    return (await _views(session, ledger, [loan]))[0]


async def list_loans(
    connection: AsyncConnection,
    *,
    ledger: Ledger,
    states: Sequence[State],
    borrower: str,
    lender: str,
    before: int,
    limit: int,
) -> list[LoanView]:
    """Loans with ids below `before`, newest first, of these states or (none) of any, of one borrower and
    one lender or ("") of all."""
    query = select(_loans.id).where(_loans.ledger_id == ledger.id, _loans.id < before)
    if states:
        query = query.where(_loans.state.in_([state.value for state in states]))
    if borrower:
        query = query.where(_loans.borrower == borrower)
    if lender:
        query = query.where(_loans.lender == lender)
    ids = list((await connection.execute(query.order_by(_loans.id.desc()).limit(limit))).scalars())
    session = await driver(connection)
    found = await read_loans(session, ledger_id=ledger.id, loan_ids=ids)
    return await _views(session, ledger, [found[one] for one in ids])


async def list_events(
    connection: AsyncConnection, *, ledger: Ledger, loan_id: int, after: int, limit: int
) -> list[LoanEvent]:
    """What happened to a loan after a version, oldest first."""
    query = select(tables.loan_events).where(
        _events.ledger_id == ledger.id, _events.loan_id == loan_id, _events.version > after
    )
    return [_event(row) for row in await connection.execute(query.order_by(_events.version).limit(limit))]


async def list_statement_lines(
    connection: AsyncConnection, *, ledger: Ledger, loan_id: int, after: int, limit: int
) -> list[StatementLine]:
    """The statement of a loan: every entry on its accounts after an entry, in the books' order. Raises LoanNotFound."""
    session = await driver(connection)
    loan = await _find(session, ledger, loan_id)
    book = loan.book
    parts = {book.receivables.of(part): part.value for part in Part} | {book.written_off: "written_off"}
    if isinstance(book, PrincipalBook):
        parts[book.deferred_fee] = "deferred_fee"
    parameters = {
        "ledger": ledger.id,
        "currency": loan.net.currency,
        "paths": list(parts),
        "parts": list(parts.values()),
        "after": after,
        "limit": limit,
    }
    return [StatementLine(*row) for row in await (await session.execute(_STATEMENT, parameters)).fetchall()]


async def quote_settlement(
    connection: AsyncConnection, *, ledger: Ledger, loan_id: int, now: datetime
) -> tuple[Loan, Payoff]:
    """What closes an active loan today, as if the work of its days were done. Raises LoanNotFound, LoanNotReady."""
    session = await driver(connection)
    loan = await _find(session, ledger, loan_id)
    if loan.state is not State.ACTIVE:
        raise LoanNotReady(f"the loan is {loan.state.value}", field="loan_id", state=loan.state.value)
    standing = (await read_standings(session, ledger_id=ledger.id, loans=[loan]))[loan.id]
    repaid = (await read_repaid(session, ledger=ledger, loans=[loan]))[loan.id]
    today = day_of(now, ledger.zone)
    worked = work_of_days(loan, standing, repaid, until=today, zone=ledger.zone, now=now)
    charged = worked.loan.penalties_charged - loan.penalties_charged
    quote = quote_of(loan, standing, ledger=ledger, now=now)
    penalty = Money(loan.net.currency, charged)
    return loan, Payoff(quote.to_accrue, quote.accrue_before, quote.total + penalty)


async def list_ages(connection: AsyncConnection, *, ledger: Ledger, after: int, limit: int, now: datetime) -> list[Age]:
    """How late the active loans with ids above `after` are, oldest first."""
    query = select(_loans.id).where(
        _loans.ledger_id == ledger.id, _loans.state == State.ACTIVE.value, _loans.id > after
    )
    ids = list((await connection.execute(query.order_by(_loans.id).limit(limit))).scalars())
    session = await driver(connection)
    loans = await read_loans(session, ledger_id=ledger.id, loan_ids=ids)
    today = day_of(now, ledger.zone)
    return [_age(view, today) for view in await _views(session, ledger, list(loans.values()))]


async def _find(session: Driver, ledger: Ledger, loan_id: int) -> Loan:
    found = await read_loans(session, ledger_id=ledger.id, loan_ids=[loan_id])
    if loan_id not in found:
        raise LoanNotFound("no such loan in this ledger", field="loan_id")
    return found[loan_id]


async def _views(session: Driver, ledger: Ledger, loans: Sequence[Loan]) -> list[LoanView]:
    standings = await read_standings(session, ledger_id=ledger.id, loans=loans)
    return [LoanView(loan, standings[loan.id], _dues(loan, standings[loan.id])) for loan in loans]


def _dues(loan: Loan, standing: Standing) -> tuple[Due, ...]:
    if loan.state is not State.ACTIVE:
        return ()
    return dues_of(loan.schedule, outstanding=standing.outstanding, accrued_before=loan.accrued)


def _age(view: LoanView, today: date) -> Age:
    days = days_past_due(view.dues, today)
    overdue = [due.parts for due in view.dues if due.due_on < today]
    return Age(view.loan, view.standing.outstanding, sum_parts(view.loan.net.currency, overdue), days, bucket_of(days))


def _event(row: Row[Any]) -> LoanEvent:
    return LoanEvent(
        row.version,
        State(row.state),
        row.event,
        row.entry_id,
        row.amount,
        row.payout_id,
        row.receipt_id,
        row.detail,
        row.actor,
        row.recorded_at,
    )
