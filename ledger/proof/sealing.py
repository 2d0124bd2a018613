"""Sealing what was committed, in sets, behind posting and never in its way: seals and the checkpoint over them are one
statement, so that a set is sealed whole or not at all.

Entries are followed by transaction, below the oldest that still runs: an entry that commits late is late in the chain,
and never left out. Who seals remembers how far; what it begins with is a search through everything, which also finds
what a restore into another cluster, whose transactions are numbered otherwise, has brought.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.proof.chain import (
    Checkpoint,
    Document,
    Seal,
    chained,
    digest_of,
    genesis,
    marks_of,
    merkle_root,
    sealed_text,
)
from ledger.proof.keys import SealKey
from ledger.proof.reading import read_documents

# A search through everything may take long; nobody waits for it.
SEARCH_SECONDS_MAX = 3600

# Racing sealers: the other one's set is there, and ours is made anew behind it.
RACING_CONSTRAINTS = frozenset({"entry_seals_seal_once"})
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('entry seals', %s))"
_FOUND = """
SELECT e.xid::text, e.id FROM journal_entries AS e
LEFT JOIN LATERAL (
    SELECT s.position FROM entry_seals AS s WHERE s.ledger_id = e.ledger_id AND s.entry_id BETWEEN e.id AND e.id
    ORDER BY s.entry_id LIMIT 1) AS sealed ON true
WHERE e.ledger_id = %(ledger)s AND (e.xid, e.id) > (%(xid)s::xid8, %(id)s) AND (
        e.xid < pg_snapshot_xmin(pg_current_snapshot())
        -- Of another cluster: in this one nobody has begun such a transaction.
        OR %(all)s AND e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
    AND sealed.position IS NULL
ORDER BY e.xid, e.id LIMIT %(limit)s
"""
# In the order of the index, from where it begins: whoever sorts reads all that is not sealed, once per set.
_SEARCHING = "SELECT set_config('statement_timeout', %s, true), set_config('enable_sort', 'off', true)"
_SEARCHED = "SELECT set_config('enable_sort', 'on', true)"
_OLDEST = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
_LAST = "SELECT position, chain FROM entry_seals WHERE ledger_id = %s ORDER BY position DESC LIMIT 1"
_LAST_NUMBER = "SELECT coalesce(max(number), 0) FROM seal_checkpoints WHERE ledger_id = %s"
# One statement, so that no seal is ever seen, or committed, without the checkpoint over it.
_WRITE = """
WITH seals AS (
    INSERT INTO entry_seals (ledger_id, position, entry_id, digest, marks, chain, signature)
    SELECT %(ledger)s, * FROM unnest(%(position)s::bigint[], %(entry)s::bigint[], %(digest)s::bytea[],
        %(marks)s::bytea[], %(seal_chain)s::bytea[], %(seal_signature)s::bytea[])
)
INSERT INTO seal_checkpoints (ledger_id, number, from_position, until_position, root, chain, is_complete, signed_at,
    key, signature)
VALUES (%(ledger)s, %(number)s, %(from)s, %(until)s, %(root)s, %(chain)s, %(complete)s, %(signed_at)s, %(key)s,
    %(signature)s)
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a search for what is not sealed has come: nothing before it is left. It begins at BEGINNING."""

    xid: str
    entry_id: int
    has_searched_all: bool


BEGINNING = Reached("0", 0, has_searched_all=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one step did: how many entries, the checkpoint over them, and how far it came."""

    count: int
    checkpoint: Checkpoint | None
    reached: Reached


@dataclass(frozen=True, slots=True)
class EntrySealer:
    """Seals inside the caller's transaction, which is READ COMMITTED."""

    key: SealKey

    async def seal(self, driver: Driver, *, ledger: Ledger, reached: Reached, now: datetime, limit: int) -> Sealed:
        """Seals the next `limit` entries at most; none while another sealer is at work on the ledger."""
        locked = await (await driver.execute(_LOCK, (ledger.id,))).fetchone()
        if locked is None or not locked[0]:
            return Sealed(0, None, reached)
        await driver.execute(_SEARCHING, (f"{SEARCH_SECONDS_MAX}s",))
        # Asked before the search: whatever commits between the two is looked for again.
        oldest = await (await driver.execute(_OLDEST)).fetchone()
        assert oldest is not None, "a snapshot has an end"
        values = {"ledger": ledger.id, "xid": reached.xid, "id": reached.entry_id, "all": not reached.has_searched_all}
        found = await (await driver.execute(_FOUND, values | {"limit": limit + 1})).fetchall()
        await driver.execute(_SEARCHED)
        found, is_complete = found[:limit], len(found) <= limit
        then = Reached(oldest[0], 0, True) if is_complete else replace(reached, xid=found[-1][0], entry_id=found[-1][1])
        if not found:
            return Sealed(0, None, then)
        checkpoint = await self._write(driver, ledger, [row[1] for row in found], is_complete=is_complete, now=now)
        return Sealed(len(found), checkpoint, then)

    async def _write(
        self, driver: Driver, ledger: Ledger, entry_ids: Sequence[int], *, is_complete: bool, now: datetime
    ) -> Checkpoint:
        last = await (await driver.execute(_LAST, (ledger.id,))).fetchone()
        number = await (await driver.execute(_LAST_NUMBER, (ledger.id,))).fetchone()
        written = await read_documents(driver, ledger_id=ledger.id, entry_ids=entry_ids)
        position, before = (0, genesis(ledger.code)) if last is None else (last[0], last[1])
        assert number is not None, "max() has a row"
        documents = [written[entry_id].document for entry_id in entry_ids]
        # In a thread: hashing and signing a set takes long enough to keep others waiting.
        seals = await asyncio.to_thread(
            seal_documents, ledger.code, documents, key=self.key, position=position, before=before
        )
        draft = Checkpoint(
            number=number[0] + 1,
            from_position=seals[0].position,
            until_position=seals[-1].position,
            root=merkle_root([seal.digest for seal in seals]),
            chain=seals[-1].chain,
            is_complete=is_complete,
            signed_at=now.isoformat(),
            key=self.key.public.fingerprint,
        )
        checkpoint = replace(draft, signature=self.key.sign(draft.signed_text(ledger.code)))
        await driver.execute(_WRITE, _values(ledger.id, seals, checkpoint))
        return checkpoint


def seal_documents(
    ledger: str, documents: Sequence[Document], *, key: SealKey, position: int, before: bytes
) -> list[Seal]:
    """The seals of entries, in order, behind the seal at `position` whose chain is `before`. Pure."""
    seals: list[Seal] = []
    for place, document in enumerate(documents, start=position + 1):
        entry_id, digest = document["id"], digest_of(ledger, document)
        signature = key.sign(sealed_text(ledger, position=place, entry_id=entry_id, digest=digest))
        loose = Seal(place, entry_id, digest, marks_of(document), b"", signature)
        seals.append(replace(loose, chain=chained(before, loose)))
        before = seals[-1].chain
    return seals


def _values(ledger_id: int, seals: Sequence[Seal], checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "ledger": ledger_id,
        "position": [seal.position for seal in seals],
        "entry": [seal.entry_id for seal in seals],
        "digest": [seal.digest for seal in seals],
        "marks": [seal.marks for seal in seals],
        "seal_chain": [seal.chain for seal in seals],
        "seal_signature": [seal.signature for seal in seals],
        "number": checkpoint.number,
        "from": checkpoint.from_position,
        "until": checkpoint.until_position,
        "root": checkpoint.root,
        "chain": checkpoint.chain,
        "complete": checkpoint.is_complete,
        "signed_at": checkpoint.signed_at,
        "key": checkpoint.key,
        "signature": checkpoint.signature,
    }
