"""The delivery queue: which deliveries may be tried now, claimed under a lease, and what became of each try.

A payout's deliveries go out in the order of its versions; an endpoint has a bounded number of tries under way, one
while it fails. A claim whose worker died is made again under the same event id once its lease ends. While an endpoint
fails it is probed though nothing is due; when it answers again, all that failed meanwhile may go at once. Such extra
tries do not count: a delivery is given up by its own schedule alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from ledger.database import Driver
from ledger.ids import IdSource, encode
from ledger.payouts import reviews
from ledger.sealing import Sealer
from ledger.webhooks.announcing import EVENT_PREFIX
from ledger.webhooks.endpoints import GONE, secret_place

DEAD_QUEUE = "webhook-dead"
# A rest is drawn out by up to this share, so that what failed together does not come back together.
JITTER_SHARE = 0.1

# How many deliveries of an endpoint one claim looks at. What it finds behind an earlier version it sets aside, so that
# no claim finds it again before its turn; however much waits, a claim reads no more than this.
LOOKED_AT_MAX = 32

# Endpoints with something to try, oldest due first. Locked, so that the tries under way are counted once at a time; an
# endpoint that another worker is claiming from is skipped, not waited for. Plan: for each live endpoint the first entry
# of two index ranges, and the few leases. An OR over those ranges would read the whole backlog instead.
_LOCK_ENDPOINTS = """
SELECT e.ledger_id, e.id FROM webhook_endpoints AS e
CROSS JOIN LATERAL (
    SELECT min(first.due_at) AS oldest FROM (
        (SELECT d.due_at FROM webhook_deliveries AS d
         WHERE d.ledger_id = e.ledger_id AND d.endpoint_id = e.id AND d.state = 'PENDING' AND NOT d.behind
           AND (d.leased_until IS NULL OR d.leased_until <= %(now)s)
           AND d.due_at <= CASE WHEN e.probe_at <= %(now)s THEN 'infinity' ELSE %(now)s END
         ORDER BY d.due_at LIMIT 1)
        UNION ALL
        (SELECT d.due_at FROM webhook_deliveries AS d
         WHERE d.ledger_id = e.ledger_id AND d.endpoint_id = e.id AND d.state = 'PENDING' AND NOT d.behind
           AND (d.leased_until IS NULL OR d.leased_until <= %(now)s) AND d.tried_at < e.recovered_at
         ORDER BY d.tried_at LIMIT 1)
    ) AS first
) AS waiting
WHERE e.disabled_at IS NULL AND waiting.oldest IS NOT NULL
  AND (SELECT count(*) FROM webhook_deliveries AS f WHERE f.ledger_id = e.ledger_id AND f.endpoint_id = e.id
       AND f.state = 'PENDING' AND f.leased_until > %(now)s)
      < CASE WHEN e.failing_since IS NULL THEN %(per_endpoint)s ELSE 1 END
ORDER BY waiting.oldest, e.ledger_id, e.id LIMIT %(limit)s FOR NO KEY UPDATE OF e SKIP LOCKED
"""
# A statement of its own: its snapshot is younger than the locks, so it sees every claim made before them. Whoever ends
# the earlier version holds the same lock, so that nothing is set aside behind what has just ended.
_CLAIM = """
WITH looked_at AS (
    SELECT e.ledger_id, e.id AS endpoint_id, c.id, c.due_at, coalesce(c.version > (
        SELECT b.version FROM webhook_deliveries AS b WHERE b.ledger_id = e.ledger_id AND b.endpoint_id = e.id
           AND b.payout_id = c.payout_id AND b.state = 'PENDING' ORDER BY b.version LIMIT 1
    ), false) AS behind
    FROM unnest(%(ledger)s::int[], %(endpoint)s::bigint[]) AS l (ledger_id, id)
    JOIN webhook_endpoints AS e ON e.ledger_id = l.ledger_id AND e.id = l.id
    CROSS JOIN LATERAL (
        (SELECT d.id, d.due_at, d.payout_id, d.version FROM webhook_deliveries AS d
         WHERE d.ledger_id = e.ledger_id AND d.endpoint_id = e.id AND d.state = 'PENDING' AND NOT d.behind
           AND (d.leased_until IS NULL OR d.leased_until <= %(now)s)
           AND d.due_at <= CASE WHEN e.probe_at <= %(now)s THEN 'infinity' ELSE %(now)s END
         ORDER BY d.due_at, d.id LIMIT %(looked_at)s)
        UNION
        (SELECT d.id, d.due_at, d.payout_id, d.version FROM webhook_deliveries AS d
         WHERE d.ledger_id = e.ledger_id AND d.endpoint_id = e.id AND d.state = 'PENDING' AND NOT d.behind
           AND (d.leased_until IS NULL OR d.leased_until <= %(now)s) AND d.tried_at < e.recovered_at
         ORDER BY d.tried_at LIMIT %(looked_at)s)
    ) AS c
), set_aside AS (
    UPDATE webhook_deliveries AS d SET behind = true
    FROM looked_at AS c WHERE c.behind AND d.ledger_id = c.ledger_id AND d.id = c.id
), wanted AS (
    SELECT c.ledger_id, c.id, c.due_at <= %(now)s AS due, e.url
    FROM (SELECT *, row_number() OVER (PARTITION BY ledger_id, endpoint_id ORDER BY due_at, id) AS number
          FROM looked_at WHERE NOT behind) AS c
    JOIN webhook_endpoints AS e ON e.ledger_id = c.ledger_id AND e.id = c.endpoint_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS number FROM webhook_deliveries AS f WHERE f.ledger_id = e.ledger_id
           AND f.endpoint_id = e.id AND f.state = 'PENDING' AND f.leased_until > %(now)s
    ) AS under_way
    WHERE c.number <= CASE WHEN e.failing_since IS NULL THEN %(per_endpoint)s ELSE 1 END - under_way.number
    ORDER BY c.due_at, c.id LIMIT %(limit)s
)
UPDATE webhook_deliveries AS d SET lease_token = %(token)s, leased_until = %(lease_until)s
FROM wanted AS w WHERE d.ledger_id = w.ledger_id AND d.id = w.id
RETURNING d.ledger_id, d.id, d.endpoint_id, d.payout_id, d.event, d.payload, d.tries, w.due, w.url
"""
_SECRETS = """
SELECT s.ledger_id, s.endpoint_id, s.id, s.sealed FROM webhook_secrets AS s
JOIN unnest(%s::int[], %s::bigint[]) AS e (ledger_id, id) ON e.ledger_id = s.ledger_id AND e.id = s.endpoint_id
WHERE s.retires_at IS NULL OR s.retires_at > %s ORDER BY s.id DESC
"""
_LOCK_ENDPOINT = """
SELECT failing_since FROM webhook_endpoints WHERE ledger_id = %s AND id = %s FOR NO KEY UPDATE
"""
# Fenced: a try whose lease another worker took meanwhile changes nothing.
_FINISH = """
UPDATE webhook_deliveries SET state = %(state)s, tries = %(tries)s, due_at = coalesce(%(due)s, due_at),
    tried_at = %(now)s, answer = %(answer)s, lease_token = NULL, leased_until = NULL
WHERE ledger_id = %(ledger)s AND id = %(id)s AND lease_token = %(token)s AND state = 'PENDING'
"""
_FAILS = """
UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, %(now)s), probe_at = %(probe)s
WHERE ledger_id = %(ledger)s AND id = %(endpoint)s
"""
# A receiver that fails now and then is not one that was away: only after a probe's time is everything tried again.
_ANSWERS = """
UPDATE webhook_endpoints SET failing_since = NULL, probe_at = NULL,
    recovered_at = CASE WHEN failing_since <= %(away)s THEN %(now)s ELSE recovered_at END
WHERE ledger_id = %(ledger)s AND id = %(endpoint)s AND failing_since IS NOT NULL
"""
_DISABLE = """
UPDATE webhook_endpoints SET disabled_at = %(now)s, disabled_why = %(why)s
WHERE ledger_id = %(ledger)s AND id = %(endpoint)s AND disabled_at IS NULL
"""
_CLOSE_CASE = """
INSERT INTO review_resolutions (ledger_id, review_id, verb, evidence, actor, resolved_at)
SELECT r.ledger_id, r.id, 'answered', 'the receiver took it after all', 'daftari', %s FROM reviews AS r
WHERE r.ledger_id = %s AND r.payout_id = %s AND r.queue = %s AND r.reason = %s
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The rests between the tries of one delivery, and how often a failing endpoint is probed."""

    rests: tuple[timedelta, ...]
    probe: timedelta
    randomness: random.Random

    def drawn_out(self, rest: timedelta) -> timedelta:
        """The rest, or somewhat more."""
        return rest * (1 + JITTER_SHARE * self.randomness.random())


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """How many tries may be under way: at one endpoint, and claimed at once."""

    per_endpoint: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery under our lease. `due` says that this try counts; the rest is for the wire and for no repr."""

    ledger_id: int
    id: int
    endpoint_id: int
    payout_id: int | None
    event: str
    tries: int
    due: bool
    token: int
    url: str = field(repr=False)
    payload: bytes = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def event_id(self) -> str:
        """What the receiver knows it by, the same on every try."""
        return encode(EVENT_PREFIX, self.id)


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver answered 2xx."""

    answer: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Anything else, in words safe to show."""

    answer: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver answered 410: it wants nothing more."""


Verdict: TypeAlias = Taken | NotTaken | Gone


async def claim(
    driver: Driver, *, limits: ClaimLimits, lease: timedelta, token: int, sealer: Sealer, now: datetime
) -> list[Claimed]:
    """Claims what may be tried now, with the secrets that sign it. The caller commits before any call."""
    parameters = {"now": now, "per_endpoint": limits.per_endpoint, "limit": limits.total}
    endpoints = await (await driver.execute(_LOCK_ENDPOINTS, parameters)).fetchall()
    if not endpoints:
        return []
    places = {"ledger": [ledger_id for ledger_id, _ in endpoints], "endpoint": [one for _, one in endpoints]}
    leased = {"token": token, "lease_until": now + lease, "looked_at": LOOKED_AT_MAX}
    rows = await (await driver.execute(_CLAIM, parameters | places | leased)).fetchall()
    secrets = await _live_secrets(driver, {(row[0], row[2]) for row in rows}, sealer, now)
    return [
        Claimed(
            ledger_id=row[0],
            id=row[1],
            endpoint_id=row[2],
            payout_id=row[3],
            event=row[4],
            payload=bytes(row[5]),
            tries=row[6],
            due=row[7],
            url=row[8],
            token=token,
            secrets=tuple(secrets[row[0], row[2]]),
        )
        for row in rows
    ]


async def _live_secrets(
    driver: Driver, endpoints: set[tuple[int, int]], sealer: Sealer, now: datetime
) -> dict[tuple[int, int], list[bytes]]:
    """The secrets in force of each endpoint, newest first."""
    columns = ([ledger_id for ledger_id, _ in endpoints], [endpoint_id for _, endpoint_id in endpoints])
    found: dict[tuple[int, int], list[bytes]] = {}
    for ledger_id, endpoint_id, secret_id, sealed in await (await driver.execute(_SECRETS, (*columns, now))).fetchall():
        secret = sealer.open(bytes(sealed), bound_to=secret_place(ledger_id, secret_id))
        found.setdefault((ledger_id, endpoint_id), []).append(secret)
    return found


async def record_try(
    driver: Driver, *, tried: Claimed, verdict: Verdict, retry: RetryPolicy, ids: IdSource, now: datetime
) -> bool:
    """Writes down what became of a try; False where another worker has the delivery by now and nothing was changed."""
    await driver.execute(_LOCK_ENDPOINT, (tried.ledger_id, tried.endpoint_id))
    match verdict:
        case Taken(answer=answer):
            return await _record_taken(driver, tried, answer, retry, now)
        case NotTaken(answer=answer):
            return await _record_failed(driver, tried, answer, retry, ids, now)
        case Gone():
            kept = await _record_failed(driver, tried, GONE, retry, ids, now)
            place = {"ledger": tried.ledger_id, "endpoint": tried.endpoint_id}
            closed = await driver.execute(_DISABLE, {**place, "now": now, "why": GONE})
            if closed.rowcount:
                await _open_case(driver, tried, f"an endpoint was disabled: {GONE}", ids, now)
            return kept


async def _record_taken(driver: Driver, tried: Claimed, answer: str, retry: RetryPolicy, now: datetime) -> bool:
    if not await _finish(driver, tried, state="DELIVERED", tries=tried.tries + 1, due=None, answer=answer, now=now):
        return False
    place = {"ledger": tried.ledger_id, "endpoint": tried.endpoint_id}
    await driver.execute(_ANSWERS, {**place, "now": now, "away": now - retry.probe})
    if tried.payout_id is not None:
        case = (tried.ledger_id, tried.payout_id, DEAD_QUEUE, _dead_reason(tried))
        await driver.execute(_CLOSE_CASE, (now, *case))
    return True


async def _record_failed(
    driver: Driver, tried: Claimed, answer: str, retry: RetryPolicy, ids: IdSource, now: datetime
) -> bool:
    tries = tried.tries + 1 if tried.due else tried.tries
    # A ping asks how things are now; to repeat it for days would answer nothing.
    dead = tried.due and (tries > len(retry.rests) or tried.payout_id is None)
    due = now + retry.drawn_out(retry.rests[tries - 1]) if tried.due and not dead else None
    state = "DEAD" if dead else "PENDING"
    if not await _finish(driver, tried, state=state, tries=tries, due=due, answer=answer, now=now):
        return False
    place = {"ledger": tried.ledger_id, "endpoint": tried.endpoint_id}
    await driver.execute(_FAILS, {**place, "now": now, "probe": now + retry.drawn_out(retry.probe)})
    if dead:
        await _open_case(driver, tried, _dead_reason(tried), ids, now)
    return True


async def _finish(
    driver: Driver, tried: Claimed, *, state: str, tries: int, due: datetime | None, answer: str, now: datetime
) -> bool:
    parameters = {
        "ledger": tried.ledger_id,
        "id": tried.id,
        "token": tried.token,
        "state": state,
        "tries": tries,
        "due": due,
        "answer": answer[:200],
        "now": now,
    }
    return (await driver.execute(_FINISH, parameters)).rowcount == 1


async def _open_case(driver: Driver, tried: Claimed, reason: str, ids: IdSource, now: datetime) -> None:
    if tried.payout_id is not None:
        cases = [reviews.Case(tried.payout_id, reason)]
        await reviews.open_reviews(driver, ledger_id=tried.ledger_id, queue=DEAD_QUEUE, cases=cases, ids=ids, now=now)


def _dead_reason(tried: Claimed) -> str:
    """Names the delivery, which `daftari webhook replay` takes; the same words find the case again."""
    return f"{tried.event_id} ({tried.event}) was not taken in all its tries"
