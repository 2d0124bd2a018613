"""Accounts: opened in sets, found by path, bounded and closed under their balance row's lock. Never changed
otherwise."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Text, cast, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import Driver
from ledger.errors import AccountExists, AccountNotEmpty, AccountNotFound, ChartInvalid, FloorWouldBreak, SetTooLarge
from ledger.ids import IdSource
from ledger.journal.entry import Side, check_path
from ledger.money import exponent_of
from ledger.text import check_text

ACCOUNTS_PER_CALL_MAX = 1000
_IDENTITIES_KEPT_MAX = 200_000
_FIND = """
SELECT id, path, currency, normal_side FROM accounts
WHERE ledger_id = %s AND (path, currency) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_accounts, _balances = tables.accounts.c, tables.account_balances.c


class AccountClass(enum.Enum):
    """Where an account stands in the financial statements; memo accounts stand beside them."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"
    MEMO = "memo"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSpec:
    """An account to open. `floor` and `ceiling` bound the balance on the normal side, in minor units. `role`,
    `provider` and `wallet_ref` say what the account does for a provider's shortcode; `owner_kind` and `owner_ref` whose
    it is."""

    path: str
    name: str
    account_class: AccountClass
    normal_side: Side
    currency: str
    number: str = ""
    floor: int | None = None
    ceiling: int | None = None
    role: str | None = None
    provider: str | None = None
    wallet_ref: str | None = None
    owner_kind: str | None = None
    owner_ref: str | None = None

    def __post_init__(self) -> None:
        check_path(self.path, field="path")
        check_text(self.name, field="name", length_max=200)
        exponent_of(self.currency)
        if (self.account_class is AccountClass.MEMO) != self.path.startswith("memo."):
            raise ChartInvalid("memorandum accounts, and only they, have paths that begin with memo.", field="path")
        if self.floor is not None and self.ceiling is not None and self.floor > self.ceiling:
            raise ChartInvalid("the floor lies above the ceiling", field="floor")
        if (self.floor or 0) > 0 or (self.ceiling or 0) < 0:
            raise ChartInvalid(
                "a new account holds zero: the floor may not be above it, nor the ceiling below", field="floor"
            )


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """What the posting engine needs of an account and never changes; `sign` is +1 where debit is the normal side."""

    id: int
    path: str
    currency: str
    sign: int


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its balance row, as read now."""

    id: int
    spec: AccountSpec
    opened_at: datetime
    closed_at: datetime | None
    debits: int
    credits: int
    version: int
    floor: int | None
    ceiling: int | None

    @property
    def balance(self) -> int:
        """Minor units on the normal side."""
        return self.debits - self.credits if self.spec.normal_side is Side.DEBIT else self.credits - self.debits


class AccountDirectory:
    """The ids of accounts by path and currency, remembered per process: identities never change, so nothing goes
    stale."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, str], AccountIdentity] = {}

    async def find(self, driver: Driver, *, ledger_id: int, names: Iterable[tuple[str, str]]) -> list[AccountIdentity]:
        """The identities of the (path, currency) pairs that exist; one query for those not known yet."""
        wanted = [(ledger_id, path, currency) for path, currency in names]
        missing = [key for key in wanted if key not in self._known]
        if missing:
            if len(self._known) + len(missing) > _IDENTITIES_KEPT_MAX:
                self._known.clear()
                missing = wanted
            await self._learn(driver, ledger_id, missing)
        return [identity for key in wanted if (identity := self._known.get(key)) is not None]

    async def _learn(self, driver: Driver, ledger_id: int, keys: Sequence[tuple[int, str, str]]) -> None:
        cursor = await driver.execute(_FIND, (ledger_id, [key[1] for key in keys], [key[2] for key in keys]))
        for account_id, path, currency, normal_side in await cursor.fetchall():
            sign = 1 if normal_side == "D" else -1
            self._known[(ledger_id, path, currency)] = AccountIdentity(account_id, path, currency, sign)


async def open_accounts(
    connection: AsyncConnection, *, ledger_id: int, specs: Sequence[AccountSpec], ids: IdSource, now: datetime
) -> list[Account]:
    """Opens the accounts that are not there yet, with a balance row of zero, and returns all of them in order.

    An account that exists with the same identity is returned as it is; with another class, side or role AccountExists
    is raised and nothing is opened."""
    if len(specs) > ACCOUNTS_PER_CALL_MAX:
        raise SetTooLarge(f"open at most {ACCOUNTS_PER_CALL_MAX} accounts in one call", field="accounts")
    distinct = {(spec.path, spec.currency): spec for spec in specs}
    if distinct:
        rows = [_new_row(spec, ledger_id=ledger_id, ids=ids, now=now) for spec in distinct.values()]
        await _insert_missing(connection, ledger_id, rows, list(distinct.values()))
    found = {(one.spec.path, one.spec.currency): one for one in await _find(connection, ledger_id, distinct)}
    for index, spec in enumerate(specs):
        account = found.get((spec.path, spec.currency))
        if account is None or _identity(account.spec) != _identity(spec):
            raise AccountExists(
                f"{spec.path} in {spec.currency} clashes with an existing account's path, class, normal side or role",
                field=f"accounts[{index}]",
                account=spec.path,
            )
    return [found[(spec.path, spec.currency)] for spec in specs]


async def _insert_missing(
    connection: AsyncConnection, ledger_id: int, rows: list[dict[str, object]], specs: Sequence[AccountSpec]
) -> None:
    statement = postgresql_insert(tables.accounts).on_conflict_do_nothing().returning(_accounts.id, _accounts.path)
    opened = {(row.path, row.id) for row in await connection.execute(statement, rows)}
    balances = [
        {"ledger_id": ledger_id, "account_id": row["id"], "floor": spec.floor, "ceiling": spec.ceiling}
        for row, spec in zip(rows, specs, strict=True)
        if (row["path"], row["id"]) in opened
    ]
    if balances:
        # What returns something goes as one statement; else it would be one for each row.
        await connection.execute(insert(tables.account_balances).returning(_balances.account_id), balances)


def _new_row(spec: AccountSpec, *, ledger_id: int, ids: IdSource, now: datetime) -> dict[str, object]:
    return {
        "ledger_id": ledger_id,
        "id": ids.next(now),
        "path": spec.path,
        "number": spec.number,
        "name": spec.name,
        "class": spec.account_class.value,
        "normal_side": spec.normal_side.value,
        "currency": spec.currency,
        "role": spec.role,
        "provider": spec.provider,
        "wallet_ref": spec.wallet_ref,
        "owner_kind": spec.owner_kind,
        "owner_ref": spec.owner_ref,
        "opened_at": now,
    }


def _identity(spec: AccountSpec) -> tuple[object, ...]:
    owner = (spec.owner_kind, spec.owner_ref)
    return (spec.account_class, spec.normal_side, spec.role, spec.provider, spec.wallet_ref, owner)


def _query(*conditions: ColumnElement[bool]) -> Select[Any]:
    joined = tables.accounts.join(
        tables.account_balances,
        (_balances.ledger_id == _accounts.ledger_id) & (_balances.account_id == _accounts.id),
    )
    balance = (_balances.debits, _balances.credits, _balances.version, _balances.floor, _balances.ceiling)
    return select(tables.accounts, *balance, _balances.closed_at).select_from(joined).where(*conditions)


async def _find(connection: AsyncConnection, ledger_id: int, names: Iterable[tuple[str, str]]) -> list[Account]:
    named = list(names)
    paths, currencies = ([one[part] for one in named] for part in (0, 1))
    pairs = select(func.unnest(cast(paths, ARRAY(Text))), func.unnest(cast(currencies, ARRAY(Text))))
    wanted = tuple_(_accounts.path, _accounts.currency).in_(pairs)
    return [_account(row) for row in await connection.execute(_query(_accounts.ledger_id == ledger_id, wanted))]


async def find_account(connection: AsyncConnection, *, ledger_id: int, path: str, currency: str) -> Account:
    """One account with its balance now. Raises AccountNotFound."""
    found = await _find(connection, ledger_id, [(path, currency)])
    if not found:
        raise AccountNotFound(f"no account {path:.200} in {currency:.3}", field="account")
    return found[0]


async def list_accounts(
    connection: AsyncConnection, *, ledger_id: int, path_prefix: str, after: tuple[str, str], limit: int
) -> list[Account]:
    """Accounts in path order from a (path, currency) on, those whose path begins with the prefix."""
    conditions = [_accounts.ledger_id == ledger_id, tuple_(_accounts.path, _accounts.currency) > after]
    if path_prefix:
        conditions.append(_accounts.path.startswith(path_prefix, autoescape=True))
    query = _query(*conditions).order_by(_accounts.path, _accounts.currency).limit(limit)
    return [_account(row) for row in await connection.execute(query)]


async def close_account(
    connection: AsyncConnection, *, ledger_id: int, path: str, currency: str, now: datetime
) -> Account:
    """Closes an account that holds nothing; closing it again changes nothing. Raises AccountNotFound,
    AccountNotEmpty."""
    account = await _lock(connection, ledger_id, path, currency)
    if account.balance != 0:
        raise AccountNotEmpty(f"{path} still holds money; move it out first", field="account")
    if account.closed_at is None:
        await _update(connection, ledger_id, account, closed_at=now)
    return await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)


async def set_bounds(
    connection: AsyncConnection, *, ledger_id: int, path: str, currency: str, floor: int | None, ceiling: int | None
) -> Account:
    """Sets floor and ceiling. Raises ChartInvalid, AccountNotFound, and FloorWouldBreak where the balance is
    outside."""
    if floor is not None and ceiling is not None and floor > ceiling:
        raise ChartInvalid("the floor lies above the ceiling", field="floor")
    account = await _lock(connection, ledger_id, path, currency)
    if (floor is not None and account.balance < floor) or (ceiling is not None and account.balance > ceiling):
        raise FloorWouldBreak(f"{path} holds a balance outside these bounds already", field="floor")
    await _update(connection, ledger_id, account, floor=floor, ceiling=ceiling)
    return await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)


async def _lock(connection: AsyncConnection, ledger_id: int, path: str, currency: str) -> Account:
    account = await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)
    row = (_balances.ledger_id == ledger_id) & (_balances.account_id == account.id)
    await connection.execute(select(_balances.version).where(row).with_for_update(key_share=True))
    return await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)


async def _update(connection: AsyncConnection, ledger_id: int, account: Account, **values: object) -> None:
    row = (_balances.ledger_id == ledger_id) & (_balances.account_id == account.id)
    await connection.execute(update(tables.account_balances).where(row).values(**values))


def _account(row: Row[Any]) -> Account:
    fields = row._mapping
    spec = AccountSpec(
        path=row.path,
        name=row.name,
        account_class=AccountClass(fields["class"]),
        normal_side=Side(row.normal_side),
        currency=row.currency,
        number=row.number,
        role=row.role,
        provider=row.provider,
        wallet_ref=row.wallet_ref,
        owner_kind=row.owner_kind,
        owner_ref=row.owner_ref,
    )
    return Account(
        row.id, spec, row.opened_at, row.closed_at, row.debits, row.credits, row.version, row.floor, row.ceiling
    )
