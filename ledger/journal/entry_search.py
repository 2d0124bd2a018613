"""Finds the ids of the entries that match a filter, newest first, along the best index there is. Only reads.

Four ways lead to candidates, the narrowest first: a subject's entries, a reference's, an account's history, all
entries. What the way does not say is checked on each candidate, and a page looks at CANDIDATES_MAX of them at most: a
rare kind in a large ledger costs many short pages instead of one endless query.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, exists, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from ledger import tables
from ledger.database import driver
from ledger.errors import TextInvalid
from ledger.journal.accounts import find_account
from ledger.journal.history import ENTRY_ID_MAX, find_positions, last_entry_id_before
from ledger.text import check_text

CANDIDATES_MAX = 10_000
_entries, _lines = tables.journal_entries.c, tables.postings.c
_judged = (_entries.kind, _entries.subject_kind, _entries.subject_id, _entries.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries: those that meet every condition that is not None. `account` and `currency` come together; times
    are aware and half-open, `recorded_from` included. Raises TextInvalid."""

    subject_kind: str | None = None
    subject_id: str | None = None
    kind: str | None = None
    account: str | None = None
    currency: str | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        limits = {"subject_kind": 40, "subject_id": 64, "kind": 64, "reference": 100}
        for field, length_max in limits.items():
            text = getattr(self, field)
            if text is not None:
                check_text(text, field=field.replace("subject_", "subject."), length_max=length_max)
        if self.subject_id is not None and self.subject_kind is None:
            raise TextInvalid("a subject's id says nothing without its kind", field="subject.kind")
        if (self.account is None) != (self.currency is None):
            raise TextInvalid("an account is named by its path and its currency", field="currency")


@dataclass(frozen=True, slots=True)
class FoundIds:
    """Ids that match, newest first, and the id to continue below; 0 when nothing is left."""

    ids: tuple[int, ...]
    next_before: int


@dataclass(frozen=True, slots=True)
class _Search:
    """A filter with its account looked up and its times as entry ids, both bounds included."""

    ledger_id: int
    matching: EntryFilter
    account_id: int | None
    first_id: int
    last_id: int

    @property
    def walks_account(self) -> bool:
        """Whether the account's history is the narrowest way."""
        return self.account_id is not None and self.matching.subject_id is None and self.matching.reference is None


async def find_entry_ids(
    connection: AsyncConnection, *, ledger_id: int, matching: EntryFilter, before: int, limit: int
) -> FoundIds:
    """At most `limit` ids below `before` (0: from the newest). Fewer, with more left, when matches are rare. Raises
    AccountNotFound."""
    search = await _prepare(connection, ledger_id, matching, before)
    judged = _judge(await _candidates(connection, search))
    full = _full_page(search, judged).limit(limit + 1)
    ids = list((await connection.execute(full)).scalars())
    if len(ids) > limit:
        return FoundIds(tuple(ids[:limit]), ids[limit - 1])
    # Asked again in one statement: what was looked at and what matched must be of one moment, or pages might overlap.
    count, oldest, matched = (await connection.execute(_short_page(search, judged))).one()
    ids = matched or []
    if len(ids) > limit:
        return FoundIds(tuple(ids[:limit]), ids[limit - 1])
    return FoundIds(tuple(ids), oldest if count == CANDIDATES_MAX else 0)


async def _prepare(connection: AsyncConnection, ledger_id: int, matching: EntryFilter, before: int) -> _Search:
    account_id = None
    if matching.account is not None and matching.currency is not None:
        account = await find_account(connection, ledger_id=ledger_id, path=matching.account, currency=matching.currency)
        account_id = account.id
    first_id = last_entry_id_before(matching.recorded_from) + 1 if matching.recorded_from else 1
    last_id = last_entry_id_before(matching.recorded_to) if matching.recorded_to else ENTRY_ID_MAX
    return _Search(ledger_id, matching, account_id, first_id, min(last_id, before - 1) if before else last_id)


async def _candidates(connection: AsyncConnection, search: _Search) -> Select[Any]:
    """Selects ids, newest first, with a `position` that falls with them and what the conditions look at. An id may come
    several times in a row."""
    conditions = [_entries.ledger_id == search.ledger_id, _entries.id.between(search.first_id, search.last_id)]
    matching = search.matching
    if search.walks_account:
        return await _account_history(connection, search)
    query = select(_entries.id, _entries.id.label("position"), *_judged)
    if matching.subject_id is not None:
        conditions += [_entries.subject_kind == matching.subject_kind, _entries.subject_id == matching.subject_id]
        # A subject has few entries. Materialized, or a plan might walk the whole ledger in id order to find them.
        own = query.where(*conditions).cte("own").prefix_with("MATERIALIZED")
        return select(own).order_by(own.c.id.desc()).limit(CANDIDATES_MAX)
    if matching.reference is not None:
        conditions.append(_entries.reference == matching.reference)
    return query.where(*conditions).order_by(_entries.id.desc()).limit(CANDIDATES_MAX)


async def _account_history(connection: AsyncConnection, search: _Search) -> Select[Any]:
    """The account's postings between two versions found from the ids: the walk starts and ends where it must."""
    assert search.account_id is not None
    older, newer = await find_positions(
        await driver(connection),
        ledger_id=search.ledger_id,
        account_id=search.account_id,
        bounds=[search.first_id - 1, search.last_id],
    )
    own = (_lines.ledger_id == search.ledger_id) & (_lines.account_id == search.account_id)
    walk = (
        select(_lines.entry_id, _lines.account_version.label("position"))
        .where(own, _lines.account_version > older.version, _lines.account_version <= newer.version)
        .order_by(_lines.account_version.desc())
        .limit(CANDIDATES_MAX)
        .subquery("walk")
    )
    header = (_entries.ledger_id == search.ledger_id) & (_entries.id == walk.c.entry_id)
    return select(_entries.id, walk.c.position, *_judged).join_from(walk, tables.journal_entries, header)


def _judge(candidates: Select[Any]) -> Subquery:
    found = candidates.subquery("candidates").c
    newer_id = func.lag(found.id).over(order_by=found.position.desc()).label("newer_id")
    return select(found.id, found.position, newer_id, *(found[column.name] for column in _judged)).subquery("judged")


def _full_page(search: _Search, judged: Subquery) -> Select[Any]:
    """Plan: candidates stream in from an index in their order, each is judged, and the walk ends with a full page."""
    return select(judged.c.id).where(_matches(search, judged.c)).order_by(judged.c.position.desc())


def _short_page(search: _Search, judged: Subquery) -> Select[int, Any, Any]:
    """How many candidates there were, the oldest of them, and those that match. Plan: one pass over them."""
    newest_first = func.array_agg(aggregate_order_by(judged.c.id, judged.c.position.desc()))
    return select(func.count(), func.min(judged.c.id), newest_first.filter(_matches(search, judged.c)))


def _matches(search: _Search, candidate: ReadOnlyColumnCollection[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    conditions = [candidate.newer_id.is_distinct_from(candidate.id)]
    wanted = {column.name: getattr(search.matching, column.name) for column in _judged}
    conditions += [candidate[name] == value for name, value in wanted.items() if value is not None]
    if search.account_id is not None and not search.walks_account:
        line = (_lines.ledger_id == search.ledger_id) & (_lines.entry_id == candidate.id)
        conditions.append(exists().where(line, _lines.account_id == search.account_id))
    return and_(*conditions)
