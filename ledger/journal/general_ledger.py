"""The general ledger: every account's lines within a period of business dates, between its opening and its closing
balance. Only reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import driver
from ledger.errors import AccountNotFound, SetTooLarge
from ledger.journal.balances import on_normal_side
from ledger.journal.entry import Side
from ledger.journal.span import Span, span_of_days

LINES_MAX = 100_000
_accounts, _days = tables.accounts.c, tables.account_days.c
_lines, _entries = tables.postings.c, tables.journal_entries.c


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One posting; `minor_units` stand on `side`, `balance_after` on the account's normal side, by business date."""

    entry_id: int
    business_date: date
    kind: str
    reference: str | None
    side: Side
    minor_units: int
    balance_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAccount:
    """An account that moved within the period. Balances are minor units on its normal side."""

    number: str
    path: str
    name: str
    currency: str
    opening: int
    lines: tuple[LedgerLine, ...]

    @property
    def closing(self) -> int:
        """After the last line."""
        return self.lines[-1].balance_after


async def general_ledger(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    from_date: date,
    until_date: date,
    path: str | None,
    lines_max: int = LINES_MAX,
) -> list[LedgerAccount]:
    """The accounts that moved on `from_date <= day < until_date`, by number; only the account of that path where one is
    given. Raises AccountNotFound, and SetTooLarge above `lines_max` lines."""
    if path is not None:
        await _check_account(connection, ledger_id, path)
    last = until_date - timedelta(days=1)
    span = await span_of_days(await driver(connection), ledger_id=ledger_id, first=from_date, last=last)
    query = _query(ledger_id, from_date, until_date, path, span).limit(lines_max + 1)
    rows = (await connection.execute(query)).all()
    if len(rows) > lines_max:
        raise SetTooLarge(
            f"more than {lines_max:,} lines were posted in this period; ask for a shorter one or a single account",
            field="until",
        )
    openings = await _openings(connection, ledger_id, from_date, {row.account_id for row in rows})
    groups = groupby(rows, key=lambda row: row.account_id)
    return [_account(list(own), openings) for _, own in groups]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPart(LedgerAccount):
    """Some of an account's lines: `opening` is before the first of these; `is_last` where no more follow."""

    is_last: bool


async def general_ledger_parts(
    connection: AsyncConnection, *, ledger_id: int, from_date: date, until_date: date, lines_at_once: int
) -> AsyncIterator[AccountPart]:
    """All that general_ledger() answers, however much it is, so many lines in memory: an account's parts follow each
    other. To be read within one transaction."""
    last = until_date - timedelta(days=1)
    span = await span_of_days(await driver(connection), ledger_id=ledger_id, first=from_date, last=last)
    before = _balances_before(ledger_id, from_date).subquery()
    query = (
        _query(ledger_id, from_date, until_date, None, span)
        .add_columns(
            func.coalesce(before.c.debits, 0).label("debits"), func.coalesce(before.c.credits, 0).label("credits")
        )
        .outerjoin(before, before.c.account_id == _accounts.id)
    )
    waiting: list[Row[Any]] = []
    balance: int | None = None
    async with connection.stream(query, execution_options={"max_row_buffer": lines_at_once}) as rows:
        async for row in rows:
            goes_on = bool(waiting) and row.account_id == waiting[0].account_id
            if waiting and (not goes_on or len(waiting) == lines_at_once):
                part = _part(waiting, balance, is_last=not goes_on)
                yield part
                waiting, balance = [], part.closing if goes_on else None
            waiting.append(row)
    if waiting:
        yield _part(waiting, balance, is_last=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDays:
    """A page of one account's lines; opening and closing are of the whole period, on its normal side. `next_after` is
    where the page behind it begins; None on the last one."""

    opening: int
    closing: int
    lines: tuple[LedgerLine, ...]
    next_after: tuple[date, int, int] | None


async def account_days(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    path: str,
    currency: str,
    days: tuple[date, date],
    after: tuple[date, int, int] | None,
    limit: int,
) -> AccountDays:
    """Up to `limit` lines of the half open `days` by business date, behind `after`: the date, the account's version and
    the balance that the page before ended with. Raises AccountNotFound."""
    account_id, normal_side = await _find_account(connection, ledger_id, path, currency)
    from_date, until_date = days
    balances = [await _balance_before(connection, ledger_id, account_id, normal_side, day) for day in days]
    last = until_date - timedelta(days=1)
    span = await span_of_days(await driver(connection), ledger_id=ledger_id, first=from_date, last=last)
    query = _query(ledger_id, from_date, until_date, path, span).where(_accounts.id == account_id).limit(limit + 1)
    if after is not None:
        query = query.where(tuple_(_entries.business_date, _lines.account_version) > tuple_(*after[:2]))
    rows = (await connection.execute(query)).all()
    lines = _lines_of(rows[:limit], normal_side, balances[0] if after is None else after[2])
    more = len(rows) > limit
    end = (lines[-1].business_date, int(rows[limit - 1].account_version), lines[-1].balance_after) if more else None
    return AccountDays(opening=balances[0], closing=balances[1], lines=tuple(lines), next_after=end)


async def _find_account(connection: AsyncConnection, ledger_id: int, path: str, currency: str) -> tuple[int, Side]:
    own = (_accounts.ledger_id == ledger_id, _accounts.path == path, _accounts.currency == currency)
    found = (await connection.execute(select(_accounts.id, _accounts.normal_side).where(*own))).first()
    if found is None:
        raise AccountNotFound("no account of this path and currency in this ledger", field="path")
    return int(found.id), Side(found.normal_side)


async def _balance_before(
    connection: AsyncConnection, ledger_id: int, account_id: int, normal_side: Side, day: date
) -> int:
    before = await _openings(connection, ledger_id, day, [account_id])
    debits, credits = before.get(account_id, (0, 0))
    return on_normal_side(normal_side, debits=debits, credits=credits)


async def _check_account(connection: AsyncConnection, ledger_id: int, path: str) -> None:
    known = select(_accounts.id).where(_accounts.ledger_id == ledger_id, _accounts.path == path).limit(1)
    if (await connection.execute(known)).first() is None:
        raise AccountNotFound("no account of this path in this ledger", field="path")


def _query(ledger_id: int, from_date: date, until_date: date, path: str | None, span: Span) -> Select[Any]:
    header = (_entries.ledger_id == _lines.ledger_id) & (_entries.id == _lines.entry_id)
    account = (_accounts.ledger_id == _lines.ledger_id) & (_accounts.id == _lines.account_id)
    order = (_accounts.number.collate("C"), _accounts.path.collate("C"), _accounts.currency.collate("C"))
    about = (_accounts.number, _accounts.path, _accounts.name, _accounts.normal_side)
    query = (
        select(tables.postings, _entries.business_date, _entries.kind, _entries.reference, *about)
        .join_from(tables.postings, tables.journal_entries, header)
        .join(tables.accounts, account)
        .where(
            _lines.ledger_id == ledger_id,
            _lines.entry_id.between(span.first_id, span.last_id),
            _entries.business_date >= from_date,
            _entries.business_date < until_date,
        )
        .order_by(*order, _entries.business_date, _lines.account_version)
    )
    return query if path is None else query.where(_accounts.path == path)


async def _openings(
    connection: AsyncConnection, ledger_id: int, from_date: date, account_ids: Iterable[int]
) -> dict[int, tuple[int, int]]:
    """Debits and credits of each account before the period."""
    query = _balances_before(ledger_id, from_date).where(_days.account_id.in_(account_ids))
    return {account_id: (int(debits), int(credits)) for account_id, debits, credits in await connection.execute(query)}


def _balances_before(ledger_id: int, from_date: date) -> Select[Any]:
    return (
        select(_days.account_id, func.sum(_days.debits).label("debits"), func.sum(_days.credits).label("credits"))
        .where(_days.ledger_id == ledger_id, _days.business_date < from_date)
        .group_by(_days.account_id)
    )


def _part(rows: list[Row[Any]], balance: int | None, *, is_last: bool) -> AccountPart:
    """`balance` is what the part before closed with; None for the first."""
    first = rows[0]
    normal_side = Side(first.normal_side)
    if balance is None:
        balance = on_normal_side(normal_side, debits=int(first.debits), credits=int(first.credits))
    return AccountPart(
        number=first.number, path=first.path, name=first.name, currency=first.currency, opening=balance,
        lines=tuple(_lines_of(rows, normal_side, balance)), is_last=is_last,
    )  # fmt: skip


def _account(rows: list[Row[Any]], openings: Mapping[int, tuple[int, int]]) -> LedgerAccount:
    first = rows[0]
    normal_side = Side(first.normal_side)
    debits, credits = openings.get(first.account_id, (0, 0))
    opening = on_normal_side(normal_side, debits=debits, credits=credits)
    return LedgerAccount(
        number=first.number,
        path=first.path,
        name=first.name,
        currency=first.currency,
        opening=opening,
        lines=tuple(_lines_of(rows, normal_side, opening)),
    )


def _lines_of(rows: Sequence[Row[Any]], normal_side: Side, balance: int) -> list[LedgerLine]:
    """`balance` is what stood before the first of them."""
    lines: list[LedgerLine] = []
    for row in rows:
        side = Side(row.side)
        balance += row.amount if side is normal_side else -row.amount
        line = LedgerLine(
            entry_id=row.entry_id,
            business_date=row.business_date,
            kind=row.kind,
            reference=row.reference,
            side=side,
            minor_units=row.amount,
            balance_after=balance,
        )
        lines.append(line)
    return lines
