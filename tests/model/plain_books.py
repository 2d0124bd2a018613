"""A model of the books that anybody can check by eye: lists and dicts, one entry at a time, every balance a fresh sum.

It predicts the verdict on every request. It shares the values with the engine, and nothing of how the engine decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ledger.idempotency import KeyClaim
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Posting, Side

TOTAL_MAX = 9_223_372_036_854_775_807
Name: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The entry is number `number` of the books; `lines` are each line's (account version, balance after)."""

    number: int
    lines: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """The request made entry `number` before."""

    number: int


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing happened, for this reason."""

    reason: str


Verdict: TypeAlias = Accepted | Repeated | Denied


@dataclass(slots=True)
class PlainAccount:
    """An account and everything ever posted to it, as (side, minor units)."""

    normal_side: Side
    floor: int | None = None
    ceiling: int | None = None
    closed: bool = False
    lines: list[tuple[Side, int]] = field(default_factory=list)

    def total(self, side: Side) -> int:
        """What was ever posted to the side."""
        return sum(amount for line_side, amount in self.lines if line_side is side)

    @property
    def balance(self) -> int:
        """Minor units on the normal side."""
        return self.total(self.normal_side) - self.total(self.normal_side.opposite)


@dataclass(slots=True)
class PlainBooks:
    """The whole ledger. Entries are numbered from 0."""

    accounts: dict[Name, PlainAccount] = field(default_factory=dict)
    entries: list[JournalEntry] = field(default_factory=list)
    keys: dict[tuple[int, str], tuple[KeyClaim, int]] = field(default_factory=dict)
    happened: set[tuple[str, str, str]] = field(default_factory=set)
    reversed: dict[tuple[int, int], int] = field(default_factory=dict)

    def post(self, request: PostRequest) -> Verdict:
        """Judges one request and books it if nothing speaks against it."""
        if (earlier := self._answer(request.key)) is not None:
            return earlier
        objection = self._objection(request.entry)
        return Denied(objection) if objection else self._book(request.entry, request.key)

    def reverse(self, number: int, lines: Mapping[int, int], entry: JournalEntry, key: KeyClaim) -> Verdict:
        """Judges a reversal of minor units per line (from 1) of entry `number`, for which `entry` was built."""
        if (earlier := self._answer(key)) is not None:
            return earlier
        if any(units > self.left(number)[line] for line, units in lines.items()):
            return Denied("REVERSAL_EXCEEDS_ORIGINAL")
        objection = self._objection(entry)
        if objection:
            return Denied(objection)
        for line, units in lines.items():
            self.reversed[number, line] = self.reversed.get((number, line), 0) + units
        return self._book(entry, key)

    def left(self, number: int) -> dict[int, int]:
        """Minor units by line of entry `number` that no reversal has taken yet."""
        postings = self.entries[number].postings
        return {
            line: posting.money.minor_units - self.reversed.get((number, line), 0)
            for line, posting in enumerate(postings, start=1)
        }

    def close(self, name: Name) -> str | None:
        """Closes the account, or says why not."""
        account = self.accounts.get(name)
        if account is None:
            return "ACCOUNT_NOT_FOUND"
        if account.balance:
            return "ACCOUNT_NOT_EMPTY"
        account.closed = True
        return None

    def set_bounds(self, name: Name, floor: int | None, ceiling: int | None) -> str | None:
        """Sets the bounds, or says why not."""
        if floor is not None and ceiling is not None and floor > ceiling:
            return "CHART_INVALID"
        account = self.accounts.get(name)
        if account is None:
            return "ACCOUNT_NOT_FOUND"
        if _outside(account.balance, floor, ceiling):
            return "FLOOR_WOULD_BREAK"
        account.floor, account.ceiling = floor, ceiling
        return None

    def _answer(self, key: KeyClaim | None) -> Repeated | Denied | None:
        if key is None or key.identity not in self.keys:
            return None
        first, number = self.keys[key.identity]
        same = (first.method, first.request_hash) == (key.method, key.request_hash)
        return Repeated(number) if same else Denied("IDEMPOTENCY_KEY_REUSED")

    def _objection(self, entry: JournalEntry) -> str:
        if _transition(entry) in self.happened:
            return "TRANSITION_REPEATED"
        trial: dict[Name, PlainAccount] = {}
        for posting in entry.postings:
            account = self.accounts.get(_name(posting))
            if account is None:
                return "ACCOUNT_NOT_FOUND"
            if account.closed:
                return "ACCOUNT_CLOSED"
            tried = trial.setdefault(_name(posting), PlainAccount(account.normal_side, lines=list(account.lines)))
            tried.lines.append((posting.side, posting.money.minor_units))
            if tried.total(posting.side) > TOTAL_MAX:
                return "BALANCE_WOULD_OVERFLOW"
        return next((reason for name in trial if (reason := self._bound_broken(name, trial[name].balance))), "")

    def _bound_broken(self, name: Name, after: int) -> str:
        account = self.accounts[name]
        if account.floor is not None and after < account.floor and after < account.balance:
            return "FLOOR_WOULD_BREAK"
        if account.ceiling is not None and after > account.ceiling and after > account.balance:
            return "CEILING_WOULD_BREAK"
        return ""

    def _book(self, entry: JournalEntry, key: KeyClaim | None) -> Accepted:
        number = len(self.entries)
        self.entries.append(entry)
        lines = tuple([self._append(posting) for posting in entry.postings])
        if key is not None:
            self.keys[key.identity] = (key, number)
        if (transition := _transition(entry)) is not None:
            self.happened.add(transition)
        return Accepted(number, lines)

    def _append(self, posting: Posting) -> tuple[int, int]:
        account = self.accounts[_name(posting)]
        account.lines.append((posting.side, posting.money.minor_units))
        return (len(account.lines), account.balance)


def _name(posting: Posting) -> Name:
    return (posting.account, posting.money.currency)


def _transition(entry: JournalEntry) -> tuple[str, str, str] | None:
    if entry.once and entry.subject is not None:
        return (entry.subject.kind, entry.subject.id, entry.kind)
    return None


def _outside(balance: int, floor: int | None, ceiling: int | None) -> bool:
    return (floor is not None and balance < floor) or (ceiling is not None and balance > ceiling)


def names_of(entries: Sequence[JournalEntry]) -> set[Name]:
    """The accounts that the entries name."""
    return {_name(posting) for entry in entries for posting in entry.postings}
