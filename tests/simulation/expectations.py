"""What a run must leave open, by the provider's own rows and the books' entries. Pure; shares no code with matching.

Each row and each entry has its number at the provider. Under one number they agree, or differ by what is open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tests.simulation.account import FEE, UTILITY, Row
from tests.simulation.statement_files import midnight

# What was booked this close before a statement's end is not missing yet.
LATE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """What an entry moved on the account: under which number of the provider's, and which receipt that undoes."""

    id: int
    net: int
    at: datetime
    day: date
    number: str
    original: str
    reference: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run had before it: the rows of its days, all entries of the account, what two persons explained, and what
    is accrued for fees by receipt."""

    first: date
    last: date
    told_until: datetime
    rows: Sequence[Row]
    entries: Sequence[Entry]
    adjusted_rows: Collection[tuple[str, int]]
    adjusted_entries: Collection[int | None]
    accrued: Mapping[str, int]


def expect(seen: Seen) -> dict[str, int]:
    """By receipt, what is open; 0 where something is that comes to nothing."""
    fees = defaultdict[str, int](int)
    rows = defaultdict[str, list[Row]](list)
    for row in seen.rows:
        if row.key in seen.adjusted_rows:
            continue
        if row.kind == FEE and row.account == UTILITY:
            fees[row.receipt] += row.cents
        else:
            rows[row.receipt].append(row)
    entries = [
        one for one in seen.entries if seen.first <= one.day <= seen.last and one.id not in seen.adjusted_entries
    ]
    found = defaultdict[str, int](int)
    for receipt, cents in fees.items():
        if -cents != seen.accrued.get(receipt, 0):
            found[receipt] += cents
    for receipt, group in rows.items():
        _compare(seen, receipt, group, entries, found)
    for one in _undone(entries):
        if one.at < midnight(seen.first) or one.at > min(seen.told_until, _end(seen)) - LATE:
            continue
        found[one.number] -= one.net
    return found


def _compare(seen: Seen, receipt: str, group: Sequence[Row], entries: list[Entry], found: dict[str, int]) -> None:
    """Takes what belongs to the rows of one number out of the entries."""
    own = [one for one in entries if one.number == receipt]
    told = sum(one.cents for one in group)
    if not own and group[0].linked:
        undoing = [one for one in entries if not one.number and one.original == group[0].linked and one.net == told]
        own = undoing[:1]
    for one in own:
        entries.remove(one)
    if own:
        if told != sum(one.net for one in own):
            found[receipt] += told - sum(one.net for one in own)
    elif told != _booked_later(seen, receipt):
        found[receipt] += told


def _booked_later(seen: Seen, receipt: str) -> int | None:
    """What the books learned after they had closed these days."""
    later = [one for one in seen.entries if one.number == receipt and one.day > seen.last and one.at < _end(seen)]
    return sum(one.net for one in later) if later else None


def _undone(entries: Sequence[Entry]) -> list[Entry]:
    """Without what was booked and undone again under one number."""
    groups = defaultdict[str, list[Entry]](list)
    for one in entries:
        groups[one.number or f"entry {one.id}"].append(one)
    left = [group for group in groups.values() if len(group) == 1 or sum(each.net for each in group) != 0]
    return [one for group in left for one in group]


def _end(seen: Seen) -> datetime:
    return midnight(seen.last + timedelta(days=1))
