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
_LIST = """
SELECT b.id FROM promo_batches AS b JOIN campaigns AS g ON g.ledger_id = b.ledger_id AND g.id = b.campaign_id
WHERE b.ledger_id = %s AND b.id < %s AND (%s = '' OR g.code = %s) AND (%s::text[] = '{}' OR b.state = ANY(%s))
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
SELECT id FROM promo_redemptions
WHERE ledger_id = %s AND id < %s AND (%s::bigint IS NULL OR batch_id = %s) AND (%s::text[] = '{}' OR state = ANY(%s))
ORDER BY id DESC LIMIT %s
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


async def get_batch(driver: Driver, *, ledger_id: int, batch_id: int) -> Batch:
    """Raises BatchNotFound."""
    found = await read_batches(driver, ledger_id=ledger_id, batch_ids=[batch_id])
    if batch_id not in found:
        raise BatchNotFound("no such batch in this ledger", field="batch_id")
    return found[batch_id]


async def find_batch(driver: Driver, *, ledger_id: int, code: str) -> Batch:
    """By its name for callers. Raises BatchNotFound."""
    row = await (await driver.execute(_FIND, (ledger_id, code))).fetchone()
    if row is None:
        raise BatchNotFound("no batch of this code in this ledger", field="code")
    return await get_batch(driver, ledger_id=ledger_id, batch_id=row[0])


async def list_batches(
    driver: Driver, *, ledger_id: int, campaign: str, states: Collection[State], before: int, limit: int
) -> list[Batch]:
    """Newest first, those with ids below `before`; of a campaign ("" for all), in states (none for all)."""
    names = [one.value for one in states]
    cursor = await driver.execute(_LIST, (ledger_id, before, campaign, campaign, names, names, limit))
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


async def get_redemption(driver: Driver, *, ledger_id: int, redemption_id: int) -> Redemption:
    """Raises RedemptionNotFound."""
    found = await read_redemptions(driver, ledger_id=ledger_id, redemption_ids=[redemption_id])
    if redemption_id not in found:
        raise RedemptionNotFound("no such redemption in this ledger", field="redemption_id")
    return found[redemption_id]


async def list_redemptions(
    driver: Driver,
    *,
    ledger_id: int,
    batch_id: int | None,
    states: Collection[RedemptionState],
    before: int,
    limit: int,
) -> list[Redemption]:
    """Newest first, those with ids below `before`; of a batch (None for all), in states (none for all)."""
    names = [one.value for one in states]
    cursor = await driver.execute(_REDEMPTIONS, (ledger_id, before, batch_id, batch_id, names, names, limit))
    ids = [row[0] for row in await cursor.fetchall()]
    found = await read_redemptions(driver, ledger_id=ledger_id, redemption_ids=ids)
    return [found[one] for one in ids]


async def list_redemption_events(driver: Driver, *, ledger_id: int, redemption_id: int) -> list[RedemptionEvent]:
    """Oldest first; a redemption has few."""
    rows = await (await driver.execute(_REDEMPTION_EVENTS, (ledger_id, redemption_id))).fetchall()
    return [RedemptionEvent(row[0], RedemptionState(row[1]), *row[2:]) for row in rows]
