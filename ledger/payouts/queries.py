"""Reading payouts: one, many, their events, and what changed since a cursor. A partner sees its own only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import Driver
from ledger.errors import PayoutNotFound
from ledger.ids import encode
from ledger.money import Money
from ledger.payouts.payout import State

_payouts, _events = tables.payouts.c, tables.payout_events.c
_partners, _parties = tables.partners.c, tables.parties.c

# Below the oldest transaction still running, so that no late commit is ever skipped; served by
# payout_events_in_commit_order.
_CHANGES = """
SELECT xid::text, payout_id, version, state, event, entry_id, detail, recorded_at FROM payout_events
WHERE ledger_id = %(ledger)s AND (xid, payout_id, version) > (%(xid)s::text::xid8, %(payout)s, %(version)s)
  AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, payout_id, version LIMIT %(limit)s
"""
# By provider, of which a ledger has few: the key of provider_references begins with it.
_BY_RECEIPT = """
SELECT r.payout_id FROM provider_references AS r
WHERE r.ledger_id = %(ledger)s AND r.kind = 'receipt' AND r.value = %(receipt)s AND r.provider = ANY(ARRAY(
    SELECT a.provider FROM accounts AS a WHERE a.ledger_id = %(ledger)s AND a.role = 'payout_float'))
ORDER BY r.payout_id DESC LIMIT 1
"""
_NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """A payout as it stands. The payee is masked: nothing that reads a payout needs the whole number."""

    id: int
    partner: str
    partner_reference: str
    payee_masked: str
    amount: Money
    fee: Money
    purpose: str
    rail: str
    shortcode: str
    provider_reference: str
    state: State
    version: int
    receipt: str | None
    failure_code: str | None
    failure_text: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None

    @property
    def public_id(self) -> str:
        """The id partners see."""
        return encode("pay", self.id)

    def as_first_answered(self) -> Payout:
        """As its request was answered: nothing it rests on has changed since, so the answer is the same for ever."""
        return replace(
            self,
            state=State.RESERVED,
            version=1,
            receipt=None,
            failure_code=None,
            failure_text=None,
            updated_at=self.created_at,
            completed_at=None,
        )


@dataclass(frozen=True, slots=True)
class PayoutEvent:
    """One change of a payout; `version` is the payout's after it."""

    payout_id: int
    version: int
    state: State
    event: str
    entry_id: int | None
    detail: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the stream of changes: after this transaction, payout and version."""

    xid: str
    payout_id: int
    version: int


START = Cursor("0", 0, 0)


def _select() -> Select[Any]:
    joined = tables.payouts.join(
        tables.partners, (_partners.ledger_id == _payouts.ledger_id) & (_partners.id == _payouts.partner_id)
    ).join(tables.parties, (_parties.ledger_id == _payouts.ledger_id) & (_parties.id == _payouts.party_id))
    return select(tables.payouts, _partners.code.label("partner"), _parties.payee_masked).select_from(joined)


def _scoped(query: Select[Any], ledger_id: int, partner_id: int | None) -> Select[Any]:
    query = query.where(_payouts.ledger_id == ledger_id)
    return query if partner_id is None else query.where(_payouts.partner_id == partner_id)


async def get_payout(connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, payout_id: int) -> Payout:
    """One payout by id. Raises PayoutNotFound, alike for none and for another partner's."""
    found = await get_payouts(connection, ledger_id=ledger_id, partner_id=partner_id, payout_ids=[payout_id])
    if payout_id not in found:
        raise PayoutNotFound("no such payout among yours", field="payout_id")
    return found[payout_id]


async def get_payouts(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, payout_ids: Collection[int]
) -> dict[int, Payout]:
    """Those of the payouts that exist and may be seen, by id."""
    query = _scoped(_select(), ledger_id, partner_id).where(_payouts.id.in_(payout_ids))
    return {row.id: _payout(row) for row in await connection.execute(query)}


async def get_payout_by_reference(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int, partner_reference: str
) -> Payout:
    """One payout by its partner's reference. Raises PayoutNotFound."""
    query = _scoped(_select(), ledger_id, partner_id).where(_payouts.partner_reference == partner_reference)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise PayoutNotFound("no such payout among yours", field="partner_reference")
    return _payout(row)


async def find_by_receipt(driver: Driver, *, ledger_id: int, receipt: str) -> int:
    """The id of the payout that a provider paid under this receipt number. Raises PayoutNotFound."""
    row = await (await driver.execute(_BY_RECEIPT, {"ledger": ledger_id, "receipt": receipt})).fetchone()
    if row is None:
        raise PayoutNotFound("no such payout among yours", field="receipt")
    found: int = row[0]
    return found


async def list_payouts(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int | None,
    states: Sequence[State],
    id_from: int,
    id_before: int,
    limit: int,
) -> list[Payout]:
    """Payouts newest first with id_from <= id < id_before; ids are in time order, so they bound the time too."""
    query = _scoped(_select(), ledger_id, partner_id).where(_payouts.id >= id_from, _payouts.id < id_before)
    if states:
        query = query.where(_payouts.state.in_([state.value for state in states]))
    return [_payout(row) for row in await connection.execute(query.order_by(_payouts.id.desc()).limit(limit))]


async def list_events(connection: AsyncConnection, *, ledger_id: int, payout_id: int) -> list[PayoutEvent]:
    """A payout's changes, oldest first. There are few: the state table has no cycle but not-sent, which backs off."""
    query = (
        select(tables.payout_events)
        .where(_events.ledger_id == ledger_id, _events.payout_id == payout_id)
        .order_by(_events.version)
        .limit(1000)
    )
    return [
        PayoutEvent(row.payout_id, row.version, State(row.state), row.event, row.entry_id, row.detail, row.recorded_at)
        for row in await connection.execute(query)
    ]


async def changes_after(
    driver: Driver, *, ledger_id: int, cursor: Cursor, limit: int
) -> list[tuple[Cursor, PayoutEvent]]:
    """Changes after the cursor in commit order, never skipping one that commits late."""
    parameters = {
        "ledger": ledger_id,
        "xid": cursor.xid,
        "payout": cursor.payout_id,
        "version": cursor.version,
        "limit": limit,
    }
    rows = await (await driver.execute(_CHANGES, parameters)).fetchall()
    return [(Cursor(*row[:3]), PayoutEvent(row[1], row[2], State(row[3]), *row[4:])) for row in rows]


async def current_cursor(driver: Driver) -> Cursor:
    """A cursor before everything that commits from now on."""
    row = await (await driver.execute(_NOW)).fetchone()
    assert row is not None
    return Cursor(row[0], 0, 0)


def _payout(row: Row[Any]) -> Payout:
    return Payout(
        id=row.id,
        partner=row.partner,
        partner_reference=row.partner_reference,
        payee_masked=row.payee_masked,
        amount=Money(row.currency, row.amount),
        fee=Money(row.currency, row.fee),
        purpose=row.purpose,
        rail=row.rail,
        shortcode=row.shortcode,
        provider_reference=row.provider_reference,
        state=State(row.state),
        version=row.version,
        receipt=row.receipt,
        failure_code=row.failure_code,
        failure_text=row.failure_text,
        created_at=row.created_at,
        updated_at=row.updated_at,
        completed_at=row.completed_at,
    )
