"""The door for money that goes back to its payer: asking for a return, and recording what became of it.

A return reserves its money first, so that no two together return more than came in. What is allocated is taken back
from its targets for that, newest first; the rest goes to the same targets again, in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.collections import returning
from ledger.collections.allocating import Allocating, Want
from ledger.collections.allocation import Unfit
from ledger.collections.moving import Made, Move
from ledger.collections.receipt import Event as MoneyEvent
from ledger.collections.receipt import Place, ReceiptMoney, gone_entry, waiting_entry
from ledger.collections.refusals import ReturnNotOffered
from ledger.collections.return_outcome import Report, change_of, event_of, judge
from ledger.collections.returning import Change, Event, Return, Standing, State
from ledger.collections.shortcodes import find_shortcodes
from ledger.collections.writing import Allocation, LockedReceipt, lock_receipts
from ledger.database import Driver
from ledger.errors import RailNotFound, ReceiptNotFound, ReceiptShort, TargetUnfit
from ledger.idempotency import KeyClaim, find_keys, key_reused, store_key
from ledger.ids import IdSource
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.journal.entry import Source
from ledger.money import Money
from ledger.outbox import queue
from ledger.outbox.collecting import Returned, ReturnFailed
from ledger.outbox.instruction import Blame, Rejected
from ledger.outbox.statements import Subject
from ledger.payouts import reviews, switches
from ledger.payouts.reviews import Case
from ledger.receiving import RACING_CONSTRAINTS as RECEIVING_RACES
from ledger.text import check_text

RACING_CONSTRAINTS = RECEIVING_RACES | {"returns_pkey", "instructions_pkey", "rail_stops_pkey"}
UNKNOWN_QUEUE, RACE_QUEUE, UNALLOCATED_QUEUE = "submit-unknown", "reversal-race", "receipt-unallocated"
BREAKER = "daftari.breaker"
REASON_LENGTH_MAX = 100
# A result that has not come by then is called unknown.
PATIENCE = timedelta(minutes=15)
_RETURNED_BEFORE = "the provider says that it was returned before, which nothing here knows of"
_FAILED = "its return failed"
_REST = "a part of it was not returned"
_TAKEN_FOR_RETURN = "its money goes back to the payer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRequest:
    """Money of a receipt that is to go back; `amount` is None for all of it that is still here."""

    key: KeyClaim
    actor: str
    receipt_id: int
    amount: Money | None
    reason: str

    def __post_init__(self) -> None:
        check_text(self.reason, field="reason", length_max=REASON_LENGTH_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRecorder:
    """Records returns, with what never changes in a process. `rails` are those whose receipts can be returned."""

    allocating: Allocating
    ids: IdSource
    rails: frozenset[str]

    async def request(
        self, driver: Driver, *, ledger: Ledger, request: ReturnRequest, now: datetime
    ) -> tuple[Return, bool]:
        """Reserves the money and writes the return with its instruction; and whether the same request had done so.
        Raises ReceiptNotFound, ReceiptShort, ReturnNotOffered, TargetUnfit, IdempotencyKeyReused, and FloorWouldBreak
        where a target has spent the money."""
        found = await lock_receipts(driver, ledger_id=ledger.id, receipt_ids=[request.receipt_id])
        stored = (await find_keys(driver, ledger_id=ledger.id, claims=[request.key])).get(request.key.identity)
        if stored is not None:
            if not stored.matches(request.key):
                raise key_reused(request.key)
            return await self._read(driver, ledger, stored.result_id), True
        if not found:
            raise ReceiptNotFound("no such receipt in this ledger", field="receipt_id")
        receipt = found[request.receipt_id]
        if receipt.provider not in self.rails:
            raise ReturnNotOffered(f"{receipt.provider} returns nothing by itself", field="receipt_id")
        amount = _wanted(receipt, request)
        entry_id = await self._reserve(driver, ledger, receipt, amount, request, now)
        return_id = self.ids.next(now)
        await returning.add_return(
            driver,
            ledger_id=ledger.id,
            return_id=return_id,
            receipt_id=receipt.id,
            place=(receipt.provider, receipt.shortcode),
            amount=amount,
            reason=request.reason,
            entry_id=entry_id,
            actor=request.actor,
            now=now,
        )
        await self._enqueue(driver, ledger, queue.RETURN_SUBMIT, [return_id], now, due_at=now)
        await store_key(driver, ledger_id=ledger.id, claim=request.key, result_id=return_id, now=now)
        return await self._read(driver, ledger, return_id), False

    async def record(
        self, driver: Driver, *, ledger: Ledger, reports: Sequence[Report], now: datetime
    ) -> list[State | Standing]:
        """Records outcomes in order, inside the caller's transaction: the state each led to, or why it led to none.
        Several about one receipt are recorded one after another, those about different ones as a set."""
        asked = await returning.read_returns(driver, ledger_id=ledger.id, return_ids={one.return_id for one in reports})
        results: dict[int, State | Standing] = {}
        for wave in _waves(reports, asked):
            results |= await self._record_wave(driver, ledger, wave, now)
        return [results[index] for index in range(len(reports))]

    async def _read(self, driver: Driver, ledger: Ledger, return_id: int) -> Return:
        return (await returning.read_returns(driver, ledger_id=ledger.id, return_ids=[return_id]))[return_id]

    async def _enqueue(
        self, driver: Driver, ledger: Ledger, kind: str, return_ids: Sequence[int], now: datetime, *, due_at: datetime
    ) -> None:
        await queue.renew(
            driver, ledger_id=ledger.id, kind=kind, subject_ids=return_ids, ids=self.ids, now=now, due_at=due_at
        )

    async def _reserve(
        self,
        driver: Driver,
        ledger: Ledger,
        receipt: LockedReceipt,
        amount: Money,
        request: ReturnRequest,
        now: datetime,
    ) -> int:
        """The entry that reserves the amount: out of what waits, and where that is not enough, out of everything."""
        event, place, taken = MoneyEvent.RETURN_RESERVED, Place.UNALLOCATED, list[Allocation]()
        if receipt.holdings.unallocated < amount.minor_units:
            place = Place.SUSPENDED
            receipt, taken = await self._gather(driver, ledger, receipt, amount, request, now)
        money = await self._money(driver, ledger, receipt)
        move = Move(
            receipt=receipt,
            event=event,
            source=place,
            target=Place.RETURNING,
            amount=amount,
            entry=waiting_entry(money, amount, event=event, source_place=place, at=now, source=Source.MANUAL),
            actor=request.actor,
            detail=request.reason,
        )
        made = await self._make(driver, ledger, move, now)
        left = await self._allocate_again(driver, ledger, made.receipt, taken, request, now)
        await self._look_after(driver, ledger, left, request, now)
        return made.entry_id

    async def _look_after(
        self, driver: Driver, ledger: Ledger, left: LockedReceipt, request: ReturnRequest, now: datetime
    ) -> None:
        """One case for what of the receipt waits for a person now; none where nothing does."""
        await reviews.close_of_receipts(
            driver,
            ledger_id=ledger.id,
            queue=UNALLOCATED_QUEUE,
            receipt_ids=[left.id],
            actor=request.actor,
            now=now,
        )
        cases = [Case(None, _REST, receipt_id=left.id)] if left.holdings.suspended else []
        await reviews.open_reviews(
            driver, ledger_id=ledger.id, queue=UNALLOCATED_QUEUE, cases=cases, ids=self.ids, now=now
        )

    async def _gather(
        self,
        driver: Driver,
        ledger: Ledger,
        receipt: LockedReceipt,
        amount: Money,
        request: ReturnRequest,
        now: datetime,
    ) -> tuple[LockedReceipt, list[Allocation]]:
        """The receipt with enough of its money in suspense, and what was taken back from its owners for that."""
        taken: list[Allocation] = []
        if receipt.holdings.suspended >= amount.minor_units:
            return receipt, taken
        if receipt.holdings.unallocated + receipt.holdings.suspended < amount.minor_units:
            receipt, taken = await self.allocating.take_back_all(
                driver, ledger=ledger, receipt=receipt, actor=request.actor, detail=_TAKEN_FOR_RETURN, now=now
            )
        if receipt.holdings.unallocated:
            (receipt,) = await self.allocating.park(
                driver,
                ledger=ledger,
                receipts=[receipt],
                reasons=[_TAKEN_FOR_RETURN],
                actor=request.actor,
                now=now,
            )
        return receipt, taken

    async def _allocate_again(
        self,
        driver: Driver,
        ledger: Ledger,
        receipt: LockedReceipt,
        taken: Sequence[Allocation],
        request: ReturnRequest,
        now: datetime,
    ) -> LockedReceipt:
        """What is left goes to whom it was taken from, the oldest first; the receipt as it is then."""
        for allocation in taken:
            units = min(allocation.amount, receipt.holdings.suspended)
            if units == 0:
                break
            want = Want(
                receipt=receipt,
                source=Place.SUSPENDED,
                target=allocation.target,
                amount=Money(receipt.amount.currency, units),
                at=now,
                actor=request.actor,
                evidence=Source.MANUAL,
                detail="what was not returned",
            )
            (result,) = await self.allocating.allocate(driver, ledger=ledger, wants=[want], now=now)
            if isinstance(result, Unfit):
                raise TargetUnfit(f"what is not returned finds no way back: {result.reason}", field="amount")
            if isinstance(result, Refused):
                raise result.error
            receipt = result.receipt
        return receipt

    async def _record_wave(
        self, driver: Driver, ledger: Ledger, wave: Sequence[tuple[int, Report]], now: datetime
    ) -> dict[int, State | Standing]:
        locked = await returning.lock_returns(
            driver, ledger_id=ledger.id, return_ids={report.return_id for _, report in wave}
        )
        receipts = await lock_receipts(
            driver, ledger_id=ledger.id, receipt_ids={one.receipt_id for one in locked.values()}
        )
        results: dict[int, State | Standing] = {}
        changes: list[Change] = []
        cases: dict[str, list[Case]] = {UNKNOWN_QUEUE: [], RACE_QUEUE: [], UNALLOCATED_QUEUE: []}
        for index, report in wave:
            subject = locked[report.return_id]
            results[index] = state = judge(report, subject)
            if isinstance(state, State):
                entry_id = await self._post(driver, ledger, report, subject, receipts[subject.receipt_id], now)
                changes.append(change_of(report, subject, state, entry_id))
            for name, reason in _concerns(report, subject, state):
                cases[name].append(Case(None, reason, inbox_id=report.inbox_id, receipt_id=subject.receipt_id))
        await returning.write_changes(driver, ledger_id=ledger.id, changes=changes, now=now)
        for name, ones in cases.items():
            await reviews.open_reviews(driver, ledger_id=ledger.id, queue=name, cases=ones, ids=self.ids, now=now)
        sent = [one.subject.id for one in changes if one.state is State.SUBMITTED]
        await self._enqueue(driver, ledger, queue.RETURN_SILENCE, sent, now, due_at=now + PATIENCE)
        await self._end(driver, ledger, [one for one in changes if one.entry_id is not None], now)
        await self._break_circuit(driver, ledger, [report for _, report in wave], locked, now)
        return results

    async def _end(self, driver: Driver, ledger: Ledger, ended: Sequence[Change], now: datetime) -> None:
        """Returns that came to their end are waited for no more, by nobody."""
        return_ids, receipt_ids = [one.subject.id for one in ended], [one.subject.receipt_id for one in ended]
        await queue.complete(driver, ledger_id=ledger.id, subject_ids=return_ids, now=now, subject=Subject.RETURN)
        await reviews.close_of_receipts(
            driver, ledger_id=ledger.id, queue=UNKNOWN_QUEUE, receipt_ids=receipt_ids, actor="daftari", now=now
        )

    async def _post(
        self, driver: Driver, ledger: Ledger, report: Report, subject: Return, receipt: LockedReceipt, now: datetime
    ) -> int | None:
        """The entry that ends a return; None where no money moves."""
        outcome = report.outcome
        if not isinstance(outcome, Returned | ReturnFailed | Rejected) or event_of(outcome) is Event.LOST:
            return None
        money = await self._money(driver, ledger, receipt)
        event, target = MoneyEvent.RETURN_FAILED, Place.SUSPENDED
        if isinstance(outcome, Returned):
            event, target = MoneyEvent.RETURNED, Place.RETURNED
            entry = gone_entry(
                money,
                subject.amount,
                event=event,
                source_place=Place.RETURNING,
                at=min(outcome.completed_at, now),
                source=Source.CALLBACK,
                charge=outcome.charge,
            )
        else:
            place, source = Place.RETURNING, Source.CALLBACK
            entry = waiting_entry(money, subject.amount, event=event, source_place=place, at=now, source=source)
        move = Move(
            receipt=receipt,
            event=event,
            source=Place.RETURNING,
            target=target,
            amount=subject.amount,
            entry=entry,
            actor=report.actor,
            detail=subject.reason,
        )
        return (await self._make(driver, ledger, move, now)).entry_id

    async def _make(self, driver: Driver, ledger: Ledger, move: Move, now: datetime) -> Made:
        (made,) = await self.allocating.bookkeeper.make(driver, ledger=ledger, moves=[move], now=now)
        if isinstance(made, Refused):
            raise made.error
        return made

    async def _money(self, driver: Driver, ledger: Ledger, receipt: LockedReceipt) -> ReceiptMoney:
        name = (receipt.provider, receipt.shortcode)
        found = await find_shortcodes(driver, ledger_id=ledger.id, names=[name])
        return ReceiptMoney(receipt.provider, receipt.receipt, found[name].accounts)

    async def _break_circuit(
        self, driver: Driver, ledger: Ledger, reports: Sequence[Report], locked: Mapping[int, Return], now: datetime
    ) -> None:
        refused = {
            locked[one.return_id].rail: f"the provider refuses our access: {one.outcome.code} {one.outcome.description}"
            for one in reports
            if isinstance(one.outcome, Rejected | ReturnFailed) and one.outcome.blame is Blame.ACCESS
        }
        for rail, reason in sorted(refused.items()):
            with suppress(RailNotFound):  # a ledger that pays nothing out over it has no switch for it
                await switches.stop_rail(
                    driver, ledger_id=ledger.id, rail=rail, reason=reason[:500], actor=BREAKER, ids=self.ids, now=now
                )


def _wanted(receipt: LockedReceipt, request: ReturnRequest) -> Money:
    held = receipt.holdings
    here = Money(receipt.amount.currency, held.unallocated + held.suspended + held.allocated)
    amount = request.amount or here
    if amount.currency != here.currency or not 0 < amount.minor_units <= here.minor_units:
        raise ReceiptShort(f"of this receipt {here} can still be returned", field="amount")
    return amount


def _concerns(report: Report, subject: Return, state: State | Standing) -> list[tuple[str, str]]:
    """The cases that an outcome opens: (queue, reason)."""
    if isinstance(report.outcome, ReturnFailed) and report.outcome.returned_before:
        return [(RACE_QUEUE, _RETURNED_BEFORE)]
    if state is Standing.CONFLICT:
        return [(RACE_QUEUE, f"a return that is {subject.state.value} is told to be {event_of(report.outcome).value}")]
    if state is State.UNKNOWN:
        return [(UNKNOWN_QUEUE, "whether its money went back to the payer is not known")]
    return [(UNALLOCATED_QUEUE, _FAILED)] if state is State.FAILED else []


def _waves(reports: Sequence[Report], asked: Mapping[int, Return]) -> list[list[tuple[int, Report]]]:
    """The n-th report about every receipt together."""
    waves: list[list[tuple[int, Report]]] = []
    seen: dict[int, int] = {}
    for index, report in enumerate(reports):
        receipt_id = asked[report.return_id].receipt_id
        depth = seen[receipt_id] = seen.get(receipt_id, -1) + 1
        if depth == len(waves):
            waves.append([])
        waves[depth].append((index, report))
    return waves
