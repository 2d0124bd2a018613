"""What each line of a statement is in the books, and what no line shows: decisions with their reasons. Pure.

Rules are tried in order over all lines, the strongest first: what two persons decided, the receipt, our reference in
the details, the receipt that a reversal undoes, the account typed, and last the amount within a day where only one of
each is left. Charges go with the payment of their receipt. The difference of a decision is what its lines moved less
what its entries booked, so all differences together are what the statement and the books differ by.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from ledger.reconciliation.statement import LineKind, LineStatus

_Item = TypeVar("_Item")

WINDOW = timedelta(days=1)
# Statements show some lines late: what was booked this close before a statement's end is not missing yet.
LATE = timedelta(hours=1)


class State(enum.Enum):
    """What a decision says. Those of EXPLAINED need nobody."""

    MATCHED = "matched"
    NO_MOVEMENT = "no_movement"  # a failed or pending line: nothing moved
    AWAITED = "awaited"  # booked, and the statement ends too soon to show it
    ACCEPTED = "accepted"  # two persons say why the difference stays
    RESOLVES = "resolves"  # evidence of a payout whose outcome the books do not know
    OVER = "over"  # more moved than is booked
    UNDER = "under"
    DUPLICATE = "duplicate"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    STATUS_CONFLICT = "status_conflict"
    FEE_MISMATCH = "fee_mismatch"
    OTHER_SUB_ACCOUNT = "other_sub_account"


EXPLAINED = frozenset({State.MATCHED, State.NO_MOVEMENT, State.AWAITED, State.ACCEPTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A statement's line, as matching needs it; `amount` is signed."""

    id: int
    receipt: str
    at: datetime
    amount: int
    kind: LineKind
    status: LineStatus
    originator: str | None = None
    reference: str | None = None
    linked: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What an entry moved on the account; `receipt` is the provider's number it was booked under, if any, and `source`
    what it rests on."""

    entry_id: int
    amount: int
    at: datetime
    source: str
    receipt: str | None = None
    original: str | None = None


class Known(enum.Enum):
    """How far the books are with a payout."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout of ours that a line names. `amount` is negative: it leaves."""

    id: int
    known: Known
    amount: int
    receipt: str | None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Lines and entries that an approved adjustment puts together, its own entry among them, and why."""

    lines: frozenset[int]
    entries: frozenset[int]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Lines and entries that belong together, or stand alone, and why."""

    state: State
    rule: str
    reason: str
    at: datetime
    receipt: str
    lines: tuple[int, ...] = ()
    entries: tuple[int, ...] = ()
    difference: int = 0
    payout_id: int | None = None

    @property
    def is_explained(self) -> bool:
        """Whether it needs nobody."""
        return self.state in EXPLAINED

    @property
    def order(self) -> tuple[datetime, str, tuple[int, ...], tuple[int, ...]]:
        """By time, and no two alike."""
        return (self.at, self.receipt, self.lines, self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the books know of one account. `payouts` are those that lines name by our reference; `charges` what was
    accrued by receipt, None where the account is that of the charges; `elsewhere` the account on which a receipt that
    lines show was booked instead; `told_until` is how far the statement reaches; `adjusted` what people decided. Where
    days were closed before the books learned of them: `starts_at` is when these begin, `later` by receipt what is
    booked after them, with its amount and business date."""

    booked: Sequence[Booked]
    payouts: Mapping[str, Payout]
    charges: Mapping[str, int] | None
    elsewhere: Mapping[str, str]
    told_until: datetime
    adjusted: Sequence[Adjusted] = ()
    starts_at: datetime | None = None
    later: Mapping[str, tuple[int, date]] = field(default_factory=dict)


def match(lines: Sequence[Line], books: Books) -> list[Decision]:
    """A decision for every line and every entry, each in exactly one, by time."""
    return _Matcher(books).run(lines)


@dataclass(slots=True)
class _Matcher:
    books: Books
    made: list[Decision] = field(default_factory=list)
    left: dict[int, Booked] = field(default_factory=dict)
    by_receipt: dict[str, list[Booked]] = field(default_factory=lambda: defaultdict(list))

    def run(self, lines: Sequence[Line]) -> list[Decision]:
        self.left = {one.entry_id: one for one in self.books.booked}
        for one in self.books.booked:
            if one.receipt is not None:
                self.by_receipt[one.receipt].append(one)
        groups: dict[str, list[Line]] = {}
        for line in self._adjusted(lines):
            if line.status is not LineStatus.COMPLETED:
                self._idle(line)
            else:
                groups.setdefault(line.receipt, []).append(line)
        waiting = [line for group in groups.values() for line in self._group(group)]
        for rule in (self._by_originator, self._by_linked, self._by_reference, self._by_amount):
            waiting = rule(waiting)
        for line in waiting:
            self._alone(line)
        for one in self._undone():
            self._unseen(one)
        return sorted(self.made, key=lambda one: one.order)

    def _adjusted(self, lines: Sequence[Line]) -> list[Line]:
        """Decides what people decided, as far as it lies in these days; returns the other lines."""
        if not self.books.adjusted:
            return list(lines)
        waiting = {line.id: line for line in lines}
        for one in self.books.adjusted:
            own = [waiting.pop(line_id) for line_id in sorted(one.lines & waiting.keys())]
            booked = [self.left[entry_id] for entry_id in sorted(one.entries & self.left.keys())]
            if own or booked:
                self._decide(State.ACCEPTED, "adjustment", one.reason, own, booked)
        return list(waiting.values())

    def _undone(self) -> list[Booked]:
        """What no line is about, less what was booked and undone again under one receipt."""
        for group in _grouped((one for one in self.left.values() if one.receipt), lambda one: one.receipt).values():
            if len(group) > 1 and sum(one.amount for one in group) == 0:
                self._decide(State.MATCHED, "undone", "booked and undone again under one receipt", [], group)
        return list(self.left.values())

    def _group(self, group: Sequence[Line]) -> Sequence[Line]:
        """Decides what one receipt decides; returns the lines that other rules must."""
        mains, fees = group, list[Line]()
        if self.books.charges is not None:
            fees = [line for line in group if line.kind.is_charge]
            mains = [line for line in group if not line.kind.is_charge] if fees else group
        if fees:
            self._charge(fees)
        if not mains:
            return []
        booked = [one for one in self.by_receipt.get(mains[0].receipt, ()) if one.entry_id in self.left]
        if booked:
            self._under_one_receipt(mains, booked)
            return []
        if len(mains) > 1 and sum(line.amount for line in mains) == 0:
            self._decide(State.MATCHED, "pair", "in and out again under one receipt", mains, [])
            return []
        return mains

    def _under_one_receipt(self, mains: Sequence[Line], booked: Sequence[Booked]) -> None:
        moved, total = sum(line.amount for line in mains), sum(one.amount for one in booked)
        if moved == total:
            self._decide(State.MATCHED, "receipt", _shape(mains, booked), mains, booked)
        elif len(mains) > 1 and all(line.amount == total for line in mains):
            self._decide(State.MATCHED, "receipt", _shape(mains[:1], booked), mains[:1], booked)
            for line in mains[1:]:
                self._decide(State.DUPLICATE, "receipt", "the statement shows this receipt again", [line], [])
        else:
            state = State.OVER if abs(moved) > abs(total) else State.UNDER
            if self.books.charges is None:
                state = State.FEE_MISMATCH
            self._decide(state, "receipt", "booked under this receipt with another amount", mains, booked)

    def _charge(self, fees: Sequence[Line]) -> None:
        assert self.books.charges is not None
        taken, accrued = -sum(line.amount for line in fees), self.books.charges.get(fees[0].receipt, 0)
        if taken == accrued:
            self._decide(State.MATCHED, "charge", "taken from the account itself, as accrued in charges owed", fees, [])
        else:
            reason = f"the provider took {taken}, and {accrued} is accrued, in minor units"
            self._decide(State.FEE_MISMATCH, "charge", reason, fees, [])

    def _named(self, line: Line) -> Payout | None:
        """The payout that a line names: what comes in has texts that its payer typed, and names none."""
        if line.amount > 0 or line.kind is LineKind.COLLECTION:
            return None
        return self.books.payouts.get(line.originator or "")

    def _idle(self, line: Line) -> None:
        payout = self._named(line)
        word = line.status.value
        if payout is not None and payout.amount != line.amount:
            payout = None  # not this payout's line, whoever wrote its reference there
        if line.status is LineStatus.PENDING or payout is None or payout.known is Known.RELEASED:
            self._decide(State.NO_MOVEMENT, "status", f"the line is {word}: nothing moved", [line], [])
        elif payout.known is Known.OPEN:
            reason = "the provider failed what the books do not know the outcome of"
            self._decide(State.RESOLVES, "originator", reason, [line], [], payout.id)
        else:
            reason = "settled in the books, and failed in the statement"
            self._decide(State.STATUS_CONFLICT, "originator", reason, [line], [], payout.id)

    def _by_originator(self, lines: Sequence[Line]) -> list[Line]:
        waiting = []
        for line in lines:
            payout = self._named(line)
            if payout is None:
                waiting.append(line)
            elif payout.known is Known.SETTLED:
                waiting += self._settled(line, payout)
            elif payout.amount != line.amount:
                reason = "the payout of this reference is over another amount"
                self._decide(State.STATUS_CONFLICT, "originator", reason, [line], [], payout.id)
            else:
                released = payout.known is Known.RELEASED
                reason = f"the provider paid what the books {'released' if released else 'do not know the outcome of'}"
                self._decide(State.RESOLVES, "originator", reason, [line], [], payout.id)
        return waiting

    def _settled(self, line: Line, payout: Payout) -> list[Line]:
        booked = [one for one in self.by_receipt.get(payout.receipt or "", ()) if one.entry_id in self.left]
        if line.receipt == payout.receipt:
            return [line]  # the payment itself, booked outside of these days
        if not booked:
            reason = "a second payment under the reference of a payout that is settled"
            self._decide(State.DUPLICATE, "originator", reason, [line], [], payout.id)
        else:
            same = sum(one.amount for one in booked) == line.amount
            reason = f"the payout of this reference, booked under receipt {payout.receipt}"
            self._decide(State.MATCHED if same else State.OVER, "originator", reason, [line], booked, payout.id)
        return []

    def _by_linked(self, lines: Sequence[Line]) -> list[Line]:
        undone: dict[tuple[str, int], list[Booked]] = defaultdict(list)
        for one in self.left.values():
            if one.original is not None:
                undone[one.original, one.amount].append(one)
        waiting = []
        for line in lines:
            booked = undone.get((line.linked or "", line.amount))
            if booked:
                self._decide(
                    State.MATCHED, "linked", "goes back under the receipt that it reverses", [line], [booked.pop(0)]
                )
            else:
                waiting.append(line)
        return waiting

    def _by_reference(self, lines: Sequence[Line]) -> list[Line]:
        """One entry for one line or several of one account typed, or several entries for one line."""
        typed = _grouped((line for line in lines if line.reference), lambda line: line.reference)
        named = _grouped((one for one in self.left.values() if one.receipt), lambda one: one.receipt)
        done: set[int] = set()
        for reference, group in typed.items():
            booked = [one for one in named.get(reference, []) if _near(one.at, group)]
            if booked and sum(one.amount for one in booked) == sum(line.amount for line in group):
                self._decide(State.MATCHED, "reference", _shape(group, booked), group, booked)
                done |= {line.id for line in group}
        return [line for line in lines if line.id not in done]

    def _by_amount(self, lines: Sequence[Line]) -> list[Line]:
        """Only what was booked under no receipt, and only where one line and one entry are left for it."""
        alike = _grouped(lines, lambda line: line.amount)
        booked = _grouped((one for one in self.left.values() if one.receipt is None), lambda one: one.amount)
        done: set[int] = set()
        for amount, group in alike.items():
            found = booked.get(amount, [])
            if len(group) == 1 and len(found) == 1 and _near(found[0].at, group):
                self._decide(State.MATCHED, "amount", "the only one of this amount within a day", group, found)
                done.add(group[0].id)
        return [line for line in lines if line.id not in done]

    def _alone(self, line: Line) -> None:
        account = self.books.elsewhere.get(line.receipt)
        if account is not None:
            self._decide(State.OTHER_SUB_ACCOUNT, "receipt", f"booked on {account}", [line], [])
            return
        amount, day = self.books.later.get(line.receipt, (0, line.at.date()))
        if amount == line.amount:
            self._decide(State.ACCEPTED, "late", f"booked on {day}, for these days were closed", [line], [])
            return
        word = "came in" if line.amount > 0 else "left"
        self._decide(State.MISSING_HERE, "none", f"money {word} that no entry of the books is about", [line], [])

    def _unseen(self, one: Booked) -> None:
        if self.books.starts_at is not None and one.at < self.books.starts_at:
            self._decide(State.ACCEPTED, "late", "happened before these days, and was learned after their close", [],
                         [one])  # fmt: skip
            return
        awaited = one.at > self.books.told_until - LATE
        state = State.AWAITED if awaited else State.MISSING_THERE
        reason = (
            "the statement ends too soon to show it" if awaited else f"booked by {one.source}, and no line shows it"
        )
        decision = Decision(
            state=state, rule="none", reason=reason, at=one.at, receipt=one.receipt or "", entries=(one.entry_id,),
            difference=-one.amount,
        )  # fmt: skip
        self.made.append(decision)

    def _decide(
        self, state: State, rule: str, reason: str, lines: Sequence[Line], booked: Sequence[Booked],
        payout_id: int | None = None,
    ) -> None:  # fmt: skip
        for one in booked:
            del self.left[one.entry_id]
        moved = sum(line.amount for line in lines if line.status is LineStatus.COMPLETED)
        difference = moved - sum(one.amount for one in booked)
        decision = Decision(
            state=State.MATCHED if state is State.ACCEPTED and not difference else state,
            rule=rule,
            reason=reason,
            at=min([line.at for line in lines] or [one.at for one in booked]),
            receipt=lines[0].receipt if lines else booked[0].receipt or "",
            lines=tuple(line.id for line in lines),
            entries=tuple(one.entry_id for one in booked),
            difference=difference,
            payout_id=payout_id,
        )
        self.made.append(decision)


def _grouped(items: Iterable[_Item], key: Callable[[_Item], Hashable]) -> dict[Hashable, list[_Item]]:
    groups: dict[Hashable, list[_Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _near(at: datetime, lines: Sequence[Line]) -> bool:
    return all(abs(line.at - at) <= WINDOW for line in lines)


def _shape(lines: Sequence[Line], booked: Sequence[Booked]) -> str:
    return _counted(len(lines), len(booked))


@lru_cache(maxsize=1000)
def _counted(lines: int, booked: int) -> str:
    """Nearly every decision has the same few words: they are kept once."""
    return f"{lines} {'line' if lines == 1 else 'lines'}, {booked} booked under it"
