"""Who takes money of a receipt: the target, what it makes of the money, and what every kind of target must offer.
Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.entry import Posting
from ledger.money import Money


class TargetKind(enum.Enum):
    """What money can be allocated to; the value is the word in the books."""

    ACCOUNT = "account"
    ORDER = "order"
    LOAN = "loan"
    PAYOUT = "payout"


@dataclass(frozen=True, slots=True)
class Target:
    """One target: an account's path, or the id of an order, loan or payout in decimal digits."""

    kind: TargetKind
    id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Money that is to go to a target: how much, and when it was paid. `again` is how much of the same receipt the
    target had a moment ago, in minor units, where a part of that was taken from it: what is left stays with it,
    whatever became of it meanwhile."""

    receipt_id: int
    target_id: str
    amount: Money
    paid_at: datetime
    again: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What the target makes of it: credit lines that make up the amount."""

    lines: tuple[Posting, ...]


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why the target does not take it, in words for the person who decides."""

    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A claim that is in the books. `staying` is how much of what was undone the target gets again at once, in minor
    units."""

    claim: Claim
    entry_id: int
    staying: int = 0


class Allocator(Protocol):
    """One kind of target. All of it runs in the transaction that moves the money, after the receipts were locked."""

    async def lock(self, driver: Driver, ledger: Ledger, target_ids: Collection[str]) -> None:
        """Locks the targets in id order, before the books are touched, as share() does."""

    async def share(
        self, driver: Driver, ledger: Ledger, claims: Sequence[Claim], *, now: datetime
    ) -> list[Share | Unfit]:
        """Locks the targets in id order and says what each would make of its claims, one after another."""

    async def allocated(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """The claims are in the books: the targets move on."""

    async def undone(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """Allocations were taken back; `entry_id` is that of each undoing entry."""


Allocators: TypeAlias = Mapping[TargetKind, Allocator]
