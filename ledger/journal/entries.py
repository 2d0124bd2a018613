"""Journal entries as the books hold them: one by id, or those that match a filter, newest first. Only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.errors import EntryNotFound
from ledger.ids import encode
from ledger.journal.entry import Posting, Side, Source, Subject
from ledger.journal.entry_search import EntryFilter, find_entry_ids
from ledger.money import Money

ENTRY_PREFIX = "ent"
_entries, _lines, _accounts = tables.journal_entries.c, tables.postings.c, tables.accounts.c


@dataclass(frozen=True, slots=True)
class PostingView:
    """A posting in the books. `line` counts from 1; `account_version` is its place in the account's history;
    `balance_after` is in minor units on the account's normal side."""

    line: int
    posting: Posting
    account_version: int
    balance_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """An entry in the books. `reversed_by` are the entries that reverse it, in whole or in part, oldest first."""

    id: int
    kind: str
    lines: tuple[PostingView, ...]
    effective_at: datetime
    recorded_at: datetime
    business_date: date
    source: Source
    actor: str
    subject: Subject | None
    reference: str | None
    narrative: str | None
    facts: Mapping[str, str]
    reverses_id: int | None
    reversed_by: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page, newest first, and the id to continue below; 0 when nothing is left. A page may hold fewer entries than
    asked for, or none, while more are left: a search looks at a bounded number of candidates."""

    entries: tuple[EntryView, ...]
    next_before: int


async def get_entry(connection: AsyncConnection, *, ledger_id: int, entry_id: int) -> EntryView:
    """One entry. Raises EntryNotFound."""
    found = await _read(connection, ledger_id, [entry_id])
    if not found:
        raise EntryNotFound(f"no entry {encode(ENTRY_PREFIX, entry_id)} in this ledger", field="entry_id")
    return found[0]


async def list_entries(
    connection: AsyncConnection, *, ledger_id: int, matching: EntryFilter, before: int, limit: int
) -> EntryPage:
    """At most `limit` entries that match, with ids below `before` (0: from the newest). Raises AccountNotFound."""
    found = await find_entry_ids(connection, ledger_id=ledger_id, matching=matching, before=before, limit=limit)
    return EntryPage(tuple(await _read(connection, ledger_id, found.ids)), found.next_before)


async def entries_after(connection: AsyncConnection, *, ledger_id: int, after: int, limit: int) -> list[EntryView]:
    """The `limit` entries at most whose ids follow `after` (0: from the oldest), oldest first."""
    ids = select(_entries.id).where(_entries.ledger_id == ledger_id, _entries.id > after)
    found = (await connection.execute(ids.order_by(_entries.id).limit(limit))).scalars().all()
    return (await _read(connection, ledger_id, found))[::-1]


async def _read(connection: AsyncConnection, ledger_id: int, ids: Sequence[int]) -> list[EntryView]:
    """The entries of these ids that exist, newest first: three queries for any number of them."""
    headers = (
        select(tables.journal_entries)
        .where(_entries.ledger_id == ledger_id, _entries.id.in_(ids))
        .order_by(_entries.id.desc())
    )
    if not ids or not (rows := (await connection.execute(headers)).all()):
        return []
    lines = await _lines_of(connection, ledger_id, ids)
    reversals = await _reversals_of(connection, ledger_id, ids)
    return [_entry(row, lines.get(row.id, []), reversals.get(row.id, [])) for row in rows]


async def _lines_of(connection: AsyncConnection, ledger_id: int, ids: Sequence[int]) -> dict[int, list[PostingView]]:
    account = (_accounts.ledger_id == _lines.ledger_id) & (_accounts.id == _lines.account_id)
    query = (
        select(tables.postings, _accounts.path)
        .join_from(tables.postings, tables.accounts, account)
        .where(_lines.ledger_id == ledger_id, _lines.entry_id.in_(ids))
        .order_by(_lines.entry_id, _lines.line)
    )
    found: dict[int, list[PostingView]] = {}
    for row in await connection.execute(query):
        posting = Posting(row.path, Side(row.side), Money(row.currency, row.amount))
        found.setdefault(row.entry_id, []).append(
            PostingView(row.line, posting, row.account_version, row.balance_after)
        )
    return found


async def _reversals_of(connection: AsyncConnection, ledger_id: int, ids: Sequence[int]) -> dict[int, list[int]]:
    query = (
        select(_entries.reverses_id, _entries.id)
        .where(_entries.ledger_id == ledger_id, _entries.reverses_id.in_(ids))
        .order_by(_entries.id)
    )
    found: dict[int, list[int]] = {}
    for reverses_id, entry_id in await connection.execute(query):
        found.setdefault(reverses_id, []).append(entry_id)
    return found


def _entry(row: Row[Any], lines: Sequence[PostingView], reversed_by: Sequence[int]) -> EntryView:
    return EntryView(
        id=row.id,
        kind=row.kind,
        lines=tuple(lines),
        effective_at=row.effective_at,
        recorded_at=row.recorded_at,
        business_date=row.business_date,
        source=Source(row.source),
        actor=row.actor,
        subject=Subject(row.subject_kind, row.subject_id) if row.subject_kind is not None else None,
        reference=row.reference,
        narrative=row.narrative,
        facts=row.facts or {},
        reverses_id=row.reverses_id,
        reversed_by=tuple(reversed_by),
    )
