"""Partners: who may ask for money to move, and the prefunded account it comes from; and the API keys of callers.

A key is `dft_<id>_<secret>`: the secret is 256 random bits, shown once; only its SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import ids as identifiers
from ledger import tables
from ledger.database import Driver
from ledger.errors import AmountInvalid, KeyNotFound, NotAuthenticated, PartnerExists, PartnerNotFound, TextInvalid
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.books import Ledger
from ledger.money import Money
from ledger.text import check_text

_CODE = re.compile(r"[a-z][a-z0-9-]{1,31}", re.ASCII)
_partners, _keys = tables.partners.c, tables.api_keys.c
_HOLD = "SELECT FROM partners WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id FOR KEY SHARE"
_HOLD_ALONE = "SELECT FROM partners WHERE ledger_id = %s AND id = %s FOR UPDATE"
SECRET_BYTES = 32
# Everything of a key but its secret, as ApiKey takes it.
_SHOWN = (_keys.id, _keys.name, _keys.permissions, _keys.created_at, _keys.expires_at, _keys.revoked_at)
# Minor units, far above any fee, so that a payout and its fee together are always an amount.
FEE_MAX = 10**9


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner of one ledger, funded in one currency. `payout_fee` is what each payout costs it on top."""

    id: int
    ledger_id: int
    code: str
    name: str
    payout_fee: Money
    suspended: bool

    @property
    def funding_account(self) -> str:
        """The path its payouts are paid from."""
        return chart.partner_account(partner=self.code, currency=self.payout_fee.currency).path


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    id: int
    name: str
    permissions: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whom a key speaks for: an operator of every ledger (ledger_id None), of one ledger, or one partner. `client_id`
    is the same for all keys of a partner, and for keys of one name elsewhere: request ids are unique per client."""

    client_id: int
    name: str
    ledger_id: int | None
    partner_id: int | None
    permissions: frozenset[str]


async def create_partner(
    connection: AsyncConnection,
    *,
    ledger: Ledger,
    code: str,
    name: str,
    payout_fee: Money,
    ids: IdSource,
    now: datetime,
) -> Partner:
    """Adds a partner and opens its prefunded account in the fee's currency. Raises TextInvalid, AmountInvalid and
    PartnerExists."""
    if not _CODE.fullmatch(code):
        raise TextInvalid("a partner's code is 2 to 32 of a-z, 0-9 and dash, starting with a letter", field="code")
    check_text(name, field="name", length_max=200)
    if not 0 <= payout_fee.minor_units <= FEE_MAX:
        raise AmountInvalid(f"a payout's fee is 0 to {Money(payout_fee.currency, FEE_MAX)}", field="payout_fee")
    values = {
        "ledger_id": ledger.id,
        "id": ids.next(now),
        "code": code,
        "name": name,
        "currency": payout_fee.currency,
        "payout_fee": payout_fee.minor_units,
        "created_at": now,
    }
    added = await connection.execute(
        postgresql_insert(tables.partners).values(values).on_conflict_do_nothing().returning(_partners.id)
    )
    if added.one_or_none() is None:
        raise PartnerExists(f"partner {code} exists in ledger {ledger.code}", field="code")
    account = chart.partner_account(partner=code, currency=payout_fee.currency)
    await accounts.open_accounts(connection, ledger_id=ledger.id, specs=[account], ids=ids, now=now)
    return await find_partner(connection, ledger_id=ledger.id, code=code)


async def find_partner(connection: AsyncConnection, *, ledger_id: int, code: str) -> Partner:
    """The partner of that code. Raises PartnerNotFound."""
    query = select(tables.partners).where(_partners.ledger_id == ledger_id, _partners.code == code)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise PartnerNotFound(f"no partner {code!r:.40} in this ledger", field="partner")
    return _partner(row)


async def find_partners(connection: AsyncConnection, *, ledger_id: int, ids: Collection[int]) -> dict[int, Partner]:
    """Partners by id."""
    query = select(tables.partners).where(_partners.ledger_id == ledger_id, _partners.id.in_(ids))
    return {row.id: _partner(row) for row in await connection.execute(query)}


async def create_key(
    connection: AsyncConnection,
    *,
    name: str,
    ledger_id: int | None,
    partner_id: int | None,
    permissions: Collection[str],
    expires_at: datetime | None,
    secret: bytes,
    ids: IdSource,
    now: datetime,
) -> str:
    """Stores a key for the 32 random bytes given and returns its text, which nobody can read back."""
    assert len(secret) == SECRET_BYTES, "a key's secret is 32 random bytes"
    check_text(name, field="name", length_max=100)
    key_id = ids.next(now)
    values = {
        "id": key_id,
        "client_id": partner_id or await _client_of(connection, name=name, ledger_id=ledger_id) or key_id,
        "ledger_id": ledger_id,
        "partner_id": partner_id,
        "name": name,
        "secret_hash": hashlib.sha256(secret).digest(),
        "permissions": sorted(permissions),
        "created_at": now,
        "expires_at": expires_at,
    }
    await connection.execute(insert(tables.api_keys).values(values))
    return f"{identifiers.encode('dft', key_id)}_{secret.hex()}"


async def _client_of(connection: AsyncConnection, *, name: str, ledger_id: int | None) -> int | None:
    """The client of an earlier key of the same name and scope: a new key of it replaces or accompanies the old one."""
    scope = _keys.ledger_id.is_(None) if ledger_id is None else _keys.ledger_id == ledger_id
    query = select(_keys.client_id).where(scope, _keys.name == name, _keys.partner_id.is_(None)).limit(1)
    found: int | None = await connection.scalar(query)
    return found


async def revoke_key(connection: AsyncConnection, *, key_id: int, now: datetime) -> None:
    """Revokes a key; it is refused everywhere within seconds. Raises KeyNotFound for one that is not live."""
    statement = update(tables.api_keys).where(_keys.id == key_id, _keys.revoked_at.is_(None)).values(revoked_at=now)
    revoked = await connection.execute(statement.returning(_keys.id))
    if revoked.one_or_none() is None:
        raise KeyNotFound("no live key of that id; see `daftari key list`", field="key")


async def list_keys(connection: AsyncConnection, *, ledger_id: int | None) -> list[ApiKey]:
    """The keys of a ledger, or the operators', newest first: everything but the secret."""
    scope = _keys.ledger_id.is_(None) if ledger_id is None else _keys.ledger_id == ledger_id
    rows = await connection.execute(select(*_SHOWN).where(scope).order_by(_keys.id.desc()).limit(500))
    return [ApiKey(*row) for row in rows]


async def authenticate(connection: AsyncConnection, *, key: str, now: datetime) -> KeyHolder:
    """Whom the key speaks for. Raises NotAuthenticated alike for malformed, unknown, wrong, expired and revoked
    keys."""
    head, _, secret = key.rpartition("_")
    key_id = identifiers.decode("dft", head)
    row = None
    if key_id is not None:
        row = (await connection.execute(select(tables.api_keys).where(_keys.id == key_id))).one_or_none()
    stored = bytes(row.secret_hash) if row is not None else bytes(SECRET_BYTES)
    genuine = hmac.compare_digest(hashlib.sha256(_bytes_of(secret)).digest(), stored)
    if (
        row is None
        or not genuine
        or row.revoked_at is not None
        or (row.expires_at is not None and row.expires_at <= now)
    ):
        raise NotAuthenticated("the API key is missing or not valid; send `authorization: Bearer dft_...`")
    return KeyHolder(row.client_id, row.name, row.ledger_id, row.partner_id, frozenset(row.permissions))


def _bytes_of(secret: str) -> bytes:
    try:
        return bytes.fromhex(secret)
    except ValueError:
        return b""


def _partner(row: Row[Any]) -> Partner:
    return Partner(
        row.id, row.ledger_id, row.code, row.name, Money(row.currency, row.payout_fee), row.suspended_at is not None
    )


async def set_suspended(connection: AsyncConnection, *, partner: Partner, at: datetime | None) -> None:
    """Suspends a partner at a moment, or (None) lets it go on. Holds within the next transaction, everywhere."""
    row = (_partners.ledger_id == partner.ledger_id) & (_partners.id == partner.id)
    await connection.execute(update(tables.partners).where(row).values(suspended_at=at))


async def list_partners(connection: AsyncConnection, *, ledger_id: int, after_code: str, limit: int) -> list[Partner]:
    """Partners in code order after `after_code` ("" for the start)."""
    query = select(tables.partners).where(_partners.ledger_id == ledger_id, _partners.code > after_code)
    return [_partner(row) for row in await connection.execute(query.order_by(_partners.code).limit(limit))]


async def list_partner_keys(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int, before: int, limit: int
) -> list[ApiKey]:
    """A partner's keys with ids below `before`, newest first: everything but the secret."""
    own = (_keys.ledger_id == ledger_id, _keys.partner_id == partner_id, _keys.id < before)
    rows = await connection.execute(select(*_SHOWN).where(*own).order_by(_keys.id.desc()).limit(limit))
    return [ApiKey(*row) for row in rows]


async def find_key_owner(connection: AsyncConnection, *, key_id: int) -> tuple[int | None, int | None] | None:
    """The (ledger id, partner id) of a key; None where there is no such key."""
    row = (await connection.execute(select(_keys.ledger_id, _keys.partner_id).where(_keys.id == key_id))).one_or_none()
    return (row.ledger_id, row.partner_id) if row is not None else None


async def hold(driver: Driver, *, ledger_id: int, partner_ids: Iterable[int]) -> None:
    """Holds partners beside others who do, until the transaction ends; waits for hold_alone(). Held before a request
    reads what binds it, so that whoever holds a partner alone knows that no request under way has read less."""
    await driver.execute(_HOLD, (ledger_id, sorted(set(partner_ids))))


async def hold_alone(driver: Driver, *, ledger_id: int, partner_id: int) -> None:
    """Waits for the requests of a partner that are under way, and keeps new ones waiting until the transaction ends."""
    await driver.execute(_HOLD_ALONE, (ledger_id, partner_id))
