"""Borrowers are told the day before what they are to pay by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from ledger.database import Driver
from ledger.ids import IdSource
from ledger.journal.books import Ledger
from ledger.loans.accrual import interest_between
from ledger.loans.dues import Parts, due_by, dues_of, sum_parts
from ledger.loans.loan import State
from ledger.loans.schedule import Instalment, Schedule
from ledger.loans.writing import Loan, read_standings
from ledger.sms import announcing as texting
from ledger.sms.announcing import LoanNews
from ledger.sms.templates import Told

# Days are worked when they are over, shortly after midnight; no phone is to ring then.
_MORNING = time(9)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WorkedDays:
    """An active loan after the work of its days, which had been done for those before `since`."""

    loan: Loan
    since: date


def coming(schedule: Schedule, *, since: date, until: date, today: date) -> tuple[Instalment, ...]:
    """The instalments whose eve has come since the work for the days before `since`, now that it is done for those
    before `until`: none that is past, and of those that are due on one day the last. Pure."""
    first, last = max(since + 2 * _ONE_DAY, today), until + _ONE_DAY
    return tuple({one.due_on: one for one in schedule.instalments if first <= one.due_on <= last}.values())


def owed_by(loan: Loan, outstanding: Parts, instalment: Instalment) -> int:
    """What is to be paid by the end of its due day, in minor units: all that is open, and interest that it will have by
    then. Pure."""
    until = max(loan.accrued, instalment.to_day)
    to_come = interest_between(loan.schedule, from_day=loan.accrued, to_day=until).minor_units
    then = replace(outstanding, interest=outstanding.interest + to_come)
    dues = dues_of(loan.schedule, outstanding=then, accrued_before=until)
    return sum_parts(then.currency, [one.parts for one in due_by(dues, instalment.due_on)]).total.minor_units


async def remind(
    driver: Driver, *, ledger: Ledger, worked: Sequence[WorkedDays], today: date, ids: IdSource, now: datetime
) -> None:
    """Queues a text for each instalment whose eve has come and of which anything is open. The caller holds the loans'
    locks."""
    due = [
        (one.loan, instalment)
        for one in worked
        if one.loan.state is State.ACTIVE
        for instalment in coming(one.loan.schedule, since=one.since, until=one.loan.worked, today=today)
    ]
    if not due or not await texting.listens(driver, ledger_id=ledger.id, told=Told.LOAN_DUE):
        return
    standings = await read_standings(driver, ledger_id=ledger.id, loans=[loan for loan, _ in due])
    news = [
        LoanNews(told=Told.LOAN_DUE, loan_id=loan.id, amount=amount, due_on=instalment.due_on)
        for loan, instalment in due
        if (amount := owed_by(loan, standings[loan.id].outstanding, instalment))
    ]
    morning = max(now, datetime.combine(today, _MORNING, tzinfo=ledger.zone))
    await texting.announce_loans(driver, ledger_id=ledger.id, news=news, ids=ids, now=now, due_at=morning)
