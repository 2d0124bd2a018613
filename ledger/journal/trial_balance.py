"""The trial balance: every account's debits and credits, and the proof that they are equal. Only reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Subquery, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.journal.accounts import AccountClass
from ledger.journal.balances import on_normal_side
from ledger.journal.entry import Side

_accounts, _balances, _days = tables.accounts.c, tables.account_balances.c, tables.account_days.c
# Collation "C" orders by bytes, so that every server prints the same page.
_ORDER = (_accounts.number.collate("C"), _accounts.path.collate("C"), _accounts.currency.collate("C"))


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """One account's totals, in minor units."""

    number: str
    path: str
    name: str
    account_class: AccountClass
    normal_side: Side
    currency: str
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        """Minor units on the normal side."""
        return on_normal_side(self.normal_side, debits=self.debits, credits=self.credits)


@dataclass(frozen=True, slots=True)
class TrialBalanceTotal:
    """All debits and credits of one currency, in minor units; memorandum accounts stand apart."""

    currency: str
    is_memo: bool
    debits: int
    credits: int


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Lines by number, path and currency; totals by currency, those of memorandum accounts after the others'."""

    lines: tuple[TrialBalanceLine, ...]
    totals: tuple[TrialBalanceTotal, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether debits equal credits in every total."""
        return all(total.debits == total.credits for total in self.totals)


async def trial_balance(connection: AsyncConnection, *, ledger_id: int) -> TrialBalance:
    """Everything posted so far; accounts that never moved have no line."""
    return await _read(connection, ledger_id, _moved(ledger_id))


async def trial_balance_on(connection: AsyncConnection, *, ledger_id: int, business_date: date) -> TrialBalance:
    """What had happened by the end of `business_date` in the ledger's zone; accounts that moved later have no line."""
    return await _read(connection, ledger_id, _moved_by(ledger_id, business_date))


async def trial_balance_between(
    connection: AsyncConnection, *, ledger_id: int, from_date: date, until_date: date
) -> TrialBalance:
    """What moved on `from_date <= day < until_date` in the ledger's zone."""
    days = (_days.business_date >= from_date, _days.business_date < until_date)
    return await _read(connection, ledger_id, _moved_on(ledger_id, *days))


async def trial_balance_page(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    business_date: date | None,
    after: tuple[str, str] | None,
    limit: int,
) -> TrialBalance:
    """The lines that follow the account of that (path, currency), and the totals over all lines; of everything posted
    so far where no date is given."""
    moved = _moved(ledger_id) if business_date is None else _moved_by(ledger_id, business_date)
    query = _lines(ledger_id, moved).limit(limit)
    if after is not None:
        number = select(_accounts.number).where(
            _accounts.ledger_id == ledger_id, _accounts.path == after[0], _accounts.currency == after[1]
        )
        found = (await connection.execute(number)).scalar_one_or_none()
        query = query.where(tuple_(*_ORDER) > tuple_(found or "", *after))
    lines = tuple(_line(row) for row in await connection.execute(query))
    return TrialBalance(lines, await _totals(connection, ledger_id, moved))


def _moved(ledger_id: int) -> Subquery:
    return (
        select(_balances.account_id, _balances.debits, _balances.credits)
        .where(_balances.ledger_id == ledger_id, _balances.version > 0)
        .subquery()
    )


def _moved_by(ledger_id: int, business_date: date) -> Subquery:
    return _moved_on(ledger_id, _days.business_date <= business_date)


def _moved_on(ledger_id: int, *days: ColumnElement[bool]) -> Subquery:
    return (
        select(_days.account_id, func.sum(_days.debits).label("debits"), func.sum(_days.credits).label("credits"))
        .where(_days.ledger_id == ledger_id, *days)
        .group_by(_days.account_id)
        .subquery()
    )


def _lines(ledger_id: int, moved: Subquery) -> Select[Any]:
    return (
        select(tables.accounts, moved.c.debits, moved.c.credits)
        .join_from(tables.accounts, moved, _accounts.id == moved.c.account_id)
        .where(_accounts.ledger_id == ledger_id)
        .order_by(*_ORDER)
    )


async def _read(connection: AsyncConnection, ledger_id: int, moved: Subquery) -> TrialBalance:
    lines = tuple(_line(row) for row in await connection.execute(_lines(ledger_id, moved)))
    return TrialBalance(lines, add_up(lines))


async def _totals(connection: AsyncConnection, ledger_id: int, moved: Subquery) -> tuple[TrialBalanceTotal, ...]:
    """add_up() of all lines, by the database."""
    group = ((_accounts["class"] == AccountClass.MEMO.value).label("memo"), _accounts.currency)
    query = (
        select(*group, func.sum(moved.c.debits), func.sum(moved.c.credits))
        .join_from(tables.accounts, moved, _accounts.id == moved.c.account_id)
        .where(_accounts.ledger_id == ledger_id)
        .group_by(*group)
    )
    rows = [
        (memo, currency, int(debits), int(credits))
        for memo, currency, debits, credits in await connection.execute(query)
    ]
    return tuple(TrialBalanceTotal(currency, memo, *both) for memo, currency, *both in sorted(rows))


def _line(row: Row[Any]) -> TrialBalanceLine:
    return TrialBalanceLine(
        number=row.number,
        path=row.path,
        name=row.name,
        account_class=AccountClass(row._mapping["class"]),
        normal_side=Side(row.normal_side),
        currency=row.currency,
        debits=int(row.debits),
        credits=int(row.credits),
    )


def add_up(lines: Iterable[TrialBalanceLine]) -> tuple[TrialBalanceTotal, ...]:
    """The totals of the lines. Pure."""
    totals: dict[tuple[bool, str], tuple[int, int]] = {}
    for line in lines:
        group = (line.account_class is AccountClass.MEMO, line.currency)
        debits, credits = totals.get(group, (0, 0))
        totals[group] = (debits + line.debits, credits + line.credits)
    return tuple(TrialBalanceTotal(currency, is_memo, *both) for (is_memo, currency), both in sorted(totals.items()))
