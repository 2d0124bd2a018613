"""The one door for money that came in: books receipts as a set, gives each to whom its reference names, and opens cases
for what a person must look at.

Products stay ignorant of each other: what a receipt may pay is known here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.collections.accounts import AccountAllocator
from ledger.collections.allocating import AUTOMATIC, Allocating
from ledger.collections.allocation import TargetKind
from ledger.collections.booking import RACING_CONSTRAINTS as BOOKING_RACES
from ledger.collections.booking import Booker, BookResult, Contradiction, Told
from ledger.collections.moving import Bookkeeper
from ledger.collections.ordering import OrderAllocator
from ledger.collections.reference import ReceiptKeys
from ledger.collections.writing import LockedReceipt, lock_receipts, lock_waiting
from ledger.database import Driver
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.payouts import reviews
from ledger.payouts.reviews import Case

UNALLOCATED_QUEUE, MISMATCH_QUEUE = "receipt-unallocated", "amount-mismatch"
RACING_CONSTRAINTS = BOOKING_RACES | {"reviews_pkey"}
# How long money whose reference means nothing waits for one that is still to be made.
PATIENCE = timedelta(minutes=5)
_MEANS_NOTHING = "its reference means nothing here"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRecorder:
    """Records receipts, with what never changes in a process."""

    booker: Booker
    allocating: Allocating

    async def record(self, driver: Driver, *, ledger: Ledger, told: Sequence[Told], now: datetime) -> list[BookResult]:
        """Books what is new and gives it to its owners, inside the caller's transaction; a verdict per message, in
        order. What its target refuses goes to suspense with a case; what nobody is named by waits for
        `settle_waiting`."""
        if not told:
            return []
        results, new = await self.booker.book(driver, ledger=ledger, told=told, now=now)
        unfit = await self.allocating.place(driver, ledger=ledger, receipts=new, now=now)
        await self._park(driver, ledger, [(one, unfit[one.id]) for one in new if one.id in unfit], now)
        contradictions = [
            Case(None, result.reason, inbox_id=one.inbox_id, receipt_id=result.receipt_id)
            for one, result in zip(told, results, strict=True)
            if isinstance(result, Contradiction)
        ]
        await self._review(driver, ledger, MISMATCH_QUEUE, contradictions, now)
        return results

    async def settle_waiting(
        self, driver: Driver, *, ledger: Ledger, patience: timedelta = PATIENCE, now: datetime, limit: int
    ) -> int:
        """Looks once more at money that has waited for its patience to end, and puts what still means nothing into
        suspense; returns how many receipts that were."""
        waiting = await lock_waiting(driver, ledger_id=ledger.id, told_before=now - patience, limit=limit)
        indexed = [one for one in waiting if one.holdings.unallocated]
        unfit = await self.allocating.place(driver, ledger=ledger, receipts=indexed, now=now)
        again = await self._still_waiting(driver, ledger, indexed, unfit)
        await self._park(driver, ledger, again, now)
        return len(waiting)

    async def _still_waiting(
        self, driver: Driver, ledger: Ledger, receipts: Sequence[LockedReceipt], unfit: dict[int, str]
    ) -> list[tuple[LockedReceipt, str]]:
        current = await lock_receipts(driver, ledger_id=ledger.id, receipt_ids=[one.id for one in receipts])
        return [(one, unfit.get(one.id, _MEANS_NOTHING)) for one in current.values() if one.holdings.unallocated]

    async def _park(
        self, driver: Driver, ledger: Ledger, unplaced: Sequence[tuple[LockedReceipt, str]], now: datetime
    ) -> None:
        if not unplaced:
            return
        receipts, reasons = [one for one, _ in unplaced], [reason for _, reason in unplaced]
        await self.allocating.park(driver, ledger=ledger, receipts=receipts, reasons=reasons, actor=AUTOMATIC, now=now)
        cases = [Case(None, reason, receipt_id=one.id) for one, reason in unplaced]
        await self._review(driver, ledger, UNALLOCATED_QUEUE, cases, now)

    async def _review(self, driver: Driver, ledger: Ledger, queue: str, cases: Sequence[Case], now: datetime) -> None:
        await reviews.open_reviews(driver, ledger_id=ledger.id, queue=queue, cases=cases, ids=self.booker.ids, now=now)


def open_recorder(*, keys: ReceiptKeys, directory: AccountDirectory, ids: IdSource) -> ReceiptRecorder:
    """A recorder that knows every kind of target there is."""
    return ReceiptRecorder(
        booker=Booker(keys=keys, directory=directory, ids=ids),
        allocating=Allocating(
            bookkeeper=Bookkeeper(directory=directory, ids=ids),
            allocators={TargetKind.ACCOUNT: AccountAllocator(), TargetKind.ORDER: OrderAllocator()},
        ),
    )
