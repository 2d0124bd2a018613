"""Entries as documents, seals and checkpoints, as they stand in the database. Only reads.

PostgreSQL writes the documents, and nothing of them is taken apart on the way: whatever somebody put into a
column comes out as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ledger.database import Driver
from ledger.proof.chain import Checkpoint, Document, Seal

# Ranges of one value, in the order of the index that is meant: no plan made for a small table walks another one.
_DOCUMENTS = """
SELECT e.id, json_build_object(
    'id', e.id, 'kind', e.kind, 'subject_kind', e.subject_kind, 'subject_id', e.subject_id, 'occurrence', e.occurrence,
    'effective_at', e.effective_at, 'recorded_at', e.recorded_at, 'business_date', e.business_date,
    'posting_count', e.posting_count, 'reverses_id', e.reverses_id, 'source', e.source, 'actor', e.actor,
    'reference', e.reference, 'narrative', e.narrative, 'facts', e.facts::text, 'xid', e.xid::text,
    'postings', coalesce((
        SELECT json_agg(json_build_object('line', p.line, 'account_id', p.account_id,
            'account', json_build_object('path', a.path, 'currency', a.currency, 'class', a."class",
                'normal_side', a.normal_side, 'number', a.number, 'name', a.name),
            'currency', p.currency, 'side', p.side, 'amount', p.amount, 'account_version', p.account_version,
            'balance_after', p.balance_after) ORDER BY p.line)
        FROM (SELECT * FROM postings AS q WHERE q.ledger_id = e.ledger_id AND q.entry_id BETWEEN e.id AND e.id
              ORDER BY q.entry_id, q.line LIMIT 100000) AS p
        LEFT JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id), '[]'),
    'reversals', coalesce((
        SELECT json_agg(json_build_object('original_entry_id', r.original_entry_id, 'original_line', r.original_line,
            'ordinal', r.ordinal, 'reversing_line', r.reversing_line, 'amount', r.amount,
            'reversed_after', r.reversed_after) ORDER BY r.reversing_line)
        FROM reversal_links AS r WHERE r.ledger_id = e.ledger_id AND r.reversing_entry_id = e.id), '[]')
)::text
FROM journal_entries AS e WHERE e.ledger_id = %s AND e.id = ANY(%s)
"""
_SEALS = """
SELECT position, entry_id, digest, marks, chain, signature FROM entry_seals
WHERE ledger_id = %s AND position > %s ORDER BY position LIMIT %s
"""
_SEAL_OF = "SELECT position FROM entry_seals WHERE ledger_id = %s AND entry_id = %s"
_CHECKPOINTS = """
SELECT number, from_position, until_position, root, chain, is_complete, to_json(signed_at) #>> '{}', key, signature
FROM seal_checkpoints WHERE ledger_id = %s AND until_position > %s AND until_position <= %s
ORDER BY until_position, number
"""
_CHECKPOINT_OVER = """
SELECT number, from_position, until_position, root, chain, is_complete, to_json(signed_at) #>> '{}', key, signature
FROM seal_checkpoints WHERE ledger_id = %s AND until_position >= %s ORDER BY until_position LIMIT 1
"""
_LAST_CHECKPOINT = """
SELECT number, from_position, until_position, root, chain, is_complete, to_json(signed_at) #>> '{}', key, signature
FROM seal_checkpoints WHERE ledger_id = %s ORDER BY number DESC LIMIT 1
"""
_UNSEALED = """
SELECT e.id FROM journal_entries AS e
LEFT JOIN LATERAL (
    SELECT s.position FROM entry_seals AS s WHERE s.ledger_id = e.ledger_id AND s.entry_id BETWEEN e.id AND e.id
    ORDER BY s.entry_id LIMIT 1) AS sealed ON true
WHERE e.ledger_id = %s AND e.id > %s AND sealed.position IS NULL
ORDER BY e.id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Written:
    """An entry's document in PostgreSQL's own words."""

    entry_id: int
    text: str

    @property
    def document(self) -> Document:
        """Taken apart."""
        return cast("Document", json.loads(self.text))


async def read_documents(driver: Driver, *, ledger_id: int, entry_ids: Sequence[int]) -> dict[int, Written]:
    """Those of the entries that there are, by id."""
    rows = await (await driver.execute(_DOCUMENTS, (ledger_id, list(entry_ids)))).fetchall()
    return {entry_id: Written(entry_id, text) for entry_id, text in rows}


async def read_seals(driver: Driver, *, ledger_id: int, after: int, limit: int) -> list[Seal]:
    """Seals that follow a position, in order."""
    rows = await (await driver.execute(_SEALS, (ledger_id, after, limit))).fetchall()
    return [Seal(*row) for row in rows]


async def find_position(driver: Driver, *, ledger_id: int, entry_id: int) -> int | None:
    """Where an entry is sealed; None where it is not yet."""
    row = await (await driver.execute(_SEAL_OF, (ledger_id, entry_id))).fetchone()
    return None if row is None else int(row[0])


async def checkpoints_until(driver: Driver, *, ledger_id: int, after: int, until: int) -> list[Checkpoint]:
    """Checkpoints that end after one position and not after the other, in order: no more than positions between."""
    rows = await (await driver.execute(_CHECKPOINTS, (ledger_id, after, until))).fetchall()
    return [Checkpoint(*row) for row in rows]


async def checkpoint_over(driver: Driver, *, ledger_id: int, position: int) -> Checkpoint | None:
    """The checkpoint that a position belongs to."""
    return _one(await (await driver.execute(_CHECKPOINT_OVER, (ledger_id, position))).fetchone())


async def last_checkpoint(driver: Driver, *, ledger_id: int) -> Checkpoint | None:
    """The newest."""
    return _one(await (await driver.execute(_LAST_CHECKPOINT, (ledger_id,))).fetchone())


def _one(row: tuple[Any, ...] | None) -> Checkpoint | None:
    return None if row is None else Checkpoint(*row)


async def read_unsealed(driver: Driver, *, ledger_id: int, after: int, limit: int) -> list[int]:
    """Ids of entries without a seal, in order."""
    return [row[0] for row in await (await driver.execute(_UNSEALED, (ledger_id, after, limit))).fetchall()]
