"""Alerts as rows: opened while a condition holds, resolved when it does not, told of once, and again after a while.

A notice is claimed for a while before it is posted, and what became of it is written down afterwards: one whose end was
not written down is posted again under the same number."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.alerts.conditions import AlertRules, Kind, read_conditions
from ledger.database import Driver
from ledger.ids import IdSource, encode

PREFIX = "alr"
SUMMARY_LENGTH_MAX = 300

# One process looks at a time; the others have nothing to add.
_LOOK_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('daftari.alerts', 0))"
_OPEN = """
INSERT INTO alerts (ledger_id, id, kind, subject, summary, opened_at, notices, tries, due_at)
SELECT c.*, %(now)s, 0, 0, %(now)s
FROM unnest(%(ledger)s::int[], %(id)s::bigint[], %(kind)s::text[], %(subject)s::text[], %(summary)s::text[]) AS c
ON CONFLICT (ledger_id, kind, subject) WHERE resolved_at IS NULL DO UPDATE SET summary = excluded.summary
    WHERE alerts.summary <> excluded.summary
"""
# Who was told that it began is told that it ended.
_RESOLVE = """
UPDATE alerts AS a SET resolved_at = %(now)s, tries = 0, due_at = CASE WHEN a.notices > 0 THEN %(now)s END
WHERE a.resolved_at IS NULL AND NOT EXISTS (
    SELECT FROM unnest(%(ledger)s::int[], %(kind)s::text[], %(subject)s::text[]) AS c (ledger_id, kind, subject)
    WHERE (c.ledger_id, c.kind, c.subject) = (a.ledger_id, a.kind, a.subject))
"""
_CLAIM = """
WITH due AS (
    SELECT ledger_id, id FROM alerts WHERE due_at <= %(now)s ORDER BY due_at, id LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE alerts AS a SET due_at = %(leased)s FROM due, ledgers AS l
WHERE a.ledger_id = due.ledger_id AND a.id = due.id AND l.id = a.ledger_id
RETURNING a.ledger_id, l.code, a.id, a.kind, a.subject, a.summary, a.opened_at, a.resolved_at, a.notices, a.tries
"""
# What ended while its beginning was being told is told next.
_RECORD = """
UPDATE alerts AS a SET notices = n.notices + n.is_over::int, tries = CASE WHEN n.is_over THEN 0 ELSE n.tries + 1 END,
    due_at = CASE WHEN NOT n.is_over THEN %(now)s + n.rest WHEN a.resolved_at IS NULL THEN %(now)s + %(repeat)s
        WHEN n.told_resolved THEN NULL ELSE %(now)s END
FROM unnest(%(ledger)s::int[], %(id)s::bigint[], %(notices)s::int[], %(tries)s::int[], %(is_over)s::bool[],
    %(told_resolved)s::bool[], %(rest)s::interval[])
    AS n (ledger_id, id, notices, tries, is_over, told_resolved, rest)
WHERE a.ledger_id = n.ledger_id AND a.id = n.id AND a.notices = n.notices AND (a.tries = n.tries OR n.is_over)
"""


class Telling(enum.Enum):
    """What a notice says of its alert."""

    OPENED = "opened"
    STILL_OPEN = "still_open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One telling of an alert, claimed. `tries` were made of it before."""

    ledger_id: int
    ledger: str
    id: int
    kind: Kind
    subject: str
    summary: str
    opened_at: datetime
    resolved_at: datetime | None
    notices: int
    tries: int

    @property
    def telling(self) -> Telling:
        """See Telling."""
        if self.resolved_at is not None:
            return Telling.RESOLVED
        return Telling.STILL_OPEN if self.notices else Telling.OPENED

    @property
    def alert_id(self) -> str:
        """What the alert is known by."""
        return encode(PREFIX, self.id)

    @property
    def notice_id(self) -> str:
        """The same for each try of this notice, and for no other."""
        return f"{self.alert_id}-{self.notices + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TellingRules:
    """How long a notice rests after each try that failed, after which it is given up; and after which time an alert
    that is open yet is told again."""

    rests: tuple[timedelta, ...]
    repeat: timedelta


async def look(driver: Driver, *, rules: AlertRules, ids: IdSource, now: datetime) -> None:
    """Opens alerts of what holds now and has none, and resolves those of what holds no more."""
    row = await (await driver.execute(_LOOK_ALONE)).fetchone()
    assert row is not None
    if not row[0]:
        return
    found = await read_conditions(driver, rules=rules, now=now)
    parameters: dict[str, object] = {
        "now": now,
        "ledger": [one.ledger_id for one in found],
        "id": ids.next_many(now, count=len(found)),
        "kind": [one.kind.value for one in found],
        "subject": [one.subject for one in found],
        "summary": [one.summary[:SUMMARY_LENGTH_MAX] for one in found],
    }
    await driver.execute(_RESOLVE, parameters)
    if found:
        await driver.execute(_OPEN, parameters)


async def claim_notices(driver: Driver, *, lease: timedelta, limit: int, now: datetime) -> list[Notice]:
    """Notices that are due, kept from others until the lease ends."""
    rows = await (await driver.execute(_CLAIM, {"now": now, "leased": now + lease, "limit": limit})).fetchall()
    return [
        Notice(
            ledger_id=row[0],
            ledger=row[1],
            id=row[2],
            kind=Kind(row[3]),
            subject=row[4],
            summary=row[5],
            opened_at=row[6],
            resolved_at=row[7],
            notices=row[8],
            tries=row[9],
        )
        for row in rows
    ]


async def record_notices(
    driver: Driver, *, tried: Sequence[tuple[Notice, bool]], rules: TellingRules, now: datetime
) -> None:
    """Writes down which were taken. One that was not is tried again after a rest; after the last it is given up, and
    its alert is told again with the next repeat."""
    if not tried:
        return
    given_up = [one.tries >= len(rules.rests) for one, _ in tried]
    parameters: dict[str, object] = {
        "now": now,
        "repeat": rules.repeat,
        "ledger": [one.ledger_id for one, _ in tried],
        "id": [one.id for one, _ in tried],
        "notices": [one.notices for one, _ in tried],
        "tries": [one.tries for one, _ in tried],
        "is_over": [is_taken or is_last for (_, is_taken), is_last in zip(tried, given_up, strict=True)],
        "told_resolved": [one.telling is Telling.RESOLVED for one, _ in tried],
        "rest": [rules.rests[min(one.tries, len(rules.rests) - 1)] for one, _ in tried],
    }
    await driver.execute(_RECORD, parameters)
