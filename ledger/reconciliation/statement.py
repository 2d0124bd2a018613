"""A provider's statement as neutral lines, and whether its running balance holds. Pure.

A receipt is not unique per line: a payment and its charge share one, and the balances inside such a group are not
reliable. So the running balance is followed from group to group, never from line to line.
"""

from __future__ import annotations

import enum
import re
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import pairwise

from ledger.errors import InvalidInput

DETAILS_MAX, RECEIPT_MAX, REFERENCE_MAX = 500, 40, 100
_OPENINGS_MAX = 16
_NUMBER = re.compile(r"(?<!\d)\d{9,}(?!\d)")


class StatementRefused(InvalidInput):
    """The whole file is refused, and nothing of it imported; the row at fault is named where there is one."""


def refused(reason: str, *, row: int | None = None) -> StatementRefused:
    """The refusal, with the file's row (from 1) where one is at fault."""
    where = f"row {row}: " if row is not None else ""
    return StatementRefused(f"{where}{reason}", field="file", row=row if row is not None else "")


class LineKind(enum.Enum):
    """What a line says that it was."""

    COLLECTION = "collection"
    PAYOUT = "payout"
    CHARGE = "charge"
    CHARGE_REVERSAL = "charge_reversal"
    REVERSAL = "reversal"
    TRANSFER = "transfer"  # between our own accounts, from or to a bank
    OTHER = "other"

    @property
    def is_charge(self) -> bool:
        """Whether it goes with a payment under the same receipt."""
        return self in (LineKind.CHARGE, LineKind.CHARGE_REVERSAL)


class LineStatus(enum.Enum):
    """Only what is completed moved money."""

    COMPLETED = "completed"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One line. `amount` is in minor units, positive for money in; `balance` the account's after it, where told;
    `row` its place in the file. Texts show no full phone number (`masked`)."""

    row: int
    receipt: str
    completed_at: datetime
    details: str
    kind: LineKind
    status: LineStatus
    amount: int
    balance: int | None = None
    originator: str | None = None
    party: str | None = None
    reference: str | None = None
    linked_receipt: str | None = None

    @property
    def digest(self) -> bytes:
        """What makes it this line, in whichever file and at whichever place it stands."""
        text = "\0".join((self.receipt, self.details, str(self.amount), self.status.value))
        return sha256(text.encode()).digest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a file says of itself before its lines; None where it does not. Amounts in minor units."""

    shortcode: str | None = None
    sub_account: str | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None
    opening: int | None = None
    closing: int | None = None
    paid_in: int | None = None
    withdrawn: int | None = None


def masked(text: str) -> str:
    """The text with the middle of everything that may be a phone number hidden."""
    return _NUMBER.sub(lambda found: f"{found[0][:5]}****{found[0][-3:]}", text)


@dataclass(slots=True)
class Continuity:
    """Follows the running balance through a file's completed lines, 32 bytes a line, in any order of the file."""

    heading: Heading
    _times: array[int] = field(default_factory=lambda: array("q"))
    _receipts: array[int] = field(default_factory=lambda: array("q"))
    _amounts: array[int] = field(default_factory=lambda: array("q"))
    _balances: array[int] = field(default_factory=lambda: array("q"))
    _rows: array[int] = field(default_factory=lambda: array("q"))
    _untold: bool = False

    def add(self, line: StatementLine) -> None:
        """Takes in a line."""
        if line.status is not LineStatus.COMPLETED:
            return
        if line.balance is None:
            self._untold = True
            return
        self._times.append(int(line.completed_at.timestamp()))
        self._receipts.append(hash(line.receipt))
        self._amounts.append(line.amount)
        self._balances.append(line.balance)
        self._rows.append(line.row)

    def check(self) -> tuple[int | None, int | None]:
        """The balance before the first line and after the last; None where lines tell no balances. Raises
        StatementRefused where a balance does not follow, or where the lines are not what the heading sums up."""
        self._check_totals()
        if self._untold or not self._times:
            return self.heading.opening, self.heading.closing
        net = sum(self._amounts)
        possible = self._follow()
        closing = self.heading.closing if self.heading.closing is not None else min(possible)
        if closing not in possible:
            raise refused("the balance after the last line is not the closing balance: lines are missing at the end")
        return closing - net, closing

    def _check_totals(self) -> None:
        if self._untold:
            return
        paid_in = sum(one for one in self._amounts if one > 0)
        withdrawn = sum(one for one in self._amounts if one < 0)
        for told, found, word in (
            (self.heading.paid_in, paid_in, "paid in"),
            (self.heading.withdrawn, withdrawn, "withdrawn"),
        ):
            if told is not None and abs(told) != abs(found):
                raise refused(f"the lines do not sum up to the total {word} of the heading: the file is not whole")

    def _follow(self) -> frozenset[int]:
        possible = None if self.heading.opening is None else frozenset({self.heading.opening})
        for block in self._blocks():
            possible = self._through(block, possible)
        assert possible is not None
        return possible

    def _blocks(self) -> Iterator[list[list[int]]]:
        """Groups of one receipt, those of the same second together, oldest first."""
        times = self._times
        order: range | list[int] = range(len(times))
        if len(times) > 1 and times[0] > times[-1]:
            order = range(len(times) - 1, -1, -1)
        if any(times[before] > times[after] for before, after in pairwise(order)):
            order = sorted(order, key=times.__getitem__)
        block: dict[int, list[int]] = {}
        at = None
        for index in order:
            if times[index] != at and block:
                yield list(block.values())
                block = {}
            at = times[index]
            block.setdefault(self._receipts[index], []).append(index)
        yield list(block.values())

    def _through(self, block: list[list[int]], possible: frozenset[int] | None) -> frozenset[int]:
        """The balances that may stand after the groups of one second, in whichever order they came: files are oldest
        first or newest first, so both are tried where balances recur."""
        steps = [self._step(group) for group in block]
        starts = [possible] if possible is not None else [frozenset({one}) for one in _openings(steps)]
        found = [end for start in starts for order in (steps, steps[::-1]) if (end := _walk(order, start)) is not None]
        if not found:
            raise refused("the running balance does not follow from the line before", row=self._rows[block[0][0]])
        return frozenset[int]().union(*found)

    def _step(self, group: list[int]) -> _Step:
        return _Step(sum(self._amounts[index] for index in group), frozenset(self._balances[index] for index in group))


@dataclass(frozen=True, slots=True)
class _Step:
    """What a receipt's lines moved together, and the balances that may stand after it."""

    net: int
    after: frozenset[int]


def _openings(steps: list[_Step]) -> list[int]:
    """Where a walk through steps of one second may begin, the likeliest first: more steps begin there than end."""
    more: Counter[int] = Counter()
    for one in steps:
        more.update(balance - one.net for balance in one.after)
        more.subtract(one.after)
    begins = dict.fromkeys(balance - one.net for one in steps for balance in sorted(one.after))
    return sorted(begins, key=lambda balance: -more[balance])[:_OPENINGS_MAX]


def _walk(steps: list[_Step], possible: frozenset[int]) -> frozenset[int] | None:
    """What may stand after all steps, each taken as soon as it goes on from where the ones before it ended; None where
    none goes on."""
    waiting: dict[int, deque[int]] = defaultdict(deque)
    for place, step in enumerate(steps):
        for balance in step.after:
            waiting[balance - step.net].append(place)
    done = bytearray(len(steps))
    for _ in steps:
        heads = [head for one in possible if (head := _head(waiting, one, done)) is not None]
        if not heads:
            return None
        taken = min(heads)
        done[taken] = 1
        step = steps[taken]
        possible = frozenset(balance for balance in step.after if balance - step.net in possible)
    return possible


def _head(waiting: dict[int, deque[int]], balance: int, done: bytearray) -> int | None:
    """The first step that begins at the balance and was not taken yet."""
    places = waiting.get(balance)
    while places and done[places[0]]:
        places.popleft()
    return places[0] if places else None
