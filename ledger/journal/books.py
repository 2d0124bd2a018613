"""Ledgers (books): each has a code, a base currency and the time zone of its business dates. A ledger never changes."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.errors import LedgerExists, LedgerNotFound, TextInvalid, ZoneInvalid
from ledger.money import exponent_of
from ledger.text import check_text

_CODE = re.compile(r"[a-z][a-z0-9-]{1,31}", re.ASCII)
# Names that mean another zone on every machine, so that two processes would date one entry differently.
_NO_ZONES = frozenset({"localtime", "Factory"})
_columns = tables.ledgers.c


@dataclass(frozen=True, slots=True)
class Ledger:
    """One set of books."""

    id: int
    code: str
    name: str
    base_currency: str
    zone: ZoneInfo
    created_at: datetime


async def create_ledger(
    connection: AsyncConnection, *, code: str, name: str, base_currency: str, time_zone: str, now: datetime
) -> Ledger:
    """Opens empty books. Repeating the same call returns the same ledger; other properties under the same code raise
    LedgerExists. Raises TextInvalid, CurrencyUnknown, ZoneInvalid."""
    if not _CODE.fullmatch(code):
        raise TextInvalid("a ledger's code is 2 to 32 of a-z, 0-9 and dash, starting with a letter", field="code")
    check_text(name, field="name", length_max=200)
    exponent_of(base_currency)
    if time_zone in _NO_ZONES or time_zone not in available_timezones():
        raise ZoneInvalid("name an IANA time zone, such as Africa/Nairobi", field="time_zone")
    values = {"code": code, "name": name, "base_currency": base_currency, "time_zone": time_zone, "created_at": now}
    await connection.execute(postgresql_insert(tables.ledgers).values(values).on_conflict_do_nothing())
    ledger = await find_ledger(connection, code=code)
    if (ledger.name, ledger.base_currency, ledger.zone.key) != (name, base_currency, time_zone):
        raise LedgerExists(f"ledger {code} exists with another name, currency or zone", field="code")
    return ledger


async def find_ledger(connection: AsyncConnection, *, code: str) -> Ledger:
    """The ledger of that code. Raises LedgerNotFound."""
    rows = await connection.execute(select(tables.ledgers).where(_columns.code == code))
    row = rows.one_or_none()
    if row is None:
        raise LedgerNotFound(f"no ledger {code!r:.40}; see `daftari books list`", field="ledger")
    return _ledger(row)


async def list_ledgers(connection: AsyncConnection, *, after_code: str, limit: int) -> list[Ledger]:
    """Ledgers in code order, those after `after_code` ("" for the start)."""
    query = select(tables.ledgers).where(_columns.code > after_code).order_by(_columns.code).limit(limit)
    return [_ledger(row) for row in await connection.execute(query)]


def _ledger(row: Row[Any]) -> Ledger:
    return Ledger(row.id, row.code, row.name, row.base_currency, ZoneInfo(row.time_zone), row.created_at)


async def find_ledgers(connection: AsyncConnection, *, ids: Collection[int]) -> dict[int, Ledger]:
    """Ledgers by id."""
    rows = await connection.execute(select(tables.ledgers).where(_columns.id.in_(ids)))
    return {row.id: _ledger(row) for row in rows}
