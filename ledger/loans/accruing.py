"""The work of days: what active loans earned by each day that is over, in sets. Days that were left out are made up
for, each in its own entries, with its own date.

Whoever changes what a loan is owed does the work of its days first, so that nothing is closed before it is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source
from ledger.journal.poster import Poster
from ledger.loans.accrual import PrincipalRepaid, fee_to_earn, interest_between, penalty_to_charge
from ledger.loans.announcing import take_steps
from ledger.loans.entries import Earned, day_entries
from ledger.loans.loan import Event, State, Stay, transition
from ledger.loans.reminding import WorkedDays, remind
from ledger.loans.schedule import day_of
from ledger.loans.writing import (
    Loan,
    Standing,
    Step,
    find_ledgers_to_work,
    lock_loans_to_work,
    read_repaid,
    read_standings,
)
from ledger.money import Money

ACTOR = "daftari.loans"
# How many days of one loan are made up for in one transaction.
DAYS_MAX = 92
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Worked:
    """A loan after the work of its days, and the entries of them."""

    loan: Loan
    entries: tuple[JournalEntry, ...]

    def step(self, entry_ids: Sequence[int]) -> Step:
        """What is told of it: the last of its entries, where there are any."""
        last = self.entries[-1].postings[0].money.minor_units if self.entries else None
        return Step(
            loan=self.loan,
            event=Event.ACCRUED,
            actor=ACTOR,
            entry_id=entry_ids[-1] if entry_ids else None,
            amount=last,
            detail=f"days before {self.loan.worked_before}, interest before {self.loan.accrued_before}",
        )


def work_of_days(
    loan: Loan,
    standing: Standing,
    repaid: Sequence[PrincipalRepaid],
    *,
    until: date,
    zone: ZoneInfo,
    now: datetime,
) -> Worked:
    """What an active loan earned by each day that is not worked, up to the days before `until`. Pure."""
    schedule, terms, made = loan.schedule, loan.product.terms, list[JournalEntry]()
    accrued, deferred = loan.accrued, standing.deferred_fee
    charged = Money(loan.net.currency, loan.penalties_charged)
    day = loan.worked
    while day < min(until, loan.worked + DAYS_MAX * _ONE_DAY):
        day += _ONE_DAY
        earned = Earned(
            interest_between(schedule, from_day=accrued, to_day=max(day, accrued)),
            fee_to_earn(schedule, fee=loan.fee, deferred=deferred, day=day),
            penalty_to_charge(terms, schedule, repaid=repaid, charged=charged, day=day),
        )
        accrued, deferred, charged = max(day, accrued), deferred - earned.fee, charged + earned.penalty
        made += day_entries(loan.money, earned, day=day, at=_end_of(day - _ONE_DAY, zone, now), source=Source.CLOSE)
    after = loan.moved(Stay(_ACCRUE), accrued_before=accrued, worked_before=day, penalties_charged=charged.minor_units)
    return Worked(after, tuple(made))


def accrual_until(loan: Loan, standing: Standing, *, day: date, zone: ZoneInfo, now: datetime) -> Worked:
    """Interest and fee up to the days before `day`, which may lie ahead: what an early settlement owes. Pure."""
    schedule = loan.schedule
    earned = Earned(
        interest_between(schedule, from_day=loan.accrued, to_day=max(day, loan.accrued)),
        fee_to_earn(schedule, fee=loan.fee, deferred=standing.deferred_fee, day=day),
        Money(loan.net.currency, 0),
    )
    made = day_entries(loan.money, earned, day=day, at=_end_of(day - _ONE_DAY, zone, now), source=Source.API)
    return Worked(loan.moved(Stay(_ACCRUE), accrued_before=max(day, loan.accrued)), tuple(made))


_VERDICT = transition(Event.ACCRUED, State.ACTIVE, of_another_payout=False)
assert isinstance(_VERDICT, Stay), "what a loan earns does not move it"
_ACCRUE = _VERDICT.effect


def _end_of(day: date, zone: ZoneInfo, now: datetime) -> datetime:
    """The last second of a day, or now where it is not over."""
    return min(datetime.combine(day, time(23, 59, 59), tzinfo=zone), now)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayWorker:
    """Does the work of days, with what never changes in a process."""

    poster: Poster

    async def find_ledgers(self, driver: Driver, *, now: datetime) -> set[int]:
        """The ledgers in which there is something to do."""
        return await find_ledgers_to_work(driver, now=now)

    async def work(self, driver: Driver, *, ledger: Ledger, now: datetime, limit: int) -> int:
        """The days that are over, of some loans; of how many. Those that others work on are left to them."""
        today = day_of(now, ledger.zone)
        loans = await lock_loans_to_work(driver, ledger_id=ledger.id, until=today, limit=limit)
        await self.catch_up(driver, ledger=ledger, loans={loan.id: loan for loan in loans}, until={}, now=now)
        return len(loans)

    async def catch_up(
        self, driver: Driver, *, ledger: Ledger, loans: Mapping[int, Loan], until: Mapping[int, date], now: datetime
    ) -> dict[int, Loan]:
        """The loans, locked by the caller, after the work of their days before `until` (by loan; today where it does
        not say)."""
        today = day_of(now, ledger.zone)
        behind = [
            loan
            for loan in loans.values()
            if loan.state is State.ACTIVE and loan.worked < min(until.get(loan.id, today), today)
        ]
        if not behind:
            return dict(loans)
        standings = await read_standings(driver, ledger_id=ledger.id, loans=behind)
        repaid = await read_repaid(driver, ledger=ledger, loans=behind)
        worked = [
            work_of_days(
                loan,
                standings[loan.id],
                repaid[loan.id],
                until=min(until.get(loan.id, today), today),
                zone=ledger.zone,
                now=now,
            )
            for loan in behind
        ]
        await self.book(driver, ledger=ledger, worked=worked, now=now)
        done = [WorkedDays(after.loan, before.worked) for before, after in zip(behind, worked, strict=True)]
        await remind(driver, ledger=ledger, worked=done, today=today, ids=self.poster.ids, now=now)
        return dict(loans) | {one.loan.id: one.loan for one in worked}

    async def book(self, driver: Driver, *, ledger: Ledger, worked: Sequence[Worked], now: datetime) -> None:
        """Posts the entries of all and writes the loans down."""
        requests = [PostRequest(entry, ACTOR) for one in worked for entry in one.entries]
        posted = iter(await self.poster.post(driver, ledger=ledger, requests=requests, now=now))
        steps = [one.step([next(posted) for _ in one.entries]) for one in worked]
        await take_steps(driver, ledger_id=ledger.id, steps=steps, ids=self.poster.ids, now=now)
