"""Raw messages of providers: stored verbatim before anyone judges them, claimed in sets, judged once. Interprets
nothing.

The bytes are sealed: they hold numbers of people and, in one documented case, a credential of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from ledger.database import Driver
from ledger.sealing import Sealer

# How long after a payout ended its callback paths are still listened to.
PATH_LIFE = timedelta(days=7)

# One of a ledger that there is not is left out, and harms no other.
_STORE = """
INSERT INTO inbox (ledger_id, id, provider, kind, token_hash, raw, remote_address, received_at, due_at)
SELECT m.*, %(now)s, %(now)s
FROM unnest(%(ledger)s::int[], %(id)s::bigint[], %(provider)s::text[], %(kind)s::text[], %(hash)s::bytea[],
    %(raw)s::bytea[], %(address)s::text[]) AS m (ledger_id, id, provider, kind, token_hash, raw, remote_address)
JOIN ledgers AS l ON l.id = m.ledger_id
RETURNING id
"""
_CLAIM = """
SELECT ledger_id, id, provider, kind, token_hash, raw, tries FROM inbox
WHERE judged_at IS NULL AND due_at <= %s ORDER BY due_at, ledger_id, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""
_DUE = (
    "SELECT ledger_id, id FROM inbox WHERE judged_at IS NULL AND due_at <= %s ORDER BY due_at, ledger_id, id LIMIT %s"
)
_CLAIM_ONE = """
SELECT ledger_id, id, provider, kind, token_hash, raw, tries FROM inbox
WHERE judged_at IS NULL AND ledger_id = %s AND id = %s FOR NO KEY UPDATE SKIP LOCKED
"""
_OWNERS = """
SELECT a.token_hash, i.payout_id, i.kind FROM attempts AS a
JOIN instructions AS i ON i.ledger_id = a.ledger_id AND i.id = a.instruction_id
JOIN payouts AS p ON p.ledger_id = i.ledger_id AND p.id = i.payout_id
WHERE a.ledger_id = %s AND a.token_hash = ANY(%s)
  AND (p.state NOT IN ('SETTLED', 'RELEASED', 'CANCELLED') OR p.updated_at > %s)
"""
_SETTLE = """
UPDATE inbox AS m SET judged_at = %s, verdict = v.verdict, detail = v.detail, payout_id = v.payout_id
FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::text[], %s::bigint[]) AS v (ledger_id, id, verdict, detail,
    payout_id)
WHERE m.ledger_id = v.ledger_id AND m.id = v.id
"""
_REST = """
UPDATE inbox AS m SET tries = m.tries + 1, due_at = r.due_at
FROM unnest(%s::int[], %s::bigint[], %s::timestamptz[]) AS r (ledger_id, id, due_at)
WHERE m.ledger_id = r.ledger_id AND m.id = r.id AND m.judged_at IS NULL
"""
_POSTPONE = """
UPDATE inbox SET tries = tries + %s, due_at = %s WHERE ledger_id = %s AND id = %s AND judged_at IS NULL
RETURNING tries, token_hash
"""


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """A message as it came in. Its raw bytes may hold anything, so nothing of it is ever shown."""

    ledger_id: int
    id: int
    rail: str
    kind: str
    token_hash: bytes
    raw: bytes
    remote_address: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A stored message to be judged, under the lock of our transaction."""

    ledger_id: int
    id: int
    rail: str
    kind: str
    token_hash: bytes
    raw: bytes
    tries: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a message turned out to be, in words that quote nothing of it."""

    ledger_id: int
    message_id: int
    verdict: str
    detail: str | None
    payout_id: int | None


async def store(driver: Driver, *, messages: Sequence[Received], sealer: Sealer, now: datetime) -> frozenset[int]:
    """Keeps messages, due at once, and returns the ids of those kept: all but those for a ledger there is not."""
    parameters = {
        "now": now,
        "ledger": [one.ledger_id for one in messages],
        "id": [one.id for one in messages],
        "provider": [one.rail for one in messages],
        "kind": [one.kind for one in messages],
        "hash": [one.token_hash for one in messages],
        "raw": [sealer.seal(one.raw, bound_to=_place(one.ledger_id, one.id)) for one in messages],
        "address": [one.remote_address for one in messages],
    }
    cursor = await driver.execute(_STORE, parameters)
    return frozenset(message_id for (message_id,) in await cursor.fetchall())


async def claim(driver: Driver, *, sealer: Sealer, now: datetime, limit: int) -> list[Message]:
    """Locks up to `limit` messages that await judgement until the transaction ends, grouped by ledger, oldest first."""
    return sorted(await _fetch(driver, sealer, _CLAIM, (now, limit)), key=lambda one: one.ledger_id)


async def claim_one(driver: Driver, *, sealer: Sealer, ledger_id: int, message_id: int) -> list[Message]:
    """Locks one message that awaits judgement; nothing if another worker has it."""
    return await _fetch(driver, sealer, _CLAIM_ONE, (ledger_id, message_id))


async def list_due(driver: Driver, *, now: datetime, limit: int) -> list[tuple[int, int]]:
    """The (ledger id, message id) of messages that await judgement, oldest first, unlocked."""
    cursor = await driver.execute(_DUE, (now, limit))
    return [(ledger_id, message_id) for ledger_id, message_id in await cursor.fetchall()]


async def _fetch(driver: Driver, sealer: Sealer, query: LiteralString, parameters: tuple[object, ...]) -> list[Message]:
    rows = await (await driver.execute(query, parameters)).fetchall()
    return [
        Message(
            row[0],
            row[1],
            row[2],
            row[3],
            bytes(row[4]),
            sealer.open(bytes(row[5]), bound_to=_place(row[0], row[1])),
            row[6],
        )
        for row in rows
    ]


def _place(ledger_id: int, message_id: int) -> bytes:
    return ledger_id.to_bytes(4) + message_id.to_bytes(8)


async def find_owners(
    driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes], now: datetime
) -> dict[bytes, tuple[int, str]]:
    """The payouts whose attempts were given these paths, each with its instruction's kind. A path dies PATH_LIFE after
    its payout came to an end."""
    cursor = await driver.execute(_OWNERS, (ledger_id, list(token_hashes), now - PATH_LIFE))
    return {bytes(token_hash): (payout_id, kind) for token_hash, payout_id, kind in await cursor.fetchall()}


async def settle(driver: Driver, *, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Writes the verdicts down, each for good."""
    if not verdicts:
        return
    columns = [
        list(column)
        for column in zip(
            *((v.ledger_id, v.message_id, v.verdict, v.detail, v.payout_id) for v in verdicts), strict=True
        )
    ]
    await driver.execute(_SETTLE, (now, *columns))


async def let_rest(driver: Driver, *, rests: Sequence[tuple[Message, datetime]]) -> None:
    """Puts messages that nobody can judge yet off to their times, and counts the try."""
    if rests:
        columns = ([m.ledger_id for m, _ in rests], [m.id for m, _ in rests], [due_at for _, due_at in rests])
        await driver.execute(_REST, columns)


async def postpone(
    driver: Driver, *, ledger_id: int, message_id: int, failures: int, due_at: datetime
) -> tuple[int, bytes] | None:
    """Lets a message rest until `due_at` and adds to its failures; returns their number and its token's hash, None
    where it was judged meanwhile. The raw bytes stay closed: they may be why it failed."""
    cursor = await driver.execute(_POSTPONE, (failures, due_at, ledger_id, message_id))
    row = await cursor.fetchone()
    return None if row is None else (row[0], bytes(row[1]))
