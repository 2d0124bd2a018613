"""The delivery queue: which deliveries may be tried now, claimed under a lease, and what became of each try.

The deliveries of one payout, order, loan or prompt go out in the order of its versions; an endpoint has a bounded
number of tries under way, one while it fails. A claim whose worker died is made again under the same event id once its
lease ends. While an endpoint fails it is probed though nothing is due; when it answers again, all that failed meanwhile
may go at once. Such extra tries do not count: a delivery is given up by its own schedule alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from ledger.database import Driver
from ledger.ids import IdSource, encode
from ledger.outbox.announcements import EVENT_PREFIX, Subject, SubjectKind, subject_of
from ledger.payouts import reviews
from ledger.sealing import Sealer
from ledger.webhooks.endpoints import ENDPOINT_PREFIX, GONE, secret_place

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
# What is before a delivery is looked up by an index of its subject's kind; those of other kinds ask for NULL and read
# nothing. A statement of its own: its snapshot is younger than the locks, so it sees every claim made before them.
# Whoever ends the earlier version holds the same lock, so that nothing is set aside behind what has just ended.
_CLAIM = """
WITH looked_at AS (
    SELECT e.ledger_id, e.id AS endpoint_id, c.id, c.due_at, coalesce(c.version > least(
        (SELECT b.version FROM webhook_deliveries AS b WHERE b.ledger_id = e.ledger_id AND b.endpoint_id = e.id
            AND b.payout_id = c.payout_id AND b.state = 'PENDING' ORDER BY b.version LIMIT 1),
        (SELECT b.version FROM webhook_deliveries AS b WHERE b.ledger_id = e.ledger_id AND b.endpoint_id = e.id
            AND b.order_id = c.order_id AND b.state = 'PENDING' ORDER BY b.version LIMIT 1),
        (SELECT b.version FROM webhook_deliveries AS b WHERE b.ledger_id = e.ledger_id AND b.endpoint_id = e.id
            AND b.loan_id = c.loan_id AND b.state = 'PENDING' ORDER BY b.version LIMIT 1),
        (SELECT b.version FROM webhook_deliveries AS b WHERE b.ledger_id = e.ledger_id AND b.endpoint_id = e.id
            AND b.prompt_id = c.prompt_id AND b.state = 'PENDING' ORDER BY b.version LIMIT 1)
    ), false) AS behind
    FROM unnest(%(ledger)s::int[], %(endpoint)s::bigint[]) AS l (ledger_id, id)
    JOIN webhook_endpoints AS e ON e.ledger_id = l.ledger_id AND e.id = l.id
    CROSS JOIN LATERAL (
        (SELECT d.id, d.due_at, d.payout_id, d.order_id, d.loan_id, d.prompt_id, d.version FROM webhook_deliveries AS d
         WHERE d.ledger_id = e.ledger_id AND d.endpoint_id = e.id AND d.state = 'PENDING' AND NOT d.behind
           AND (d.leased_until IS NULL OR d.leased_until <= %(now)s)
           AND d.due_at <= CASE WHEN e.probe_at <= %(now)s THEN 'infinity' ELSE %(now)s END
         ORDER BY d.due_at, d.id LIMIT %(looked_at)s)
        UNION
        (SELECT d.id, d.due_at, d.payout_id, d.order_id, d.loan_id, d.prompt_id, d.version FROM webhook_deliveries AS d
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
RETURNING d.ledger_id, d.id, d.endpoint_id, d.event, d.payload, d.tries, w.due, w.url, d.payout_id, d.order_id,
    d.loan_id, d.prompt_id
"""
_SECRETS = """
SELECT s.ledger_id, s.endpoint_id, s.id, s.sealed FROM webhook_secrets AS s
JOIN unnest(%s::int[], %s::bigint[]) AS e (ledger_id, id) ON e.ledger_id = s.ledger_id AND e.id = s.endpoint_id
WHERE s.retires_at IS NULL OR s.retires_at > %s ORDER BY s.id DESC
"""
_LOCK_THESE = """
SELECT FROM webhook_endpoints WHERE (ledger_id, id) IN (SELECT * FROM unnest(%s::int[], %s::bigint[]))
ORDER BY ledger_id, id FOR NO KEY UPDATE
"""
# Fenced: a try whose lease another worker took meanwhile changes nothing.
_FINISH = """
UPDATE webhook_deliveries AS d SET state = t.state, tries = t.tries, due_at = coalesce(t.due, d.due_at),
    tried_at = %(now)s, answer = t.answer, lease_token = NULL, leased_until = NULL
FROM unnest(%(ledger)s::int[], %(id)s::bigint[], %(token)s::bigint[], %(state)s::text[], %(tries)s::int[],
    %(due)s::timestamptz[], %(answer)s::text[]) AS t (ledger_id, id, token, state, tries, due, answer)
WHERE d.ledger_id = t.ledger_id AND d.id = t.id AND d.lease_token = t.token AND d.state = 'PENDING'
RETURNING d.ledger_id, d.id
"""
_FAILS = """
UPDATE webhook_endpoints AS e SET failing_since = coalesce(e.failing_since, %(now)s), probe_at = f.probe
FROM unnest(%(ledger)s::int[], %(endpoint)s::bigint[], %(probe)s::timestamptz[]) AS f (ledger_id, id, probe)
WHERE e.ledger_id = f.ledger_id AND e.id = f.id
"""
# A receiver that fails now and then is not one that was away: only after a probe's time is everything tried again.
_ANSWERS = """
UPDATE webhook_endpoints SET failing_since = NULL, probe_at = NULL,
    recovered_at = CASE WHEN failing_since <= %(away)s THEN %(now)s ELSE recovered_at END
WHERE (ledger_id, id) IN (SELECT * FROM unnest(%(ledger)s::int[], %(endpoint)s::bigint[])) AND failing_since IS NOT NULL
"""
_DISABLE = """
UPDATE webhook_endpoints SET disabled_at = %(now)s, disabled_why = %(why)s
WHERE (ledger_id, id) IN (SELECT * FROM unnest(%(ledger)s::int[], %(endpoint)s::bigint[])) AND disabled_at IS NULL
RETURNING ledger_id, id
"""
_CLOSE_CASES = """
INSERT INTO review_resolutions (ledger_id, review_id, verb, evidence, actor, resolved_at)
SELECT r.ledger_id, r.id, 'answered', 'the receiver took it after all', 'daftari', %(now)s
FROM unnest(%(ledger)s::int[], %(payout)s::bigint[], %(reason)s::text[]) AS t (ledger_id, payout_id, reason)
JOIN reviews AS r ON r.ledger_id = t.ledger_id AND r.queue = 'webhook-dead' AND r.reason = t.reason
    AND r.payout_id IS NOT DISTINCT FROM t.payout_id
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
    """A delivery under our lease. A ping has no subject; `due` says that this try counts; the rest is for the wire and
    for no repr."""

    ledger_id: int
    id: int
    endpoint_id: int
    subject: Subject | None
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
            event=row[3],
            payload=bytes(row[4]),
            tries=row[5],
            due=row[6],
            url=row[7],
            subject=subject_of(*row[8:]),
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


Tried: TypeAlias = tuple[Claimed, Verdict]


async def record_tries(
    driver: Driver, *, tried: Sequence[Tried], retry: RetryPolicy, ids: IdSource, now: datetime
) -> list[bool]:
    """Writes down what became of tries, in the order they ended; says of each whether it was kept: not where another
    worker has the delivery by now, and there nothing was changed."""
    await driver.execute(_LOCK_THESE, _columns({_endpoint(claimed) for claimed, _ in tried}))
    ends = [_end(claimed, verdict, retry, now) for claimed, verdict in tried]
    finished = await _finish(driver, ends, now)
    kept = [end for end in ends if (end.claimed.ledger_id, end.claimed.id) in finished]
    await _judge_endpoints(driver, kept, retry, now)
    cases = [(end.claimed, _dead_reason(end.claimed)) for end in kept if end.state == "DEAD"]
    gone = await _disable(driver, {_endpoint(claimed): claimed for claimed, one in tried if isinstance(one, Gone)}, now)
    cases += [(one, f"{encode(ENDPOINT_PREFIX, one.endpoint_id)} was disabled: {GONE}") for one in gone]
    await _open_cases(driver, cases, ids, now)
    await _close_cases(driver, [end.claimed for end in kept if end.is_taken], now)
    return [(claimed.ledger_id, claimed.id) in finished for claimed, _ in tried]


@dataclass(frozen=True, slots=True)
class _End:
    """What a try makes of its delivery."""

    claimed: Claimed
    is_taken: bool
    state: str
    tries: int
    due: datetime | None
    answer: str


def _end(tried: Claimed, verdict: Verdict, retry: RetryPolicy, now: datetime) -> _End:
    if isinstance(verdict, Taken):
        return _End(tried, True, "DELIVERED", tried.tries + 1, None, verdict.answer)
    answer = verdict.answer if isinstance(verdict, NotTaken) else GONE
    tries = tried.tries + 1 if tried.due else tried.tries
    # A ping asks how things are now; to repeat it for days would answer nothing.
    dead = tried.due and (tries > len(retry.rests) or tried.subject is None)
    due = now + retry.drawn_out(retry.rests[tries - 1]) if tried.due and not dead else None
    return _End(tried, False, "DEAD" if dead else "PENDING", tries, due, answer)


async def _finish(driver: Driver, ends: Sequence[_End], now: datetime) -> frozenset[tuple[int, int]]:
    """The deliveries that were ours to end, by ledger and id."""
    parameters = {
        "now": now,
        "ledger": [end.claimed.ledger_id for end in ends],
        "id": [end.claimed.id for end in ends],
        "token": [end.claimed.token for end in ends],
        "state": [end.state for end in ends],
        "tries": [end.tries for end in ends],
        "due": [end.due for end in ends],
        "answer": [end.answer[:200] for end in ends],
    }
    rows = await (await driver.execute(_FINISH, parameters)).fetchall()
    return frozenset((ledger_id, delivery_id) for ledger_id, delivery_id in rows)


async def _judge_endpoints(driver: Driver, kept: Sequence[_End], retry: RetryPolicy, now: datetime) -> None:
    """An endpoint that took something answers; one whose last try in this set failed, fails."""
    answering = {_endpoint(end.claimed) for end in kept if end.is_taken}
    last = {_endpoint(end.claimed): end for end in kept}
    failing = [place for place, end in last.items() if not end.is_taken]
    if answering:
        ledgers, endpoints = _columns(answering)
        parameters = {"ledger": ledgers, "endpoint": endpoints, "now": now, "away": now - retry.probe}
        await driver.execute(_ANSWERS, parameters)
    if failing:
        ledgers, endpoints = _columns(failing)
        probes = [now + retry.drawn_out(retry.probe) for _ in failing]
        await driver.execute(_FAILS, {"ledger": ledgers, "endpoint": endpoints, "now": now, "probe": probes})


async def _disable(driver: Driver, gone: Mapping[tuple[int, int], Claimed], now: datetime) -> list[Claimed]:
    """The tries by which an endpoint was disabled that was not."""
    if not gone:
        return []
    ledgers, endpoints = _columns(gone)
    parameters = {"ledger": ledgers, "endpoint": endpoints, "now": now, "why": GONE}
    rows = await (await driver.execute(_DISABLE, parameters)).fetchall()
    return [gone[ledger_id, endpoint_id] for ledger_id, endpoint_id in rows]


async def _open_cases(driver: Driver, found: Sequence[tuple[Claimed, str]], ids: IdSource, now: datetime) -> None:
    """A case per reason, under its payout where there is one; a ping tells of nothing and is nobody's case."""
    cases: dict[int, list[reviews.Case]] = {}
    for claimed, reason in found:
        if claimed.subject is not None:
            cases.setdefault(claimed.ledger_id, []).append(reviews.Case(_payout_of(claimed), reason))
    for ledger_id, of_ledger in cases.items():
        await reviews.open_reviews(driver, ledger_id=ledger_id, queue=DEAD_QUEUE, cases=of_ledger, ids=ids, now=now)


async def _close_cases(driver: Driver, taken: Sequence[Claimed], now: datetime) -> None:
    """What was given up, and sent again by a person, and taken: its case is answered."""
    about = [one for one in taken if one.subject is not None]
    if about:
        parameters = {
            "now": now,
            "ledger": [one.ledger_id for one in about],
            "payout": [_payout_of(one) for one in about],
            "reason": [_dead_reason(one) for one in about],
        }
        await driver.execute(_CLOSE_CASES, parameters)


def _payout_of(claimed: Claimed) -> int | None:
    subject = claimed.subject
    return subject.id if subject is not None and subject.kind is SubjectKind.PAYOUT else None


def _endpoint(claimed: Claimed) -> tuple[int, int]:
    return claimed.ledger_id, claimed.endpoint_id


def _columns(places: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Ledgers and endpoints, for unnest."""
    listed = list(places)
    return [ledger_id for ledger_id, _ in listed], [endpoint_id for _, endpoint_id in listed]


def _dead_reason(tried: Claimed) -> str:
    """Names the delivery, which `daftari webhook replay` takes; the same words find the case again."""
    return f"{tried.event_id} ({tried.event}) was not taken in all its tries"
