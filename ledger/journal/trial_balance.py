"""The trial balance: every account's debits and credits, and the proof that they are equal. Only reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, Subquery, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.journal.accounts import AccountClass
from ledger.journal.balances import on_normal_side
from ledger.journal.entry import Side

_accounts, _balances, _days = tables.accounts.c, tables.account_balances.c, tables.account_days.c


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
    moved = (
        select(_balances.account_id, _balances.debits, _balances.credits)
        .where(_balances.ledger_id == ledger_id, _balances.version > 0)
        .subquery()
    )
    return await _read(connection, ledger_id, moved)


async def trial_balance_on(connection: AsyncConnection, *, ledger_id: int, business_date: date) -> TrialBalance:
    """What had happened by the end of `business_date` in the ledger's zone; accounts that moved later have no line."""
    moved = (
        select(_days.account_id, func.sum(_days.debits).label("debits"), func.sum(_days.credits).label("credits"))
        .where(_days.ledger_id == ledger_id, _days.business_date <= business_date)
        .group_by(_days.account_id)
        .subquery()
    )
    return await _read(connection, ledger_id, moved)


async def _read(connection: AsyncConnection, ledger_id: int, moved: Subquery) -> TrialBalance:
    # Collation "C" orders by bytes, so that every server prints the same page.
    order = (_accounts.number.collate("C"), _accounts.path.collate("C"), _accounts.currency.collate("C"))
    query = (
        select(tables.accounts, moved.c.debits, moved.c.credits)
        .join_from(tables.accounts, moved, _accounts.id == moved.c.account_id)
        .where(_accounts.ledger_id == ledger_id)
        .order_by(*order)
    )
    lines = tuple(_line(row) for row in await connection.execute(query))
    return TrialBalance(lines, add_up(lines))


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
