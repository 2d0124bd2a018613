"""Loans as the target of receipts: a payment is divided by the loan's waterfall, a recovery by what is pursued, and the
loan moves on. What was paid before the loan was given up and goes back is lost anew."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.collections.allocation import Claim, Share, Taken, Unfit
from ledger.collections.writing import find_lines
from ledger.database import Driver
from ledger.ids import IdSource
from ledger.journal.books import Ledger
from ledger.journal.entry import Posting, Side
from ledger.loans.accruing import DayWorker
from ledger.loans.announcing import take_steps
from ledger.loans.dues import sum_parts
from ledger.loans.loan import ENDED_STATES, Event, Move, State, Stay, transition
from ledger.loans.losing import lose_again
from ledger.loans.repaying import event_of, parts_of, take
from ledger.loans.schedule import day_of
from ledger.loans.writing import Loan, Step, lock_loans, read_loans, read_standings
from ledger.outbox.collecting import Received, Refusal

ACTOR = "daftari.allocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanAllocator:
    """See `ledger.collections.allocation.Allocator`."""

    days: DayWorker

    async def lock(self, driver: Driver, ledger: Ledger, target_ids: Collection[str]) -> None:
        """Locks the loans."""
        await lock_loans(driver, ledger_id=ledger.id, loan_ids=map(int, target_ids))

    async def share(
        self, driver: Driver, ledger: Ledger, claims: Sequence[Claim], *, now: datetime
    ) -> list[Share | Unfit]:
        """Claims of one loan are judged one after another, each by what the one before it left."""
        loans = await lock_loans(driver, ledger_id=ledger.id, loan_ids=[int(one.target_id) for one in claims])
        paid_on = {int(one.target_id): day_of(one.paid_at, ledger.zone) for one in _by_time(claims)}
        loans = await self.days.catch_up(driver, ledger=ledger, loans=loans, until=paid_on, now=now)
        standings = await read_standings(driver, ledger_id=ledger.id, loans=list(loans.values()))
        shares: list[Share | Unfit] = []
        for claim in claims:
            loan = loans.get(int(claim.target_id))
            if loan is None:
                shares.append(Unfit("there is no such loan"))
                continue
            taken = take(loan, standings[loan.id], claim.amount, today=day_of(claim.paid_at, ledger.zone))
            if isinstance(taken, str):
                shares.append(Unfit(taken))
                continue
            if isinstance(taken.verdict, Move):
                loans[loan.id] = replace(loan, state=taken.verdict.target)
            standings[loan.id] = taken.standing
            shares.append(Share(taken.lines))
        return shares

    async def allocated(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """Each entry is an event of its loan; the one that left nothing open closed it."""
        loans = await lock_loans(driver, ledger_id=ledger.id, loan_ids=[int(one.claim.target_id) for one in taken])
        standings = await read_standings(driver, ledger_id=ledger.id, loans=list(loans.values()))
        lines = await find_lines(driver, ledger_id=ledger.id, entry_ids=[one.entry_id for one in taken])
        steps: dict[int, list[Step]] = {}
        for loan in loans.values():
            own = [one for one in taken if int(one.claim.target_id) == loan.id]
            paid = [parts_of(loan, lines[one.entry_id], Side.CREDIT) for one in own]
            current = loan
            for index, one in enumerate(own):
                # What was open after this one is what is open now and what those after it paid.
                left = sum_parts(loan.net.currency, [standings[loan.id].outstanding, *paid[index + 1 :]])
                step = replace(_paid(current, event_of(current, left), one), outstanding=left.total)
                current = step.loan
                steps.setdefault(loan.id, []).append(step)
        await _write(driver, ledger, steps, self.days.poster.ids, now)

    async def undone(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """A repayment went back: what it had paid is owed as before, from the dates of before; of a loan that was given
        up meanwhile it is lost too."""
        loans = await lock_loans(driver, ledger_id=ledger.id, loan_ids=[int(one.claim.target_id) for one in taken])
        lines = await find_lines(driver, ledger_id=ledger.id, entry_ids=[one.entry_id for one in taken])
        steps: dict[int, list[Step]] = {}
        for one in taken:
            loan = loans[int(one.claim.target_id)]
            step = _returned(loan, lines[one.entry_id], one)
            loans[loan.id] = step.loan
            steps.setdefault(loan.id, []).append(step)
        await _write(driver, ledger, steps, self.days.poster.ids, now)
        for loan in (one for one in loans.values() if one.state is State.WRITTEN_OFF):  # nearly always none
            lost = await lose_again(driver, ledger=ledger, loan=loan, actor=ACTOR, poster=self.days.poster, now=now)
            await take_steps(driver, ledger_id=ledger.id, steps=lost, ids=self.days.poster.ids, now=now)


async def unwanted_by_loan(
    driver: Driver, ledger_id: int, loan_id: int, asked: Received, _now: datetime
) -> Refusal | None:
    """A loan wants nothing more once it ended and nothing is pursued; nor what is in another currency."""
    loan = (await read_loans(driver, ledger_id=ledger_id, loan_ids=[loan_id])).get(loan_id)
    if loan is None or asked.amount.currency != loan.net.currency:
        return Refusal.ACCOUNT
    if loan.state not in ENDED_STATES:
        return None
    standing = (await read_standings(driver, ledger_id=ledger_id, loans=[loan]))[loan_id]
    return None if standing.written_off.minor_units else Refusal.ACCOUNT


def _by_time(claims: Iterable[Claim]) -> list[Claim]:
    """The latest of each loan last."""
    return sorted(claims, key=lambda claim: claim.paid_at)


def _paid(loan: Loan, event: Event, taken: Taken) -> Step:
    verdict = transition(event, loan.state, of_another_payout=False)
    assert isinstance(verdict, Move | Stay), verdict
    return _step(loan.moved(verdict), event, taken)


def _returned(loan: Loan, lines: Sequence[Posting], taken: Taken) -> Step:
    paid_due = parts_of(loan, lines, Side.DEBIT).total.minor_units
    event = Event.REPAYMENT_RETURNED if paid_due else Event.OVERPAYMENT_RETURNED
    verdict = transition(event, loan.state, of_another_payout=False)
    assert isinstance(verdict, Move | Stay), verdict
    return _step(loan.moved(verdict), event, taken)


def _step(loan: Loan, event: Event, taken: Taken) -> Step:
    return Step(
        loan=loan,
        event=event,
        actor=ACTOR,
        entry_id=taken.entry_id,
        amount=taken.claim.amount.minor_units,
        receipt_id=taken.claim.receipt_id,
    )


async def _write(
    driver: Driver, ledger: Ledger, steps: Mapping[int, Sequence[Step]], ids: IdSource, now: datetime
) -> None:
    """The n-th step of every loan together: as many statements as the busiest loan has steps, nearly always one."""
    for depth in range(max((len(own) for own in steps.values()), default=0)):
        wave = [own[depth] for own in steps.values() if depth < len(own)]
        await take_steps(driver, ledger_id=ledger.id, steps=wave, ids=ids, now=now)
