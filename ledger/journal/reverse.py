"""Reverses an entry, whole or in part, by a new entry linked to it line by line. Never edits, never exceeds.

The original's balance rows are locked before the links are read, so that of two reversals racing for the same remainder
the second sees what the first left. The database numbers the links and refuses the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import Driver, driver
from ledger.errors import (
    AmountInvalid,
    EntryBelongsToSubject,
    LedgerError,
    ReversalExceedsOriginal,
    ReversalInvalid,
)
from ledger.idempotency import KeyClaim, find_keys, key_reused
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import Posted, PostRequest, Refused, Replayed
from ledger.journal.entries import EntryView, get_entry
from ledger.journal.entry import JournalEntry, Posting, Source
from ledger.journal.post import lock_accounts, post_entries
from ledger.journal.reserved import REVERSAL_KIND, is_reserved
from ledger.money import Money, format_minor_units
from ledger.text import check_text

_columns = tables.reversal_links.c


@dataclass(frozen=True, slots=True)
class Reversed:
    """What earlier reversals took of one line: how many they were, and how much together in minor units."""

    count: int = 0
    minor_units: int = 0


async def reverse_entry(
    connection: AsyncConnection,
    *,
    ledger: Ledger,
    entry_id: int,
    lines: Mapping[int, int],
    reason: str,
    effective_at: datetime,
    actor: str,
    key: KeyClaim,
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> Posted | Replayed:
    """Reverses minor units per line of the entry, numbered from 1; no lines at all mean everything that is left.

    Runs in the caller's transaction, like post_entries: the verdict holds once it has committed.

    Raises EntryNotFound, EntryBelongsToSubject, ReversalInvalid, AmountInvalid, ReversalExceedsOriginal, TextInvalid,
    IdempotencyKeyReused, EntryDoesNotBalance and EntryTooShort for parts that do not balance among themselves, and what
    posting refuses: AccountClosed, FloorWouldBreak, CeilingWouldBreak, BalanceWouldOverflow, TimeInvalid.
    """
    original = await get_entry(connection, ledger_id=ledger.id, entry_id=entry_id)
    _refuse_products_own(original)
    session = await driver(connection)
    await _lock(session, ledger, original, directory)
    if (answer := await _answer(session, ledger.id, key)) is not None:
        return answer
    earlier = await _earlier_reversals(connection, ledger.id, entry_id)
    parts = parts_to_reverse(original, lines=lines, earlier=earlier)
    entry = reversing_entry(original, parts=parts, reason=reason, effective_at=effective_at)
    requests = [PostRequest(entry, actor, key)]
    (verdict,) = await post_entries(session, ledger=ledger, requests=requests, directory=directory, ids=ids, now=now)
    if isinstance(verdict, Refused):
        raise _in_terms_of_lines(verdict.error) from verdict.error
    if isinstance(verdict, Posted):
        await _link(connection, ledger.id, _links(verdict.entry_id, original=original, parts=parts, earlier=earlier))
    return verdict


def parts_to_reverse(
    original: EntryView, *, lines: Mapping[int, int], earlier: Mapping[int, Reversed]
) -> dict[int, int]:
    """Minor units to reverse per line, in line order. Pure. Raises ReversalInvalid, AmountInvalid,
    ReversalExceedsOriginal."""
    left = {
        view.line: view.posting.money.minor_units - earlier.get(view.line, Reversed()).minor_units
        for view in original.lines
    }
    if not lines:
        parts = {line: units for line, units in left.items() if units > 0}
        if not parts:
            raise ReversalInvalid("the entry is reversed already; nothing is left of it", field="entry_id")
        return parts
    currencies = {view.line: view.posting.money.currency for view in original.lines}
    for line, units in lines.items():
        if line not in left:
            raise ReversalInvalid(f"the entry has lines 1 to {len(left)}; there is no line {line}", field="lines")
        _check_part(line, units, left=left[line], currency=currencies[line])
    return {line: lines[line] for line in sorted(lines)}


def _check_part(line: int, units: int, *, left: int, currency: str) -> None:
    if units <= 0:
        raise AmountInvalid(f"the part of line {line} to reverse must be positive", field="lines", line=line)
    if units > left:
        raise ReversalExceedsOriginal(
            f"of line {line} {currency} {format_minor_units(left, currency)} is left to reverse; ask for no more",
            field="lines",
            line=line,
            left_minor_units=left,
        )


def reversing_entry(
    original: EntryView, *, parts: Mapping[int, int], reason: str, effective_at: datetime
) -> JournalEntry:
    """The entry that undoes these parts, line by line on the opposite side. It is about the same subject and document,
    and may recur. Pure. Raises TextInvalid, and EntryDoesNotBalance or EntryTooShort for parts that do not balance."""
    check_text(reason, field="reason", length_max=500)
    by_line = {view.line: view.posting for view in original.lines}
    try:
        return JournalEntry(
            kind=REVERSAL_KIND,
            postings=tuple(_opposite(by_line[line], units) for line, units in parts.items()),
            effective_at=effective_at,
            source=Source.API,
            subject=original.subject,
            reference=original.reference,
            narrative=reason,
            reverses_id=original.id,
        )
    except LedgerError as error:
        raise _in_terms_of_lines(error) from error


def _opposite(posting: Posting, minor_units: int) -> Posting:
    return Posting(posting.account, posting.side.opposite, Money(posting.money.currency, minor_units))


def _in_terms_of_lines(error: LedgerError) -> LedgerError:
    """A refusal about postings, told to someone who named lines."""
    field = "lines" if error.field.startswith("postings") else error.field
    return type(error)(error.message, field=field, **error.facts)


def _refuse_products_own(original: EntryView) -> None:
    subject = original.subject
    if subject is not None and is_reserved(subject):
        raise EntryBelongsToSubject(
            f"the entry belongs to {subject.kind} {subject.id}, which alone may reverse it",
            field="entry_id",
            subject_kind=subject.kind,
            subject_id=subject.id,
        )


async def _lock(session: Driver, ledger: Ledger, original: EntryView, directory: AccountDirectory) -> None:
    names = {(view.posting.account, view.posting.money.currency) for view in original.lines}
    identities = await directory.find(session, ledger_id=ledger.id, names=names)
    await lock_accounts(session, ledger_id=ledger.id, identities=identities)


async def _answer(session: Driver, ledger_id: int, key: KeyClaim) -> Replayed | None:
    """The answer this key has already. Asked under the lock: a racing request with it has left its answer by now, or
    has not begun. Raises IdempotencyKeyReused."""
    stored = (await find_keys(session, ledger_id=ledger_id, claims=[key])).get(key.identity)
    if stored is None:
        return None
    if not stored.matches(key):
        raise key_reused(key)
    return Replayed(stored.result_id)


async def _earlier_reversals(connection: AsyncConnection, ledger_id: int, entry_id: int) -> dict[int, Reversed]:
    query = (
        select(_columns.original_line, func.max(_columns.ordinal), func.max(_columns.reversed_after))
        .where(_columns.ledger_id == ledger_id, _columns.original_entry_id == entry_id)
        .group_by(_columns.original_line)
    )
    return {line: Reversed(count, units) for line, count, units in await connection.execute(query)}


async def _link(connection: AsyncConnection, ledger_id: int, links: Sequence[Mapping[str, int]]) -> None:
    rows = [{"ledger_id": ledger_id, **link} for link in links]
    await connection.execute(insert(tables.reversal_links).values(rows))


def _links(
    reversing_id: int, *, original: EntryView, parts: Mapping[int, int], earlier: Mapping[int, Reversed]
) -> list[dict[str, int]]:
    """A link per line of the reversing entry, whose lines are the parts in order."""
    rows = []
    for reversing_line, (original_line, units) in enumerate(parts.items(), start=1):
        before = earlier.get(original_line, Reversed())
        rows.append(
            {
                "original_entry_id": original.id,
                "original_line": original_line,
                "ordinal": before.count + 1,
                "reversing_entry_id": reversing_id,
                "reversing_line": reversing_line,
                "amount": units,
                "reversed_after": before.minor_units + units,
            }
        )
    return rows
