"""Reading promotions: batches, codes and redemptions as they are now, and what happened to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from ledger.database import Driver
from ledger.promotions.batch import State
from ledger.promotions.redemption import State as RedemptionState
from ledger.promotions.redemptions import Redemption, read_redemptions
from ledger.promotions.refusals import BatchNotFound, CodeNotFound, RedemptionNotFound
from ledger.promotions.writing import Batch, read_batches

_FIND = "SELECT id FROM promo_batches WHERE ledger_id = %s AND code = %s"
# Each list is of all partners, or of one alone.
_LIST = """
SELECT b.id FROM promo_batches AS b JOIN campaigns AS g ON g.ledger_id = b.ledger_id AND g.id = b.campaign_id
WHERE b.ledger_id = %s AND b.id < %s AND (%s = '' OR g.code = %s) AND (%s::text[] = '{}' OR b.state = ANY(%s))
  AND (%s::bigint IS NULL OR b.partner_id = %s)
ORDER BY b.id DESC LIMIT %s
"""
_EVENTS = """
SELECT version, state, event, codes, entry_id, detail, actor, recorded_at FROM promo_batch_events
WHERE ledger_id = %s AND batch_id = %s AND version > %s ORDER BY version LIMIT %s
"""
_CODE = """
SELECT c.batch_id, c.number, c.state, r.id FROM promo_codes AS c
LEFT JOIN promo_redemptions AS r ON r.ledger_id = c.ledger_id AND r.batch_id = c.batch_id AND r.number = c.number
WHERE c.ledger_id = %s AND c.hash = %s
"""
_REDEMPTIONS = """
SELECT r.id FROM promo_redemptions AS r
WHERE r.ledger_id = %s AND r.id < %s AND (%s::bigint IS NULL OR r.batch_id = %s)
  AND (%s::text[] = '{}' OR r.state = ANY(%s)) AND (%s::bigint IS NULL OR EXISTS (
      SELECT FROM promo_batches AS b WHERE b.ledger_id = r.ledger_id AND b.id = r.batch_id AND b.partner_id = %s))
ORDER BY r.id DESC LIMIT %s
"""
_REDEMPTION_EVENTS = """
SELECT version, state, event, payout_id, actor, recorded_at FROM promo_redemption_events
WHERE ledger_id = %s AND redemption_id = %s ORDER BY version
"""


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """One change of a batch."""

    version: int
    state: State
    event: str
    codes: int
    entry_id: int | None
    detail: str | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class RedemptionEvent:
    """One change of a redemption."""

    version: int
    state: RedemptionState
    event: str
    payout_id: int
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class CodeStanding:
    """A code as the help desk sees it; `state` is LIVE, REDEEMED, DISABLED, STOLEN or VOIDED."""

    batch_id: int
    number: int
    state: str
    redemption_id: int | None


async def get_batch(driver: Driver, *, ledger_id: int, batch_id: int, partner_id: int | None = None) -> Batch:
    """Raises BatchNotFound, also for another's where a partner asks."""
    batch = (await read_batches(driver, ledger_id=ledger_id, batch_ids=[batch_id])).get(batch_id)
    if batch is None or partner_id not in (None, batch.partner_id):
        raise BatchNotFound("no such batch in this ledger", field="batch_id")
    return batch


async def find_batch(driver: Driver, *, ledger_id: int, code: str, partner_id: int | None = None) -> Batch:
    """By its name for callers. Raises BatchNotFound, likewise."""
    row = await (await driver.execute(_FIND, (ledger_id, code))).fetchone()
    batch = await get_batch(driver, ledger_id=ledger_id, batch_id=row[0]) if row else None
    if batch is None or partner_id not in (None, batch.partner_id):
        raise BatchNotFound("no batch of this code in this ledger", field="code")
    return batch


async def list_batches(
    driver: Driver,
    *,
    ledger_id: int,
    campaign: str,
    states: Collection[State],
    before: int,
    limit: int,
    partner_id: int | None = None,
) -> list[Batch]:
    """Newest first, those with ids below `before`; of a campaign ("" for all), in states (none for all)."""
    names = [one.value for one in states]
    wanted = (ledger_id, before, campaign, campaign, names, names, partner_id, partner_id, limit)
    cursor = await driver.execute(_LIST, wanted)
    ids = [row[0] for row in await cursor.fetchall()]
    found = await read_batches(driver, ledger_id=ledger_id, batch_ids=ids)
    return [found[one] for one in ids]


async def list_batch_events(
    driver: Driver, *, ledger_id: int, batch_id: int, after: int, limit: int
) -> list[BatchEvent]:
    """Oldest first, those of versions above `after`."""
    rows = await (await driver.execute(_EVENTS, (ledger_id, batch_id, after, limit))).fetchall()
    return [BatchEvent(row[0], State(row[1]), *row[2:]) for row in rows]


async def get_code(driver: Driver, *, ledger_id: int, code_hash: bytes) -> CodeStanding:
    """Raises CodeNotFound."""
    row = await (await driver.execute(_CODE, (ledger_id, code_hash))).fetchone()
    if row is None:
        raise CodeNotFound("there is no such code in this ledger", field="code")
    return CodeStanding(*row)


async def get_redemption(
    driver: Driver, *, ledger_id: int, redemption_id: int, partner_id: int | None = None
) -> Redemption:
    """Raises RedemptionNotFound, also for one of another's batch where a partner asks."""
    found = await read_redemptions(driver, ledger_id=ledger_id, redemption_ids=[redemption_id])
    redemption = found.get(redemption_id)
    if redemption is not None and partner_id is not None:
        batches = await read_batches(driver, ledger_id=ledger_id, batch_ids=[redemption.batch_id])
        redemption = redemption if batches[redemption.batch_id].partner_id == partner_id else None
    if redemption is None:
        raise RedemptionNotFound("no such redemption in this ledger", field="redemption_id")
    return redemption


async def list_redemptions(
    driver: Driver,
    *,
    ledger_id: int,
    batch_id: int | None,
    states: Collection[RedemptionState],
    before: int,
    limit: int,
    partner_id: int | None = None,
) -> list[Redemption]:
    """Newest first, those with ids below `before`; of a batch (None for all), in states (none for all)."""
    names = [one.value for one in states]
    wanted = (ledger_id, before, batch_id, batch_id, names, names, partner_id, partner_id, limit)
    cursor = await driver.execute(_REDEMPTIONS, wanted)
    ids = [row[0] for row in await cursor.fetchall()]
    found = await read_redemptions(driver, ledger_id=ledger_id, redemption_ids=ids)
    return [found[one] for one in ids]


async def list_redemption_events(driver: Driver, *, ledger_id: int, redemption_id: int) -> list[RedemptionEvent]:
    """Oldest first; a redemption has few."""
    rows = await (await driver.execute(_REDEMPTION_EVENTS, (ledger_id, redemption_id))).fetchall()
    return [RedemptionEvent(row[0], RedemptionState(row[1]), *row[2:]) for row in rows]
