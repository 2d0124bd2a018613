"""The receipt: where its money is, the moves that are drawn, and the entry each one posts. Pure.

Money that a provider took in for us is booked once, whatever channel tells of it first. From then on its parts lie in
one of five places, and together they are always the whole:

    unallocated ──allocated──▶ allocated            what a target owns: a wallet, a partner, an order, a loan
       │    ▲                     │
    parked  └───────undone────────┤
       ▼                          │
    suspended ◀───────────────────┘                 waits for a person
       │
       └──return reserved──▶ returning ──▶ returned to its payer, or, where that fails, suspended again
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.errors import ReceiptShort
from ledger.journal.entry import JournalEntry, Posting, Source, Subject, credit, debit
from ledger.money import Money

SUBJECT_KIND = "collection"
RECEIVED, RECEIVED_KIND = "received", "collection.received"
COVERED_KIND, UNCOVERED_KIND = "collection.covered", "collection.uncovered"
_SUBJECT_LENGTH_MAX = 64


class Place(enum.Enum):
    """Where money of a receipt is; the value is the column of its table."""

    UNALLOCATED = "unallocated"
    SUSPENDED = "suspended"
    ALLOCATED = "allocated"
    RETURNING = "returning"
    RETURNED = "returned"


class Event(enum.Enum):
    """What may happen to money of a receipt."""

    ALLOCATED = "allocated"
    UNDONE = "undone"
    PARKED = "parked"
    RETURN_RESERVED = "return_reserved"
    RETURNED = "returned"
    RETURN_FAILED = "return_failed"
    TAKEN_BACK = "taken_back"

    @property
    def kind(self) -> str:
        """The kind of its entry."""
        return f"collection.{self.value}"


_U, _S, _A = Place.UNALLOCATED, Place.SUSPENDED, Place.ALLOCATED
_RETURNING, _RETURNED = Place.RETURNING, Place.RETURNED

# All moves there are. The database holds the same; a test compares the two.
MOVES: frozenset[tuple[Event, Place, Place]] = frozenset(
    {
        (Event.ALLOCATED, _U, _A),
        (Event.ALLOCATED, _S, _A),
        (Event.UNDONE, _A, _U),
        (Event.UNDONE, _A, _S),
        (Event.PARKED, _U, _S),
        (Event.RETURN_RESERVED, _U, _RETURNING),
        (Event.RETURN_RESERVED, _S, _RETURNING),
        (Event.RETURNED, _RETURNING, _RETURNED),
        (Event.RETURN_FAILED, _RETURNING, _S),
        # The provider took it back unasked: what a target owns is taken from it first.
        (Event.TAKEN_BACK, _U, _RETURNED),
        (Event.TAKEN_BACK, _S, _RETURNED),
    }
)


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much of a receipt is in each place, in minor units."""

    unallocated: int
    suspended: int = 0
    allocated: int = 0
    returning: int = 0
    returned: int = 0

    def of(self, place: Place) -> int:
        """How much is there."""
        value: int = getattr(self, place.value)
        return value

    def moved(self, event: Event, source: Place, target: Place, amount: int) -> Holdings:
        """With that much moved. Raises ReceiptShort where less is there."""
        assert (event, source, target) in MOVES, (event, source, target)
        assert amount > 0
        if self.of(source) < amount:
            raise ReceiptShort(
                f"of this receipt {self.of(source)} minor units are {source.value}, not {amount}",
                field="amount",
                place=source.value,
            )
        less = replace(self, **{source.value: self.of(source) - amount})
        return replace(less, **{target.value: less.of(target) + amount})


@dataclass(frozen=True, slots=True)
class ReceiptAccounts:
    """The paths of the accounts that a shortcode's receipts pass through."""

    landing: str
    unallocated: str
    suspense: str
    returning: str
    charges_owed: str
    charge_expense: str
    clawback: str

    @property
    def paths(self) -> frozenset[str]:
        """All between which money of receipts moves."""
        return frozenset((self.landing, self.unallocated, self.suspense, self.returning, self.clawback))

    def of(self, place: Place) -> str:
        """The account in which money of a receipt waits."""
        waiting = {_U: self.unallocated, _S: self.suspense, _RETURNING: self.returning}
        return waiting[place]


@dataclass(frozen=True, slots=True)
class ReceiptMoney:
    """What entries about a receipt need: the provider's names for it, and its accounts."""

    provider: str
    receipt: str
    accounts: ReceiptAccounts

    @property
    def subject(self) -> Subject:
        """The receipt as the subject of its entries; one too long for a subject goes by its hash."""
        name = f"{self.provider}/{self.receipt}"
        if len(name) > _SUBJECT_LENGTH_MAX:
            name = f"{self.provider}/{hashlib.sha256(self.receipt.encode()).hexdigest()[:40]}"
        return Subject(SUBJECT_KIND, name)


def received_entry(
    money: ReceiptMoney, amount: Money, *, at: datetime, source: Source, charge: Money | None
) -> JournalEntry:
    """The provider's fact: it holds more for us, and nobody knows yet whose that is. `charge` is what it takes for
    it."""
    lines = [debit(money.accounts.landing, amount), credit(money.accounts.unallocated, amount)]
    return _entry(money, RECEIVED_KIND, [*lines, *_charge_lines(money, charge)], at=at, source=source, once=True)


def allocated_entry(
    money: ReceiptMoney, amount: Money, *, source_place: Place, shares: Sequence[Posting], at: datetime, source: Source
) -> JournalEntry:
    """Money finds its owner. `shares` are the lines of the target, which make up the amount."""
    lines = [debit(money.accounts.of(source_place), amount), *shares]
    return _entry(money, Event.ALLOCATED.kind, lines, at=at, source=source)


def undone_entry(
    money: ReceiptMoney, *, allocation: Sequence[Posting], entry_id: int, at: datetime, source: Source
) -> JournalEntry:
    """The allocation was wrong, or its money goes back: line for line the opposite of its entry."""
    lines = [Posting(line.account, line.side.opposite, line.money) for line in allocation]
    return _entry(money, Event.UNDONE.kind, lines, at=at, source=source, reverses_id=entry_id)


def waiting_entry(
    money: ReceiptMoney, amount: Money, *, event: Event, source_place: Place, at: datetime, source: Source
) -> JournalEntry:
    """Money that moves between places in which it waits."""
    target = {
        Event.PARKED: money.accounts.suspense,
        Event.RETURN_RESERVED: money.accounts.returning,
        Event.RETURN_FAILED: money.accounts.suspense,
    }[event]
    lines = [debit(money.accounts.of(source_place), amount), credit(target, amount)]
    return _entry(money, event.kind, lines, at=at, source=source)


def gone_entry(
    money: ReceiptMoney,
    amount: Money,
    *,
    event: Event,
    source_place: Place,
    at: datetime,
    source: Source,
    charge: Money | None = None,
) -> JournalEntry:
    """The provider gave money back to its payer: because we asked, or unasked."""
    assert event in (Event.RETURNED, Event.TAKEN_BACK), event
    lines = [debit(money.accounts.of(source_place), amount), credit(money.accounts.landing, amount)]
    return _entry(money, event.kind, [*lines, *_charge_lines(money, charge)], at=at, source=source)


def covered_entry(money: ReceiptMoney, lacking: Mapping[str, Money], *, at: datetime, source: Source) -> JournalEntry:
    """Owners lack some of what is taken back from them, by account: they owe it."""
    total = sum(lacking.values(), Money(next(iter(lacking.values())).currency, 0))
    lines = [debit(money.accounts.clawback, total), *(credit(path, amount) for path, amount in lacking.items())]
    return _entry(money, COVERED_KIND, lines, at=at, source=source)


def uncovered_entry(money: ReceiptMoney, had: Mapping[str, Money], *, at: datetime, source: Source) -> JournalEntry:
    """Owners that lacked something have it now, by account: they owe it no more."""
    total = sum(had.values(), Money(next(iter(had.values())).currency, 0))
    lines = [*(debit(path, amount) for path, amount in had.items()), credit(money.accounts.clawback, total)]
    return _entry(money, UNCOVERED_KIND, lines, at=at, source=source)


def _charge_lines(money: ReceiptMoney, charge: Money | None) -> list[Posting]:
    if charge is None or charge.minor_units == 0:
        return []
    return [debit(money.accounts.charge_expense, charge), credit(money.accounts.charges_owed, charge)]


def _entry(
    money: ReceiptMoney,
    kind: str,
    lines: Sequence[Posting],
    *,
    at: datetime,
    source: Source,
    once: bool = False,
    reverses_id: int | None = None,
) -> JournalEntry:
    return JournalEntry(
        kind=kind,
        postings=tuple(lines),
        effective_at=at,
        source=source,
        subject=money.subject,
        once=once,
        reference=money.receipt,
        reverses_id=reverses_id,
    )
