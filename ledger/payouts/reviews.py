"""The named review queues: cases a person must look at, as data. Opening, listing and closing them; the money is moved
by outcomes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import Driver
from ledger.errors import ReviewNotFound
from ledger.ids import IdSource

QUEUES = (
    "submit-unknown",
    "provider-conflict",
    "not-sent",
    "callback-orphan",
    "amount-mismatch",
    "statement-unmatched",
    "ledger-unmatched",
    "unledgered-movement",
    "reversal-race",
    "poison-message",
    "webhook-dead",
    "limit-hold",
    "kyc-party-changed",
    "receipt-unallocated",
)

# Of these one open case says it all, though no payout is named.
_ALIKE = ("callback-orphan", "unledgered-movement", "webhook-dead")
# What an open case of the payout says already is not opened again; anything else about it is a case of its own.
_OPEN = """
INSERT INTO reviews (ledger_id, id, queue, payout_id, inbox_id, reason, held_entry_id, receipt_id, return_id,
    opened_at)
SELECT DISTINCT ON (coalesce(r.payout_id, CASE WHEN %(queue)s = ANY(%(alike)s) THEN 0 ELSE r.id END), r.reason)
    %(ledger)s, r.id, %(queue)s, r.payout_id, r.inbox_id, r.reason, r.held_entry_id, r.receipt_id, r.return_id,
    %(now)s
FROM unnest(%(id)s::bigint[], %(payout)s::bigint[], %(inbox)s::bigint[], %(reason)s::text[], %(held)s::bigint[],
     %(receipt)s::bigint[], %(return)s::bigint[])
     AS r (id, payout_id, inbox_id, reason, held_entry_id, receipt_id, return_id)
WHERE (r.payout_id IS NULL AND %(queue)s <> ALL(%(alike)s)) OR NOT EXISTS (
    SELECT FROM reviews AS earlier WHERE earlier.ledger_id = %(ledger)s
       AND earlier.payout_id IS NOT DISTINCT FROM r.payout_id
       AND earlier.queue = %(queue)s AND earlier.reason = r.reason
       AND NOT EXISTS (SELECT FROM review_resolutions AS done
           WHERE done.ledger_id = earlier.ledger_id AND done.review_id = earlier.id))
"""
_CLOSE_OF_RECEIPTS = """
INSERT INTO review_resolutions (ledger_id, review_id, verb, evidence, actor, resolved_at)
SELECT r.ledger_id, r.id, 'answered', 'its money found its place', %s, %s FROM reviews AS r
WHERE r.ledger_id = %s AND r.receipt_id = ANY(%s) AND r.queue = %s AND NOT EXISTS (
    SELECT FROM review_resolutions AS done WHERE done.ledger_id = r.ledger_id AND done.review_id = r.id)
ON CONFLICT DO NOTHING
"""
_CLOSE_OF_RETURNS = """
INSERT INTO review_resolutions (ledger_id, review_id, verb, evidence, actor, resolved_at)
SELECT r.ledger_id, r.id, 'answered', 'its return came to an end', %s, %s FROM reviews AS r
WHERE r.ledger_id = %s AND r.return_id = ANY(%s) AND r.queue = ANY(%s) AND NOT EXISTS (
    SELECT FROM review_resolutions AS done WHERE done.ledger_id = r.ledger_id AND done.review_id = r.id)
ON CONFLICT DO NOTHING
"""
_CLOSE_ANSWERED = """
INSERT INTO review_resolutions (ledger_id, review_id, verb, evidence, actor, resolved_at)
SELECT r.ledger_id, r.id, 'answered', 'what it waited for came', 'daftari', %s FROM reviews AS r
WHERE r.ledger_id = %s AND r.payout_id = ANY(%s) AND r.queue = %s AND NOT EXISTS (SELECT FROM review_resolutions AS done
    WHERE done.ledger_id = r.ledger_id AND done.review_id = r.id)
ON CONFLICT DO NOTHING
"""
# Payouts with money in suspense beside what is being decided about.
_HELD_BESIDES = """
SELECT DISTINCT d.payout_id FROM unnest(%s::bigint[], %s::bigint[]) AS d (payout_id, held_entry_id)
JOIN reviews AS r ON r.ledger_id = %s AND r.payout_id = d.payout_id AND r.held_entry_id <> d.held_entry_id
WHERE NOT EXISTS (SELECT FROM review_resolutions AS done WHERE done.ledger_id = r.ledger_id AND done.review_id = r.id)
"""
_RESOLVE = """
INSERT INTO review_resolutions (ledger_id, review_id, verb, evidence, actor, entry_id, resolved_at)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_reviews, _resolutions = tables.reviews.c, tables.review_resolutions.c


@dataclass(frozen=True, slots=True)
class Case:
    """A case to be opened: the payout, receipt or return it is about and the message it came by, where there is one,
    and the entry that put money into suspense for it, where one did."""

    payout_id: int | None
    reason: str
    inbox_id: int | None = None
    held_entry_id: int | None = None
    receipt_id: int | None = None
    return_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A case. `verb`, `evidence`, `actor` and `resolved_at` are None while it is open; `held_entry_id` is the entry
    whose money waits for it in suspense."""

    id: int
    queue: str
    payout_id: int | None
    inbox_id: int | None
    reason: str
    held_entry_id: int | None
    receipt_id: int | None
    return_id: int | None
    opened_at: datetime
    verb: str | None
    evidence: str | None
    actor: str | None
    entry_id: int | None
    resolved_at: datetime | None


async def open_reviews(
    driver: Driver,
    *,
    ledger_id: int,
    queue: str,
    cases: Sequence[Case],
    ids: IdSource,
    now: datetime,
) -> None:
    """Puts cases into a named queue; what an open case of the payout says already is not repeated."""
    if not cases:
        return
    parameters = {
        "ledger": ledger_id,
        "queue": queue,
        "alike": list(_ALIKE),
        "now": now,
        "id": [ids.next(now) for _ in cases],
        "payout": [one.payout_id for one in cases],
        "inbox": [one.inbox_id for one in cases],
        "reason": [one.reason for one in cases],
        "held": [one.held_entry_id for one in cases],
        "receipt": [one.receipt_id for one in cases],
        "return": [one.return_id for one in cases],
    }
    await driver.execute(_OPEN, parameters)


async def find_held_besides(driver: Driver, *, ledger_id: int, decided: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The payouts, among (payout id, entry decided about), that have other money in suspense, undecided."""
    if not decided:
        return frozenset()
    columns = ([payout_id for payout_id, _ in decided], [entry_id for _, entry_id in decided])
    cursor = await driver.execute(_HELD_BESIDES, (*columns, ledger_id))
    return frozenset(payout_id for (payout_id,) in await cursor.fetchall())


async def close_answered(
    driver: Driver, *, ledger_id: int, queue: str, payout_ids: Sequence[int], now: datetime
) -> None:
    """Closes the cases of payouts whose outcome arrived after all."""
    if payout_ids:
        await driver.execute(_CLOSE_ANSWERED, (now, ledger_id, list(payout_ids), queue))


async def close_of_receipts(
    driver: Driver, *, ledger_id: int, queue: str, receipt_ids: Sequence[int], actor: str, now: datetime
) -> None:
    """Closes the cases of receipts whose money found its place."""
    if receipt_ids:
        await driver.execute(_CLOSE_OF_RECEIPTS, (actor, now, ledger_id, list(receipt_ids), queue))


async def close_of_returns(
    driver: Driver, *, ledger_id: int, queues: Sequence[str], return_ids: Sequence[int], actor: str, now: datetime
) -> None:
    """Closes the cases of returns that came to their end."""
    if return_ids:
        await driver.execute(_CLOSE_OF_RETURNS, (actor, now, ledger_id, list(return_ids), list(queues)))


async def write_resolution(
    driver: Driver,
    *,
    ledger_id: int,
    review_id: int,
    verb: str,
    evidence: str,
    actor: str,
    entry_id: int | None,
    now: datetime,
) -> bool:
    """Closes a case for good; whether it was still open."""
    cursor = await driver.execute(_RESOLVE, (ledger_id, review_id, verb, evidence, actor, entry_id, now))
    return cursor.rowcount == 1


async def get_review(connection: AsyncConnection, *, ledger_id: int, review_id: int) -> Review:
    """One case. Raises ReviewNotFound."""
    query = _select().where(_reviews.ledger_id == ledger_id, _reviews.id == review_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise ReviewNotFound("no such case in this ledger; see `daftari review list`", field="review_id")
    return _review(row)


async def list_open(connection: AsyncConnection, *, ledger_id: int, queue: str, after: int, limit: int) -> list[Review]:
    """Open cases, oldest first, of one queue or of all ("")."""
    query = _select().where(_reviews.ledger_id == ledger_id, _reviews.id > after, _resolutions.review_id.is_(None))
    if queue:
        query = query.where(_reviews.queue == queue)
    return [_review(row) for row in await connection.execute(query.order_by(_reviews.id).limit(limit))]


def _select() -> Select[Any]:
    joined = tables.reviews.outerjoin(
        tables.review_resolutions,
        (_resolutions.ledger_id == _reviews.ledger_id) & (_resolutions.review_id == _reviews.id),
    )
    resolution = (
        _resolutions.verb,
        _resolutions.evidence,
        _resolutions.actor,
        _resolutions.entry_id,
        _resolutions.resolved_at,
    )
    return select(tables.reviews, *resolution).select_from(joined)


def _review(row: Row[Any]) -> Review:
    return Review(
        id=row.id,
        queue=row.queue,
        payout_id=row.payout_id,
        inbox_id=row.inbox_id,
        reason=row.reason,
        held_entry_id=row.held_entry_id,
        receipt_id=row.receipt_id,
        return_id=row.return_id,
        opened_at=row.opened_at,
        verb=row.verb,
        evidence=row.evidence,
        actor=row.actor,
        entry_id=row.entry_id,
        resolved_at=row.resolved_at,
    )
