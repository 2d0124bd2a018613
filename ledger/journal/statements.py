"""The account statement: an account's postings with the balance after each, a page at a time in either direction.

Pages follow account_version, which counts an account's postings without a gap. Only reads.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.journal.accounts import find_account
from ledger.journal.entry import Side, Subject
from ledger.money import Money

_lines, _entries = tables.postings.c, tables.journal_entries.c


class Order(enum.Enum):
    """The direction of a statement, by when the books knew."""

    NEWEST_FIRST = "newest first"
    OLDEST_FIRST = "oldest first"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One posting as its account sees it. `balance_after` is in minor units on the account's normal side."""

    entry_id: int
    line: int
    account_version: int
    kind: str
    side: Side
    money: Money
    balance_after: int
    effective_at: datetime
    recorded_at: datetime
    business_date: date
    subject: Subject | None
    reference: str | None
    narrative: str | None


@dataclass(frozen=True, slots=True)
class StatementPage:
    """A page, and the account_version to continue after; 0 when this is the last page."""

    lines: tuple[StatementLine, ...]
    next_after: int


async def account_statement(
    connection: AsyncConnection, *, ledger_id: int, path: str, currency: str, order: Order, after: int, limit: int
) -> StatementPage:
    """At most `limit` lines that follow the account_version `after` in the given order; 0 starts at the first line of
    that order. Raises AccountNotFound."""
    account = await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)
    query = _query(ledger_id, account.id, order, after).limit(limit + 1)
    lines = [_line(row) for row in await connection.execute(query)]
    next_after = lines[limit - 1].account_version if len(lines) > limit else 0
    return StatementPage(tuple(lines[:limit]), next_after)


def _query(ledger_id: int, account_id: int, order: Order, after: int) -> Select[Any]:
    header = (_entries.ledger_id == _lines.ledger_id) & (_entries.id == _lines.entry_id)
    told = (_entries.kind, _entries.effective_at, _entries.recorded_at, _entries.business_date)
    about = (_entries.subject_kind, _entries.subject_id, _entries.reference, _entries.narrative)
    query = (
        select(tables.postings, *told, *about)
        .join_from(tables.postings, tables.journal_entries, header)
        .where(_lines.ledger_id == ledger_id, _lines.account_id == account_id)
    )
    if order is Order.OLDEST_FIRST:
        return query.where(_lines.account_version > after).order_by(_lines.account_version)
    if after > 0:
        query = query.where(_lines.account_version < after)
    return query.order_by(_lines.account_version.desc())


def _line(row: Row[Any]) -> StatementLine:
    return StatementLine(
        entry_id=row.entry_id,
        line=row.line,
        account_version=row.account_version,
        kind=row.kind,
        side=Side(row.side),
        money=Money(row.currency, row.amount),
        balance_after=row.balance_after,
        effective_at=row.effective_at,
        recorded_at=row.recorded_at,
        business_date=row.business_date,
        subject=Subject(row.subject_kind, row.subject_id) if row.subject_kind is not None else None,
        reference=row.reference,
        narrative=row.narrative,
    )
