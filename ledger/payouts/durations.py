"""How long payouts took from their request to their settlement, as they settle; followed in commit order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.database import Driver

_NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
# A payout is settled by this event once. The fence keeps the scan to the few events since, ledger by ledger.
_SETTLED = """
SELECT l.code, took.rail, (SELECT count(*) FROM unnest(%(bounds)s::float8[]) AS b WHERE b < took.seconds)::int,
    count(*), sum(took.seconds)
FROM ledgers AS l CROSS JOIN LATERAL (
    SELECT p.rail, greatest(extract(epoch FROM v.recorded_at - p.created_at), 0)::float8 AS seconds
    FROM payout_events AS v JOIN payouts AS p ON p.ledger_id = v.ledger_id AND p.id = v.payout_id
    WHERE v.ledger_id = l.id AND v.xid >= %(since)s::xid8 AND v.xid < %(until)s::xid8
      AND v.event = 'settled' AND v.state = 'SETTLED'
    OFFSET 0) AS took
GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Took:
    """So many payouts of a rail took longer than `bucket` of the bounds and no longer than the next: `seconds` in
    all."""

    ledger_code: str
    rail: str
    bucket: int
    count: int
    seconds: float


async def settled_since(driver: Driver, *, since: str | None, bounds: Sequence[float]) -> tuple[str, list[Took]]:
    """What settled since a position, by ledger, rail and bucket, and the position to go on from: each payout counts
    once, whatever commits late. None begins now."""
    row = await (await driver.execute(_NOW)).fetchone()
    assert row is not None
    if since is None:
        return row[0], []
    about = {"since": since, "until": row[0], "bounds": list(bounds)}
    rows = await (await driver.execute(_SETTLED, about)).fetchall()
    return row[0], [Took(*one) for one in rows]
