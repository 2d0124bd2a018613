"""The part of the instruction queue that is about returns: enqueue, claim, end. Attempts, leases and putting back are
`queue`'s, for they know no subject."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ledger.database import Driver
from ledger.ids import IdSource
from ledger.outbox.queue import Claimed

SUBMIT, SILENCE = "return.submit", "return.silence"

_ENQUEUE = """
INSERT INTO instructions (ledger_id, id, kind, return_id, due_at)
SELECT %s, i.id, %s, i.return_id, %s FROM unnest(%s::bigint[], %s::bigint[]) AS i (id, return_id)
ON CONFLICT (ledger_id, return_id, kind) DO UPDATE SET done_at = NULL, due_at = excluded.due_at
"""
# As for payouts: nothing leaves over a stopped rail; the end of a wait is told, and what is lost.
_CLAIM = """
WITH due AS (
    SELECT i.ledger_id, i.id FROM instructions AS i
    JOIN returns AS p ON p.ledger_id = i.ledger_id AND p.id = i.return_id
    WHERE i.done_at IS NULL AND i.due_at <= %(now)s AND (i.kind = 'return.silence' OR NOT EXISTS (
        SELECT FROM rail_stops AS s WHERE s.ledger_id = p.ledger_id AND s.rail = p.rail AND s.resumed_at IS NULL
    ) OR EXISTS (
        SELECT FROM attempts AS a WHERE a.ledger_id = i.ledger_id AND a.instruction_id = i.id
           AND a.number = i.attempts AND a.finished_at IS NULL
    ))
    AND i.kind = ANY(%(kinds)s) AND p.rail = ANY(%(rails)s)
    ORDER BY i.due_at, i.ledger_id, i.id LIMIT %(limit)s FOR NO KEY UPDATE OF i, p SKIP LOCKED
), claimed AS (
    UPDATE instructions AS i SET attempts = i.attempts + 1, lease_token = %(token)s, due_at = %(lease_until)s
    FROM due WHERE i.ledger_id = due.ledger_id AND i.id = due.id
    RETURNING i.ledger_id, i.id, i.kind, i.return_id, i.attempts
)
SELECT c.ledger_id, c.id, c.kind, c.return_id, c.attempts, last.number IS NOT NULL AS lost
FROM claimed AS c LEFT JOIN attempts AS last
  ON last.ledger_id = c.ledger_id AND last.instruction_id = c.id AND last.number = c.attempts - 1
 AND last.finished_at IS NULL
ORDER BY c.ledger_id, c.kind, c.return_id
"""
_REST = """
UPDATE instructions AS i SET due_at = %(until)s
FROM (SELECT i.ledger_id, i.id FROM instructions AS i
      JOIN returns AS p ON p.ledger_id = i.ledger_id AND p.id = i.return_id
      WHERE i.done_at IS NULL AND i.due_at <= %(now)s AND i.kind = ANY(%(kinds)s) AND p.rail = ANY(%(rails)s)
      ORDER BY i.due_at, i.ledger_id, i.id LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED) AS first
WHERE i.ledger_id = first.ledger_id AND i.id = first.id RETURNING i.return_id
"""
_COMPLETE = """
UPDATE instructions SET done_at = %s, lease_token = NULL
WHERE ledger_id = %s AND return_id = ANY(%s) AND done_at IS NULL
"""


async def enqueue(
    driver: Driver,
    *,
    ledger_id: int,
    kind: str,
    return_ids: Sequence[int],
    ids: IdSource,
    now: datetime,
    due_at: datetime,
) -> None:
    """Makes the one instruction of a kind that a return has due then, whether it is new or had ended."""
    if return_ids:
        new_ids = [ids.next(now) for _ in return_ids]
        await driver.execute(_ENQUEUE, (ledger_id, kind, due_at, new_ids, list(return_ids)))


async def complete(driver: Driver, *, ledger_id: int, return_ids: Sequence[int], now: datetime) -> None:
    """Ends the instructions of returns that have come to their end."""
    if return_ids:
        await driver.execute(_COMPLETE, (now, ledger_id, list(return_ids)))


async def claim(
    driver: Driver,
    *,
    kinds: Sequence[str],
    rails: Sequence[str],
    now: datetime,
    lease: timedelta,
    token: int,
    limit: int,
) -> list[Claimed]:
    """As queue.claim(), with the locks of the returns."""
    parameters = {
        "kinds": list(kinds),
        "rails": list(rails),
        "now": now,
        "lease_until": now + lease,
        "token": token,
        "limit": limit,
    }
    cursor = await driver.execute(_CLAIM, parameters)
    return [Claimed(*row) for row in await cursor.fetchall()]


async def rest_oldest(
    driver: Driver, *, kinds: Sequence[str], rails: Sequence[str], now: datetime, until: datetime
) -> int | None:
    """As queue.rest_oldest(); returns the return."""
    parameters = {"kinds": list(kinds), "rails": list(rails), "now": now, "until": until}
    row = await (await driver.execute(_REST, parameters)).fetchone()
    return row[0] if row is not None else None
