"""An account's balance: now, as the books knew it at a recorded time, or at the end of a business date. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import driver
from ledger.journal.accounts import Account, find_account
from ledger.journal.entry import Side
from ledger.journal.history import find_positions, last_entry_id_at

_days = tables.account_days.c


@dataclass(frozen=True, slots=True)
class Balance:
    """`minor_units` on the normal side: an asset that owes shows negative. It may exceed what one posting may carry."""

    account: str
    currency: str
    normal_side: Side
    minor_units: int


async def balance_now(connection: AsyncConnection, *, ledger_id: int, path: str, currency: str) -> Balance:
    """The balance after the newest posting. Raises AccountNotFound."""
    account = await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)
    return _balance(account, account.balance)


async def balance_at(
    connection: AsyncConnection, *, ledger_id: int, path: str, currency: str, recorded_at: datetime
) -> Balance:
    """What the books knew at `recorded_at` (aware), its whole millisecond included. Raises AccountNotFound."""
    account = await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)
    (position,) = await find_positions(
        await driver(connection), ledger_id=ledger_id, account_id=account.id, bounds=[last_entry_id_at(recorded_at)]
    )
    return _balance(account, position.balance)


async def balance_on(
    connection: AsyncConnection, *, ledger_id: int, path: str, currency: str, business_date: date
) -> Balance:
    """What had happened by the end of `business_date` in the ledger's zone, as known now. Raises AccountNotFound."""
    account = await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)
    totals = select(func.coalesce(func.sum(_days.debits), 0), func.coalesce(func.sum(_days.credits), 0)).where(
        _days.ledger_id == ledger_id, _days.account_id == account.id, _days.business_date <= business_date
    )
    debits, credits = (await connection.execute(totals)).one()
    return _balance(account, on_normal_side(account.spec.normal_side, debits=int(debits), credits=int(credits)))


def on_normal_side(normal_side: Side, *, debits: int, credits: int) -> int:
    """What the totals leave on the side that increases the account. Pure."""
    return debits - credits if normal_side is Side.DEBIT else credits - debits


def _balance(account: Account, minor_units: int) -> Balance:
    return Balance(account.spec.path, account.spec.currency, account.spec.normal_side, minor_units)
