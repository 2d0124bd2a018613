"""The one door for money that came in: books receipts as a set, gives each to whom its reference names, and opens cases
for what a person must look at.

Products stay ignorant of each other: what a receipt may pay is known here alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from ledger.collections import proving, validating
from ledger.collections.accounts import AccountAllocator
from ledger.collections.allocating import AUTOMATIC, Allocating, Want
from ledger.collections.allocation import Target, TargetKind, Unfit
from ledger.collections.booking import RACING_CONSTRAINTS as BOOKING_RACES
from ledger.collections.booking import Booker, BookResult, Contradiction, Told, ToldBefore
from ledger.collections.moving import Bookkeeper
from ledger.collections.ordering import OrderAllocator
from ledger.collections.prompting import match_receipts
from ledger.collections.receipt import Place
from ledger.collections.reference import ReceiptKeys
from ledger.collections.shortcodes import Shortcode
from ledger.collections.writing import LockedReceipt, add_evidence, find_receipts, lock_receipts, lock_waiting
from ledger.database import Driver
from ledger.errors import ReceiptNotFound, ReceiptShort, TargetUnfit
from ledger.idempotency import KeyClaim, find_keys, key_reused, store_key
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.journal.entry import Source
from ledger.journal.poster import Poster
from ledger.loans.accruing import DayWorker
from ledger.loans.allocating import LoanAllocator, unwanted_by_loan
from ledger.money import Money
from ledger.outbox import queue
from ledger.outbox.collecting import Channel, Payer, Received, Refusal
from ledger.payouts import reviews
from ledger.payouts.reviews import Case
from ledger.refunding import PayoutAllocator
from ledger.text import check_text

UNALLOCATED_QUEUE, MISMATCH_QUEUE = "receipt-unallocated", "amount-mismatch"
RACING_CONSTRAINTS = BOOKING_RACES | {
    "reviews_pkey",
    "idempotency_keys_pkey",
    "prompts_are_paid_by_one_receipt_each",
}
# How long money whose reference means nothing waits for one that is still to be made.
PATIENCE = timedelta(minutes=5)
EVIDENCE_LENGTH_MAX = 1000
_TAKEN_BACK = "its allocation was taken back"
_MEANS_NOTHING = "its reference means nothing here"
# Booked for the prompt itself.
_OF_PROMPTS = frozenset({Channel.PROMPT, Channel.QUERY})
_UNPROVEN = "no status query has confirmed it"
_NOBODY: Mapping[tuple[str, str], Payer | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A person's decision whose money of a receipt is: nobody's yet, where `target` is None. `amount` is all that waits
    at one place where it is None."""

    key: KeyClaim
    receipt_id: int
    target: Target | None
    evidence: str
    actor: str
    amount: Money | None = None

    def __post_init__(self) -> None:
        check_text(self.evidence, field="evidence", length_max=EVIDENCE_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision came to, or had come to before."""

    result_id: int
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRecorder:
    """Records receipts, with what never changes in a process. Money over `verify_above` minor units is given to nobody
    before the provider, asked, has confirmed it; None for any."""

    booker: Booker
    allocating: Allocating
    verify_above: int | None = None

    async def record(self, driver: Driver, *, ledger: Ledger, told: Sequence[Told], now: datetime) -> list[BookResult]:
        """Books what is new and gives it to its owners, inside the caller's transaction; a verdict per message, in
        order. What its target refuses goes to suspense with a case; what nobody is named by waits for
        `settle_waiting`."""
        if not told:
            return []
        results, new = await self.booker.book(driver, ledger=ledger, told=told, now=now)
        unproven = await self._find_unproven(driver, ledger, new)
        await self._ask(driver, ledger, unproven, now)
        unfit = await self.allocating.place(driver, ledger=ledger, receipts=proving.without(new, unproven), now=now)
        await self._pay_prompts(driver, ledger, told, proving.without(new, unproven), now)
        await self._pay_prompts_of_listed(driver, ledger, list(zip(told, results, strict=True)), now)
        await self._park(driver, ledger, [(one, unfit[one.id]) for one in new if one.id in unfit], now)
        contradictions = [
            Case(None, result.reason, inbox_id=one.inbox_id, receipt_id=result.receipt_id)
            for one, result in zip(told, results, strict=True)
            if isinstance(result, Contradiction)
        ]
        await self._review(driver, ledger, MISMATCH_QUEUE, contradictions, now)
        return results

    async def _pay_prompts(
        self, driver: Driver, ledger: Ledger, told: Sequence[Told], new: Sequence[LockedReceipt], now: datetime
    ) -> None:
        """What came by another way than a prompt's own callback may be what a payer was asked for."""
        payers = {one.name: one.received.payer for one in told if one.channel not in _OF_PROMPTS}
        receipts = [(one, payers[one.provider, one.receipt]) for one in new if (one.provider, one.receipt) in payers]
        await match_receipts(
            driver, ledger=ledger, receipts=receipts, keys=self.booker.keys, ids=self.booker.ids, now=now
        )

    async def _pay_prompts_late(
        self,
        driver: Driver,
        ledger: Ledger,
        proven: Sequence[LockedReceipt],
        now: datetime,
        *,
        payers: Mapping[tuple[str, str], Payer | None] = _NOBODY,
    ) -> None:
        """The same for large money, once it is confirmed: till then it ends no prompt. Who paid is what `payers` says,
        by provider and receipt, or else what was told first."""
        large = [one for one in proven if self._is_large(one.amount)]
        keys = self.booker.keys
        read = await proving.read_payers(driver, ledger_id=ledger.id, receipts=large, keys=keys)
        receipts = [(one, payers.get((one.provider, one.receipt)) or payer) for one, payer in read]
        await match_receipts(driver, ledger=ledger, receipts=receipts, keys=keys, ids=self.booker.ids, now=now)

    async def _pay_prompts_of_listed(
        self, driver: Driver, ledger: Ledger, told: Sequence[tuple[Told, BookResult]], now: datetime
    ) -> None:
        """Large money that was told of before is proven by the provider's own list. What waits of it goes to its owners
        by `settle_waiting`; the prompt it answers is paid now, wherever the money lies: with a person, maybe."""
        listed = {
            one.name: one.received.payer
            for one, result in told
            if isinstance(result, ToldBefore) and one.channel in proving.LISTED and self._is_large(one.received.amount)
        }
        if listed:
            found = await find_receipts(driver, ledger_id=ledger.id, names=listed)
            await self._pay_prompts_late(driver, ledger, list(found.values()), now, payers=listed)

    def _is_large(self, amount: Money) -> bool:
        return self.verify_above is not None and amount.minor_units > self.verify_above

    async def settle_waiting(
        self, driver: Driver, *, ledger: Ledger, patience: timedelta = PATIENCE, now: datetime, limit: int
    ) -> int:
        """Looks once more at money that has waited for its patience to end, and puts what still means nothing into
        suspense; returns how many receipts that were."""
        waiting = await lock_waiting(driver, ledger_id=ledger.id, told_before=now - patience, limit=limit)
        indexed = [one for one in waiting if one.holdings.unallocated]
        unproven = await self._find_unproven(driver, ledger, indexed)
        unfit = await self.allocating.place(driver, ledger=ledger, receipts=proving.without(indexed, unproven), now=now)
        await self._pay_prompts_late(driver, ledger, proving.without(indexed, unproven), now)
        again = await self._still_waiting(driver, ledger, indexed, dict.fromkeys(unproven, _UNPROVEN) | unfit)
        await self._park(driver, ledger, again, now)
        return len(waiting)

    async def confirm(
        self, driver: Driver, *, ledger: Ledger, stands: Sequence[tuple[int, int | None]], now: datetime
    ) -> None:
        """The provider, asked about these receipts (id, and the inbox's id of the answer), says that they stand: keeps
        that as evidence, and gives what waited for it to its owners. What a person was asked about is left to them; the
        prompts that all this money answers are paid by it, wherever it lies."""
        if not stands:
            return
        evidence = [(receipt_id, Channel.QUERY.value, inbox_id) for receipt_id, inbox_id in stands]
        found = await lock_receipts(driver, ledger_id=ledger.id, receipt_ids=sorted({one for one, _ in stands}))
        await add_evidence(driver, ledger_id=ledger.id, evidence=evidence, now=now)
        waiting = [one for one in found.values() if one.holdings.unallocated]
        unfit = await self.allocating.place(driver, ledger=ledger, receipts=waiting, now=now)
        await self._pay_prompts_late(driver, ledger, list(found.values()), now)
        await self._park(driver, ledger, [(one, unfit[one.id]) for one in waiting if one.id in unfit], now)

    async def _find_unproven(self, driver: Driver, ledger: Ledger, receipts: Sequence[LockedReceipt]) -> frozenset[int]:
        return await proving.find_unproven(driver, ledger_id=ledger.id, receipts=receipts, above=self.verify_above)

    async def _ask(self, driver: Driver, ledger: Ledger, receipt_ids: frozenset[int], now: datetime) -> None:
        await queue.enqueue(
            driver,
            ledger_id=ledger.id,
            kind=queue.RECEIPT_QUERY,
            subject_ids=sorted(receipt_ids),
            ids=self.booker.ids,
            now=now,
            due_at=now,
        )

    async def allocate(self, driver: Driver, *, ledger: Ledger, decision: Decision, now: datetime) -> Decided:
        """Gives waiting money of a receipt to a target by a person's hand, and closes its case once none waits; the
        result is the entry. Raises ReceiptNotFound, ReceiptShort, TargetUnfit, IdempotencyKeyReused, and what the books
        refuse."""
        assert decision.target is not None
        receipt = await self._lock(driver, ledger, decision.receipt_id)
        if (answer := await _answer(driver, ledger, decision.key)) is not None:
            return answer
        entry_id, receipt = await self._give(driver, ledger, receipt, decision, decision.target, now)
        if not receipt.holdings.suspended:
            await self._close_cases(driver, ledger, receipt.id, decision.actor, now)
        return await _keep(driver, ledger, decision.key, entry_id, now)

    async def reallocate(self, driver: Driver, *, ledger: Ledger, decision: Decision, now: datetime) -> Decided:
        """Takes all that was allocated of a receipt back and gives it to another target, at once or not at all; without
        a target, puts it into suspense with a case. The result is the entry, or the receipt where it was put aside.
        Raises as allocate() does, and FloorWouldBreak where the first target has spent the money."""
        receipt = await self._lock(driver, ledger, decision.receipt_id)
        if (answer := await _answer(driver, ledger, decision.key)) is not None:
            return answer
        if not receipt.holdings.allocated:
            raise ReceiptShort("nothing of this receipt is allocated", field="receipt_id")
        receipt, _ = await self.allocating.take_back_all(
            driver, ledger=ledger, receipt=receipt, actor=decision.actor, detail=decision.evidence[:200], now=now
        )
        result_id = receipt.id
        if decision.target is not None:
            result_id, receipt = await self._give(driver, ledger, receipt, decision, decision.target, now)
        if receipt.holdings.unallocated:
            await self._park(driver, ledger, [(receipt, _TAKEN_BACK)], now)
        elif receipt.holdings.suspended:
            cases = [Case(None, _TAKEN_BACK, receipt_id=receipt.id)]
            await self._review(driver, ledger, UNALLOCATED_QUEUE, cases, now)
        return await _keep(driver, ledger, decision.key, result_id, now)

    async def _lock(self, driver: Driver, ledger: Ledger, receipt_id: int) -> LockedReceipt:
        found = await lock_receipts(driver, ledger_id=ledger.id, receipt_ids=[receipt_id])
        if not found:
            raise ReceiptNotFound("no such receipt in this ledger", field="receipt_id")
        return found[receipt_id]

    async def _give(
        self,
        driver: Driver,
        ledger: Ledger,
        receipt: LockedReceipt,
        decision: Decision,
        target: Target,
        now: datetime,
    ) -> tuple[int, LockedReceipt]:
        source = Place.SUSPENDED if receipt.holdings.suspended else Place.UNALLOCATED
        amount = decision.amount or Money(receipt.amount.currency, receipt.holdings.of(source))
        if amount.currency != receipt.amount.currency or amount.minor_units <= 0:
            raise ReceiptShort("nothing of this receipt waits in that currency", field="amount")
        want = Want(
            receipt=receipt,
            source=source,
            target=target,
            amount=amount,
            at=now,
            actor=decision.actor,
            evidence=Source.MANUAL,
            detail=decision.evidence[:200],
        )
        (result,) = await self.allocating.allocate(driver, ledger=ledger, wants=[want], now=now)
        if isinstance(result, Unfit):
            raise TargetUnfit(f"the target does not take it: {result.reason}", field="target")
        if isinstance(result, Refused):
            raise result.error
        return result.entry_id, result.receipt

    async def _close_cases(self, driver: Driver, ledger: Ledger, receipt_id: int, actor: str, now: datetime) -> None:
        await reviews.close_of_receipts(
            driver, ledger_id=ledger.id, queue=UNALLOCATED_QUEUE, receipt_ids=[receipt_id], actor=actor, now=now
        )

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


async def refusal_of(
    driver: Driver, *, ledger_id: int, shortcode: Shortcode, asked: Received, keys: ReceiptKeys, now: datetime
) -> Refusal | None:
    """Why a payment about to be made is not wanted, by whatever its reference names; None where it is."""
    return await validating.refusal_of(
        driver,
        ledger_id=ledger_id,
        shortcode=shortcode,
        asked=asked,
        unwanted={TargetKind.ORDER: validating.unwanted_by_order, TargetKind.LOAN: unwanted_by_loan},
        keys=keys,
        now=now,
    )


def open_recorder(
    *, keys: ReceiptKeys, directory: AccountDirectory, ids: IdSource, verify_above: int | None = None
) -> ReceiptRecorder:
    """A recorder that knows every kind of target there is."""
    return ReceiptRecorder(
        verify_above=verify_above,
        booker=Booker(keys=keys, directory=directory, ids=ids),
        allocating=Allocating(
            bookkeeper=Bookkeeper(directory=directory, ids=ids),
            allocators={
                TargetKind.ACCOUNT: AccountAllocator(),
                TargetKind.ORDER: OrderAllocator(ids),
                TargetKind.LOAN: LoanAllocator(days=DayWorker(poster=Poster(directory=directory, ids=ids))),
                TargetKind.PAYOUT: PayoutAllocator(),
            },
        ),
    )


async def _answer(driver: Driver, ledger: Ledger, key: KeyClaim) -> Decided | None:
    """What this request id had come to before. Asked under the receipt's lock."""
    stored = (await find_keys(driver, ledger_id=ledger.id, claims=[key])).get(key.identity)
    if stored is None:
        return None
    if not stored.matches(key):
        raise key_reused(key)
    return Decided(stored.result_id, replayed=True)


async def _keep(driver: Driver, ledger: Ledger, key: KeyClaim, result_id: int, now: datetime) -> Decided:
    await store_key(driver, ledger_id=ledger.id, claim=key, result_id=result_id, now=now)
    return Decided(result_id, replayed=False)
