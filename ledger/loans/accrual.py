"""What a loan earns with time: interest, its upfront fee, and penalties for what is overdue. Pure.

Each is a figure by a day, "before" that day: everything of the days until then. What accrues is the difference between
that and what has accrued, so that any way of dividing the days comes to the same, and days left out are made up for.
Figures are rounded down to the step until the last, when they are whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, pairwise

from ledger.loans.schedule import Instalment, Schedule
from ledger.loans.terms import BASIS, DailyPenalty, FixedPenalty, LoanTerms
from ledger.money import Money


@dataclass(frozen=True, slots=True)
class PrincipalRepaid:
    """What was paid back of the principal on one day, in minor units; negative where a repayment went
    back."""

    day: date
    minor_units: int


def interest_before(schedule: Schedule, day: date) -> Money:
    """Interest of all days before this one."""
    return Money(schedule.currency, sum(interest_by_instalment(schedule, day)))


def interest_by_instalment(schedule: Schedule, day: date) -> list[int]:
    """The same for each instalment, in minor units: whole from its nominal date on, none before its first day."""
    return [_share(one.interest, one.from_day, one.to_day, day, schedule.step) for one in schedule.instalments]


def interest_between(schedule: Schedule, *, from_day: date, to_day: date) -> Money:
    """Interest of the days from `from_day` (included) to `to_day` (not included)."""
    assert from_day <= to_day
    return interest_before(schedule, to_day) - interest_before(schedule, from_day)


def fee_to_earn(schedule: Schedule, *, fee: Money, deferred: Money, day: date) -> Money:
    """What an upfront fee has earned by the days before this one and the books still defer: it is earned evenly over
    the term. `deferred` is the balance of the loan's deferred fee; never less than zero."""
    earned = _share(fee.minor_units, schedule.starts_on, schedule.ends_on, day, schedule.step)
    return Money(fee.currency, max(0, deferred.minor_units - (fee.minor_units - earned)))


def penalty_before(terms: LoanTerms, schedule: Schedule, *, repaid: Sequence[PrincipalRepaid], day: date) -> Money:
    """Penalties of all days before this one, at most the cap. `repaid` is the whole history of the principal; what was
    paid back on a day is not overdue on it. A repayment booked for an earlier day lowers the figure."""
    match terms.penalty:
        case None:
            units = 0
        case FixedPenalty():
            units = terms.penalty.minor_units * _instalments_missed(terms, schedule, repaid, day)
        case DailyPenalty():
            spans = _overdue_spans(terms, schedule, repaid, day)
            units = terms.penalty.basis_points * sum(days * overdue for days, overdue in spans) // BASIS
    cap = terms.penalty.cap_basis_points * schedule.principal.minor_units // BASIS if terms.penalty else 0
    return Money(schedule.currency, min(units, cap) // terms.step * terms.step)


def penalty_to_charge(
    terms: LoanTerms, schedule: Schedule, *, repaid: Sequence[PrincipalRepaid], charged: Money, day: date
) -> Money:
    """What is to be charged now for the days before this one, beside what was charged so far; never less than zero."""
    due = penalty_before(terms, schedule, repaid=repaid, day=day)
    return Money(due.currency, max(0, due.minor_units - charged.minor_units))


def _share(whole: int, from_day: date, to_day: date, day: date, step: int) -> int:
    if day >= to_day:
        return whole
    elapsed = max(0, (day - from_day).days)
    return whole * elapsed // (to_day - from_day).days // step * step


def _first_late_day(terms: LoanTerms, instalment: Instalment) -> date:
    return instalment.due_on + timedelta(days=terms.grace_days + 1)


def _instalments_missed(terms: LoanTerms, schedule: Schedule, repaid: Sequence[PrincipalRepaid], day: date) -> int:
    owed = accumulate(one.principal for one in schedule.instalments)
    missed = 0
    for instalment, principal in zip(schedule.instalments, owed, strict=True):
        late = _first_late_day(terms, instalment)
        is_missed = late < day and _repaid_before(repaid, late) < principal
        missed += is_missed and instalment.principal > 0
    return missed


def _overdue_spans(
    terms: LoanTerms, schedule: Schedule, repaid: Sequence[PrincipalRepaid], day: date
) -> Iterator[tuple[int, int]]:
    """(days, overdue principal) of each run of days before `day` over which that stays the same."""
    late = [(_first_late_day(terms, one), one.principal) for one in schedule.instalments]
    changes = {first for first, _ in late} | {one.day for one in repaid}
    bounds = [*sorted(change for change in changes if change < day), day]
    for since, until in pairwise(bounds):
        owed = sum(principal for first, principal in late if first <= since)
        yield (until - since).days, max(0, owed - _repaid_before(repaid, until))


def _repaid_before(repaid: Sequence[PrincipalRepaid], day: date) -> int:
    return sum(one.minor_units for one in repaid if one.day < day)
