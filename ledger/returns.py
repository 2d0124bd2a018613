"""The door for money that goes back to its payer: asking for a return, recording what became of it, and what a provider
took back unasked.

A return reserves its money first, so that no two together return more than came in. What the provider took back is gone
whatever the books think of it: it is booked once, under the provider's receipt where that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.collections import returning
from ledger.collections.allocating import Allocating
from ledger.collections.moving import Move
from ledger.collections.receipt import Event as MoneyEvent
from ledger.collections.receipt import Place, gone_entry, waiting_entry
from ledger.collections.refusals import ReturnNotOffered
from ledger.collections.return_asking import ReturnRequest, Reversed, TakenBack
from ledger.collections.return_outcome import (
    RACE_QUEUE,
    UNALLOCATED_QUEUE,
    UNKNOWN_QUEUE,
    Report,
    change_of,
    concerns_of,
    event_of,
    judge,
    waves_of,
)
from ledger.collections.returning import Change, Event, Return, Standing, State
from ledger.collections.withdrawing import Withdrawal, Withdrawing, Withdrawn
from ledger.collections.writing import LockedReceipt, lock_receipts
from ledger.database import Driver
from ledger.errors import RailNotFound, ReceiptNotFound, ReceiptShort
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

RACING_CONSTRAINTS = RECEIVING_RACES | {
    "returns_pkey",
    "instructions_pkey",
    "rail_stops_pkey",
    "returns_have_a_receipt_each",
}
BREAKER = "daftari.breaker"
# A result that has not come by then is called unknown, and asked about so much later.
PATIENCE, QUERY_AFTER = timedelta(minutes=15), timedelta(minutes=1)
_REST = "a part of it was not returned"
_TAKEN = "a status query says that it was reversed"
_WHOSE = (
    "a status query says that it was reversed, while a return of it is under way: whose reversal it was is not known"
)
_OWED = "the provider took back what its owner had spent; owed are {}"


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
        receipt, stored = await self._lock(driver, ledger, request.receipt_id, request.key)
        if stored is not None:
            return await self._read(driver, ledger, stored), True
        if receipt.provider not in self.rails:
            raise ReturnNotOffered(f"{receipt.provider} returns nothing by itself", field="receipt_id")
        wanted = Withdrawal(
            receipt=receipt,
            amount=_wanted(receipt, request.amount),
            event=MoneyEvent.RETURN_RESERVED,
            at=now,
            source=Source.MANUAL,
            actor=request.actor,
            detail=request.reason,
        )
        return_id = await self._withdraw(driver, ledger, wanted, Event.REQUESTED, None, now)
        await self._enqueue(driver, ledger, queue.RETURN_SUBMIT, [return_id], now, due_at=now)
        await store_key(driver, ledger_id=ledger.id, claim=request.key, result_id=return_id, now=now)
        return await self._read(driver, ledger, return_id), False

    async def take_back(
        self, driver: Driver, *, ledger: Ledger, taken: TakenBack, now: datetime
    ) -> tuple[Return, bool]:
        """Books what the provider took back, as a return that begins RETURNED; and whether it was booked before. What
        its owner has spent of it the owner owes. Raises ReceiptNotFound, IdempotencyKeyReused, and ReceiptShort for
        more than is here: what is on its way back is for its own return to tell."""
        receipt, stored = await self._lock(driver, ledger, taken.receipt_id, taken.key)
        new_key = taken.key if stored is None else None
        if stored is None and taken.return_receipt:
            known = await returning.find_by_receipts(
                driver, ledger_id=ledger.id, return_receipts=[taken.return_receipt]
            )
            stored = known.get((receipt.provider, taken.return_receipt))
        if stored is not None:
            found = await self._read(driver, ledger, stored)
            if found.receipt_id != receipt.id or taken.amount not in (None, found.amount):
                raise ReceiptShort("that receipt of the provider's is in the books for other money", field="amount")
            if new_key is not None:
                await store_key(driver, ledger_id=ledger.id, claim=new_key, result_id=found.id, now=now)
            return found, True
        wanted = Withdrawal(
            receipt=receipt,
            amount=_wanted(receipt, taken.amount),
            event=MoneyEvent.TAKEN_BACK,
            at=min(taken.completed_at, now),
            source=taken.source,
            actor=taken.actor,
            detail=taken.reason,
        )
        return_receipt = taken.return_receipt or None
        return_id = await self._withdraw(driver, ledger, wanted, Event.TAKEN_BACK, return_receipt, now)
        if new_key is not None:
            await store_key(driver, ledger_id=ledger.id, claim=new_key, result_id=return_id, now=now)
        return await self._read(driver, ledger, return_id), False

    async def check(self, driver: Driver, *, ledger: Ledger, receipt_id: int, now: datetime) -> None:
        """Has the provider asked what became of a receipt. Raises ReceiptNotFound, ReturnNotOffered."""
        receipt, _ = await self._lock(driver, ledger, receipt_id, None)
        if receipt.provider not in self.rails:
            raise ReturnNotOffered(f"{receipt.provider} cannot be asked what it took back", field="receipt_id")
        await self._enqueue(driver, ledger, queue.RECEIPT_QUERY, [receipt_id], now, due_at=now)

    async def record_reversed(
        self, driver: Driver, *, ledger: Ledger, told: Sequence[Reversed], now: datetime
    ) -> list[str]:
        """Books as taken back all that is still here of receipts that the provider says were reversed; a word for each.
        Where a return is under way, it may be that which is told: a person decides."""
        locked = await lock_receipts(driver, ledger_id=ledger.id, receipt_ids={one.receipt_id for one in told})
        whose = {one.id for one in locked.values() if one.holdings.returning}
        gone = {one.id for one in locked.values() if not _here(one).minor_units} - whose
        cases = [Case(None, _WHOSE, one.inbox_id, receipt_id=one.receipt_id) for one in told if one.receipt_id in whose]
        await reviews.open_reviews(driver, ledger_id=ledger.id, queue=RACE_QUEUE, cases=cases, ids=self.ids, now=now)
        for receipt_id in sorted(locked.keys() - whose - gone):  # of a batch of messages, nearly always one
            (actor,) = {one.actor for one in told if one.receipt_id == receipt_id}
            taken = TakenBack(
                receipt_id=receipt_id,
                amount=None,
                return_receipt="",
                completed_at=now,
                reason=_TAKEN,
                actor=actor,
                source=Source.QUERY,
            )
            await self.take_back(driver, ledger=ledger, taken=taken, now=now)
        words = dict.fromkeys(whose, Standing.CONFLICT.value) | dict.fromkeys(gone, Standing.REPEATED.value)
        return [words.get(one.receipt_id, "applied") for one in told]

    async def record(
        self, driver: Driver, *, ledger: Ledger, reports: Sequence[Report], now: datetime
    ) -> list[State | Standing]:
        """Records outcomes in order, inside the caller's transaction: the state each led to, or why it led to none.
        Several about one receipt are recorded one after another, those about different ones as a set."""
        asked = await returning.read_returns(driver, ledger_id=ledger.id, return_ids={one.return_id for one in reports})
        results: dict[int, State | Standing] = {}
        for wave in waves_of(reports, asked):
            results |= await self._record_wave(driver, ledger, wave, now)
        return [results[index] for index in range(len(reports))]

    async def _read(self, driver: Driver, ledger: Ledger, return_id: int) -> Return:
        return (await returning.read_returns(driver, ledger_id=ledger.id, return_ids=[return_id]))[return_id]

    async def _lock(
        self, driver: Driver, ledger: Ledger, receipt_id: int, key: KeyClaim | None
    ) -> tuple[LockedReceipt, int | None]:
        """The receipt, and what this request had come to before."""
        found = await lock_receipts(driver, ledger_id=ledger.id, receipt_ids=[receipt_id])
        stored = None
        if key is not None:
            stored = (await find_keys(driver, ledger_id=ledger.id, claims=[key])).get(key.identity)
            if stored is not None and not stored.matches(key):
                raise key_reused(key)
        if not found:
            raise ReceiptNotFound("no such receipt in this ledger", field="receipt_id")
        return found[receipt_id], stored.result_id if stored is not None else None

    async def _enqueue(
        self, driver: Driver, ledger: Ledger, kind: str, return_ids: Sequence[int], now: datetime, *, due_at: datetime
    ) -> None:
        await queue.renew(
            driver, ledger_id=ledger.id, kind=kind, subject_ids=return_ids, ids=self.ids, now=now, due_at=due_at
        )

    async def _withdraw(
        self,
        driver: Driver,
        ledger: Ledger,
        wanted: Withdrawal,
        event: Event,
        return_receipt: str | None,
        now: datetime,
    ) -> int:
        """Takes the money out and writes the return that this begins; its id."""
        withdrawn = await Withdrawing(self.allocating).withdraw(driver, ledger=ledger, wanted=wanted, now=now)
        return_id = self.ids.next(now)
        await returning.add_return(
            driver,
            ledger_id=ledger.id,
            return_id=return_id,
            receipt_id=wanted.receipt.id,
            place=(wanted.receipt.provider, wanted.receipt.shortcode),
            amount=wanted.amount,
            reason=wanted.detail,
            entry_id=withdrawn.entry_id,
            actor=wanted.actor,
            now=now,
            event=event,
            return_receipt=return_receipt,
        )
        await self._look_after(driver, ledger, withdrawn, wanted.actor, now)
        return return_id

    async def _look_after(
        self, driver: Driver, ledger: Ledger, withdrawn: Withdrawn, actor: str, now: datetime
    ) -> None:
        """One case for what of the receipt waits for a person now, none where nothing does; and one for what an owner
        owes."""
        left = withdrawn.receipt
        await reviews.close_of_receipts(
            driver, ledger_id=ledger.id, queue=UNALLOCATED_QUEUE, receipt_ids=[left.id], actor=actor, now=now
        )
        rest = [Case(None, _REST, receipt_id=left.id)] if left.holdings.suspended else []
        owed = ", ".join(f"{amount} by {path}" for path, amount in withdrawn.owed.items())
        owing = [Case(None, _OWED.format(owed)[:500], receipt_id=left.id)] if owed else []
        for name, cases in ((UNALLOCATED_QUEUE, rest), (RACE_QUEUE, owing)):
            await reviews.open_reviews(driver, ledger_id=ledger.id, queue=name, cases=cases, ids=self.ids, now=now)

    async def _record_wave(
        self, driver: Driver, ledger: Ledger, wave: Sequence[tuple[int, Report]], now: datetime
    ) -> dict[int, State | Standing]:
        locked = await returning.lock_returns(
            driver, ledger_id=ledger.id, return_ids={report.return_id for _, report in wave}
        )
        receipts = await lock_receipts(
            driver, ledger_id=ledger.id, receipt_ids={one.receipt_id for one in locked.values()}
        )
        told = [one.outcome.receipt for _, one in wave if isinstance(one.outcome, Returned)]
        known = await returning.find_by_receipts(driver, ledger_id=ledger.id, return_receipts=told)
        results: dict[int, State | Standing] = {}
        changes: list[Change] = []
        cases: dict[str, list[Case]] = {UNKNOWN_QUEUE: [], RACE_QUEUE: [], UNALLOCATED_QUEUE: []}
        for index, report in wave:
            subject = locked[report.return_id]
            receipt = receipts[subject.receipt_id]
            results[index] = state = _judged(report, subject, receipt, known)
            if isinstance(state, State):
                entry_id = await self._post(driver, ledger, report, subject, receipt, now)
                changes.append(change_of(report, subject, state, entry_id))
            for name, reason in concerns_of(report, subject, state):
                # What waits in suspense is the receipt's, whatever becomes of the return.
                about = None if name == UNALLOCATED_QUEUE else subject.id
                case = Case(None, reason, report.inbox_id, receipt_id=subject.receipt_id, return_id=about)
                cases[name].append(case)
        await returning.write_changes(driver, ledger_id=ledger.id, changes=changes, now=now)
        for name, ones in cases.items():
            await reviews.open_reviews(driver, ledger_id=ledger.id, queue=name, cases=ones, ids=self.ids, now=now)
        await self._follow_up(driver, ledger, changes, now)
        answered = {report.return_id for _, report in wave if report.source is not Source.MANUAL}
        await self._close_answered(driver, ledger, [one for one in changes if one.subject.id in answered], now)
        await self._break_circuit(driver, ledger, [report for _, report in wave], locked, now)
        return results

    async def _follow_up(self, driver: Driver, ledger: Ledger, changes: Sequence[Change], now: datetime) -> None:
        """What was taken in is waited for, what is unknown is asked about where there is something to ask by; returns
        that came to their end are waited for no more, by nobody."""
        sent = [one.subject.id for one in changes if one.state is State.SUBMITTED]
        lost = [one.subject.id for one in changes if one.state is State.UNKNOWN and one.subject.originator is not None]
        await self._enqueue(driver, ledger, queue.RETURN_SILENCE, sent, now, due_at=now + PATIENCE)
        await self._enqueue(driver, ledger, queue.RETURN_QUERY, lost, now, due_at=now + QUERY_AFTER)
        ended = [one.subject.id for one in changes if one.entry_id is not None]
        await queue.complete(driver, ledger_id=ledger.id, subject_ids=ended, now=now, subject=Subject.RETURN)

    async def _close_answered(self, driver: Driver, ledger: Ledger, changes: Sequence[Change], now: datetime) -> None:
        """The cases of returns whose end was told after all; what a person decides closes its own."""
        ended = [one.subject.id for one in changes if one.entry_id is not None]
        await reviews.close_of_returns(
            driver,
            ledger_id=ledger.id,
            queues=(UNKNOWN_QUEUE, RACE_QUEUE),
            return_ids=ended,
            actor="daftari",
            now=now,
        )

    async def _post(
        self, driver: Driver, ledger: Ledger, report: Report, subject: Return, receipt: LockedReceipt, now: datetime
    ) -> int | None:
        """The entry that ends a return; None where no money moves."""
        outcome = report.outcome
        if not isinstance(outcome, Returned | ReturnFailed | Rejected) or event_of(outcome) is Event.LOST:
            return None
        if isinstance(outcome, Returned) and subject.state is State.FAILED:
            return await self._post_too_late(driver, ledger, report, outcome, subject, receipt, now)
        money = await Withdrawing(self.allocating).money(driver, ledger, receipt)
        event, place, source = MoneyEvent.RETURN_FAILED, Place.RETURNING, report.source
        if isinstance(outcome, Returned):
            event, at = MoneyEvent.RETURNED, min(outcome.completed_at, now)
            entry = gone_entry(
                money, subject.amount, event=event, source_place=place, at=at, source=source, charge=outcome.charge
            )
        else:
            entry = waiting_entry(money, subject.amount, event=event, source_place=place, at=now, source=source)
        move = Move(
            receipt=receipt,
            event=event,
            source=place,
            target=Place.RETURNED if event is MoneyEvent.RETURNED else Place.SUSPENDED,
            amount=subject.amount,
            entry=entry,
            actor=report.actor,
            detail=subject.reason,
        )
        (made,) = await self.allocating.bookkeeper.make(driver, ledger=ledger, moves=[move], now=now)
        if isinstance(made, Refused):
            raise made.error
        return made.entry_id

    async def _post_too_late(
        self,
        driver: Driver,
        ledger: Ledger,
        report: Report,
        outcome: Returned,
        subject: Return,
        receipt: LockedReceipt,
        now: datetime,
    ) -> int:
        """It was believed to have failed: what it took is gone from wherever its money is by now."""
        wanted = Withdrawal(
            receipt=receipt,
            amount=subject.amount,
            event=MoneyEvent.TAKEN_BACK,
            at=min(outcome.completed_at, now),
            source=report.source,
            actor=report.actor,
            detail=subject.reason,
            charge=outcome.charge,
        )
        withdrawn = await Withdrawing(self.allocating).withdraw(driver, ledger=ledger, wanted=wanted, now=now)
        await self._look_after(driver, ledger, withdrawn, report.actor, now)
        return withdrawn.entry_id

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


def _here(receipt: LockedReceipt) -> Money:
    held = receipt.holdings
    return Money(receipt.amount.currency, held.unallocated + held.suspended + held.allocated)


def _wanted(receipt: LockedReceipt, amount: Money | None) -> Money:
    here = _here(receipt)
    wanted = amount or here
    if wanted.currency != here.currency or not 0 < wanted.minor_units <= here.minor_units:
        raise ReceiptShort(f"of this receipt {here} can still be returned", field="amount")
    return wanted


def _judged(
    report: Report, subject: Return, receipt: LockedReceipt, known: Mapping[tuple[str, str], int]
) -> State | Standing:
    """A success counts under a receipt that is no other return's; after a failure, where its money is still here: else
    something else has it, a contradiction."""
    state, outcome = judge(report, subject), report.outcome
    if isinstance(outcome, Returned) and known.get((subject.rail, outcome.receipt), subject.id) != subject.id:
        return Standing.CONFLICT
    too_late = subject.state is State.FAILED and state is State.RETURNED
    return Standing.CONFLICT if too_late and _here(receipt).minor_units < subject.amount.minor_units else state
