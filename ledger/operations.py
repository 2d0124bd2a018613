"""What an operator must know at a glance: how long the queues are, what is unknown and since when. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver

# Each a count, the oldest moment, and for payouts the sum; all served by the partial indexes of the queues.
_QUEUES: LiteralString = """
SELECT ledger_id, 'instructions: ' || kind, count(*), min(due_at) FROM instructions
 WHERE done_at IS NULL AND due_at <= %(now)s GROUP BY 1, 2
UNION ALL
SELECT ledger_id, 'callbacks to judge', count(*), min(received_at) FROM inbox WHERE judged_at IS NULL GROUP BY 1
UNION ALL
SELECT r.ledger_id, 'review: ' || r.queue, count(*), min(r.opened_at) FROM reviews AS r WHERE NOT EXISTS (
    SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) GROUP BY 1, 2
UNION ALL
SELECT ledger_id, 'redemptions: ' || lower(state), count(*), min(updated_at) FROM promo_redemptions
 WHERE state <> 'PAID' GROUP BY 1, 2
UNION ALL
SELECT ledger_id, 'alerts: ' || kind, count(*), min(opened_at) FROM alerts WHERE resolved_at IS NULL GROUP BY 1, 2
UNION ALL
-- Behind the newest seal, of ledgers that have one; counting ends where it is clear that sealing stands still.
SELECT waiting.ledger_id, 'entries to seal', count(*), min(waiting.recorded_at) FROM ledgers AS l
 CROSS JOIN LATERAL (
    SELECT entry_id FROM entry_seals AS s WHERE s.ledger_id = l.id ORDER BY position DESC LIMIT 1) AS newest
 JOIN journal_entries AS sealed ON sealed.ledger_id = l.id AND sealed.id = newest.entry_id
 CROSS JOIN LATERAL (SELECT e.ledger_id, e.recorded_at FROM journal_entries AS e
    WHERE e.ledger_id = l.id AND (e.xid, e.id) > (sealed.xid, sealed.id) ORDER BY e.xid, e.id LIMIT 100000) AS waiting
 GROUP BY 1
ORDER BY 1, 2
"""
_OPEN: LiteralString = """
SELECT ledger_id, state, currency, count(*), sum(amount)::bigint, min(updated_at) FROM payouts
 WHERE state NOT IN ('SETTLED', 'RELEASED', 'CANCELLED') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_UNKNOWN: LiteralString = """
SELECT ledger_id, currency, CASE WHEN age < interval '5 minutes' THEN '1. under 5 minutes'
    WHEN age < interval '30 minutes' THEN '2. under 30 minutes' WHEN age < interval '2 hours' THEN '3. under 2 hours'
    WHEN age < interval '1 day' THEN '4. under a day' ELSE '5. a day or more' END AS bracket,
    count(*), sum(amount)::bigint
FROM (SELECT ledger_id, currency, amount, %(now)s - updated_at AS age FROM payouts WHERE state = 'UNKNOWN') AS unknown
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class QueueLength:
    """A queue of a ledger: how many wait, and since when the oldest does."""

    ledger_id: int
    name: str
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class OpenPayouts:
    """Payouts under way in one state, in minor units."""

    ledger_id: int
    state: str
    currency: str
    count: int
    amount: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class UnknownPayouts:
    """Payouts of unknown outcome of one age, in minor units."""

    ledger_id: int
    currency: str
    age: str
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class OperationsStatus:
    """Everything of every ledger."""

    queues: tuple[QueueLength, ...]
    open_payouts: tuple[OpenPayouts, ...]
    unknown: tuple[UnknownPayouts, ...]

    @property
    def ledger_ids(self) -> frozenset[int]:
        """The ledgers that anything is told of."""
        told: tuple[QueueLength | OpenPayouts | UnknownPayouts, ...] = (
            *self.queues,
            *self.open_payouts,
            *self.unknown,
        )
        return frozenset(one.ledger_id for one in told)


async def operations_status(connection: AsyncConnection, *, now: datetime) -> OperationsStatus:
    """The state of the queues at `now`; three queries for any number of ledgers."""
    session = await driver(connection)
    queues = await (await session.execute(_QUEUES, {"now": now})).fetchall()
    open_payouts = await (await session.execute(_OPEN)).fetchall()
    unknown = await (await session.execute(_UNKNOWN, {"now": now})).fetchall()
    return OperationsStatus(
        tuple(QueueLength(*row) for row in queues),
        tuple(OpenPayouts(*row) for row in open_payouts),
        tuple(UnknownPayouts(row[0], row[1], row[2].partition(" ")[2], row[3], row[4]) for row in unknown),
    )
