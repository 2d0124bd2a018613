"""The instruction queue: enqueue with the money, claim under a lease, finish, put back. Never decides what an answer
means.

`due_at` is the time to run or, once claimed, the end of the lease; a claim whose last attempt has no answer is *lost*:
it may have reached the provider, so it is never sent again. Fencing: only the holder of the lease token may put one
back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.database import Driver
from ledger.ids import IdSource

SUBMIT, QUERY, RESUBMIT = "payout.submit", "payout.query", "payout.resubmit"

_ENQUEUE = """
INSERT INTO instructions (ledger_id, id, kind, payout_id, due_at)
SELECT %s, i.id, %s, i.payout_id, %s FROM unnest(%s::bigint[], %s::bigint[]) AS i (id, payout_id)
ON CONFLICT (ledger_id, payout_id, kind) DO NOTHING
"""
# The oldest due first; nothing leaves over a stopped rail or for a suspended partner, but what is lost, and so will not
# be sent, is told at once; rows another worker is claiming are skipped, not waited for.
_CLAIM = """
WITH due AS (
    SELECT i.ledger_id, i.id FROM instructions AS i
    JOIN payouts AS p ON p.ledger_id = i.ledger_id AND p.id = i.payout_id
    WHERE i.done_at IS NULL AND i.due_at <= %(now)s AND (i.kind = 'payout.query' OR NOT EXISTS (
        SELECT FROM rail_stops AS s WHERE s.ledger_id = p.ledger_id AND s.rail = p.rail AND s.resumed_at IS NULL
    ) AND NOT EXISTS (
        SELECT FROM partners AS w WHERE w.ledger_id = p.ledger_id AND w.id = p.partner_id AND w.suspended_at IS NOT NULL
    ) OR EXISTS (
        SELECT FROM attempts AS a WHERE a.ledger_id = i.ledger_id AND a.instruction_id = i.id
           AND a.number = i.attempts AND a.finished_at IS NULL
    ))
    AND i.kind = ANY(%(kinds)s) AND p.rail = ANY(%(rails)s)
    ORDER BY i.due_at, i.ledger_id, i.id LIMIT %(limit)s FOR NO KEY UPDATE OF i, p SKIP LOCKED
), claimed AS (
    UPDATE instructions AS i SET attempts = i.attempts + 1, lease_token = %(token)s, due_at = %(lease_until)s
    FROM due WHERE i.ledger_id = due.ledger_id AND i.id = due.id
    RETURNING i.ledger_id, i.id, i.kind, i.payout_id, i.attempts
)
SELECT c.ledger_id, c.id, c.kind, c.payout_id, c.attempts, last.number IS NOT NULL AS lost
FROM claimed AS c LEFT JOIN attempts AS last
  ON last.ledger_id = c.ledger_id AND last.instruction_id = c.id AND last.number = c.attempts - 1
 AND last.finished_at IS NULL
ORDER BY c.ledger_id, c.kind, c.payout_id
"""
_REST = """
UPDATE instructions AS i SET due_at = %(until)s
FROM (SELECT i.ledger_id, i.id FROM instructions AS i
      JOIN payouts AS p ON p.ledger_id = i.ledger_id AND p.id = i.payout_id
      WHERE i.done_at IS NULL AND i.due_at <= %(now)s AND i.kind = ANY(%(kinds)s) AND p.rail = ANY(%(rails)s)
      ORDER BY i.due_at, i.ledger_id, i.id LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED) AS first
WHERE i.ledger_id = first.ledger_id AND i.id = first.id RETURNING i.payout_id
"""
_START = """
INSERT INTO attempts (ledger_id, instruction_id, number, token_hash, started_at)
SELECT %s, a.*, %s FROM unnest(%s::bigint[], %s::int[], %s::bytea[]) AS a
"""
_FINISH = """
UPDATE attempts AS a SET finished_at = %s, answer = f.answer, detail = f.detail
FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[]) AS f (instruction_id, number, answer, detail)
WHERE a.ledger_id = %s AND a.instruction_id = f.instruction_id AND a.number = f.number AND a.finished_at IS NULL
"""
_PUT_BACK = """
UPDATE instructions AS i SET due_at = p.due_at, lease_token = NULL
FROM unnest(%s::bigint[], %s::timestamptz[]) AS p (id, due_at)
WHERE i.ledger_id = %s AND i.id = p.id AND i.lease_token = %s AND i.done_at IS NULL
"""
_COMPLETE = """
UPDATE instructions SET done_at = %s, lease_token = NULL
WHERE ledger_id = %s AND payout_id = ANY(%s) AND done_at IS NULL
"""
_REOPEN = """
UPDATE instructions SET done_at = NULL, due_at = %s
WHERE ledger_id = %s AND kind = %s AND payout_id = ANY(%s) AND done_at IS NOT NULL
"""
_BEGUN = """
SELECT payout_id FROM instructions WHERE ledger_id = %s AND kind = %s AND payout_id = ANY(%s) AND attempts > 0
"""
_COMPLETE_THESE = "UPDATE instructions SET done_at = %s, lease_token = NULL WHERE ledger_id = %s AND id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Claimed:
    """An instruction under our lease. `subject_id` is the payout or prompt it is about, as its kind says; `attempt`
    numbers this try; `lost` says the try before it has no answer."""

    ledger_id: int
    id: int
    kind: str
    subject_id: int
    attempt: int
    lost: bool

    @property
    def payout_id(self) -> int:
        """The payout, for the errands of payouts."""
        return self.subject_id


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of one try, in words that hold no secret."""

    instruction_id: int
    attempt: int
    answer: str
    detail: str


async def enqueue(
    driver: Driver,
    *,
    ledger_id: int,
    kind: str,
    payout_ids: Sequence[int],
    ids: IdSource,
    now: datetime,
    due_at: datetime,
) -> None:
    """Adds one instruction of a kind per payout, in the transaction that gives the reason for it. A payout has at most
    one of each kind, ever."""
    if payout_ids:
        new_ids = [ids.next(now) for _ in payout_ids]
        await driver.execute(_ENQUEUE, (ledger_id, kind, due_at, new_ids, list(payout_ids)))


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
    """Claims up to `limit` due instructions of these kinds over these rails, by ledger and payout, with the locks of
    their payouts. The caller commits before any call."""
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
    """Lets the one instruction that comes up first rest until then; returns its payout, None where nothing is due."""
    parameters = {"kinds": list(kinds), "rails": list(rails), "now": now, "until": until}
    row = await (await driver.execute(_REST, parameters)).fetchone()
    return row[0] if row is not None else None


async def start_attempts(
    driver: Driver, *, ledger_id: int, attempts: Sequence[tuple[Claimed, bytes]], now: datetime
) -> None:
    """Stores the tries about to be made, each with the hash of its callback token."""
    columns = (
        [one.id for one, _ in attempts],
        [one.attempt for one, _ in attempts],
        [hashed for _, hashed in attempts],
    )
    await driver.execute(_START, (ledger_id, now, *columns))


async def finish_attempts(driver: Driver, *, ledger_id: int, finished: Sequence[Finished], now: datetime) -> None:
    """Stores what became of tries; one that has its answer already keeps it."""
    columns = [
        list(column)
        for column in zip(*((f.instruction_id, f.attempt, f.answer, f.detail) for f in finished), strict=True)
    ]
    if finished:
        await driver.execute(_FINISH, (now, *columns, ledger_id))


async def put_back(driver: Driver, *, ledger_id: int, token: int, due: Sequence[tuple[int, datetime]]) -> None:
    """Makes instructions claimable again at their times; those whose lease another worker took meanwhile stay with
    it."""
    if due:
        await driver.execute(_PUT_BACK, ([one for one, _ in due], [when for _, when in due], ledger_id, token))


async def complete(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int], now: datetime) -> None:
    """Ends the instructions of payouts that need no further submission."""
    if payout_ids:
        await driver.execute(_COMPLETE, (now, ledger_id, list(payout_ids)))


async def complete_these(driver: Driver, *, ledger_id: int, ids: Sequence[int], now: datetime) -> None:
    """Ends these instructions and no other of their payouts."""
    if ids:
        await driver.execute(_COMPLETE_THESE, (now, ledger_id, list(ids)))


async def reopen(driver: Driver, *, ledger_id: int, kind: str, payout_ids: Sequence[int], due_at: datetime) -> None:
    """Makes the ended instructions of a kind due once more: something is known that was not."""
    if payout_ids:
        await driver.execute(_REOPEN, (due_at, ledger_id, kind, list(payout_ids)))


async def find_begun(driver: Driver, *, ledger_id: int, kind: str, payout_ids: Sequence[int]) -> frozenset[int]:
    """The payouts, among these, whose instruction of a kind was ever claimed."""
    cursor = await driver.execute(_BEGUN, (ledger_id, kind, list(payout_ids)))
    return frozenset(payout_id for (payout_id,) in await cursor.fetchall())
