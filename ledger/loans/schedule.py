"""The schedule of a loan: when each instalment is due and what principal and interest it carries. Pure.

Everything is computed exactly, in whole numbers over one denominator, and rounded once, to the step of the terms: the
principal parts sum to the principal, the interest parts to the total interest, and no instalment takes what the others
left over. Interest is charged between the nominal dates; a due date that is no business day moves forward and changes
no amount.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TypeAlias
from zoneinfo import ZoneInfo

from ledger.errors import LoanTermsInvalid
from ledger.loans.terms import BASIS, DayCount, InterestMethod, LoanTerms, RatePeriod, Unit
from ledger.money import Money

ROLLED_DAYS_MAX = 31

# Whether a day is a business day, as banks and agents keep them where the ledger is.
Calendar: TypeAlias = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Instalment:
    """One instalment: interest runs from `from_day` (included) to `to_day` (not included), the nominal date; it is to
    be paid by the end of `due_on`. Amounts are minor units, zero or more."""

    number: int
    from_day: date
    to_day: date
    due_on: date
    principal: int
    interest: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """The instalments of one loan in order of their dates; `step` is what amounts are multiples of."""

    currency: str
    step: int
    instalments: tuple[Instalment, ...]

    @property
    def starts_on(self) -> date:
        """The first day that bears interest."""
        return self.instalments[0].from_day

    @property
    def ends_on(self) -> date:
        """The nominal date of the last instalment: the first day that bears none."""
        return self.instalments[-1].to_day

    @property
    def principal(self) -> Money:
        """What is lent."""
        return Money(self.currency, sum(one.principal for one in self.instalments))

    @property
    def interest(self) -> Money:
        """What is charged for it over the whole term."""
        return Money(self.currency, sum(one.interest for one in self.instalments))


@dataclass(frozen=True, slots=True)
class _Shares:
    """Principal and interest of each instalment for 1 lent, exactly: numerators over one denominator."""

    principal: list[int]
    interest: list[int]
    denominator: int


def every_day(day: date) -> bool:
    """The calendar in which each day is a business day."""
    return day is not None


def business_days(*, weekend: frozenset[int], holidays: frozenset[date]) -> Calendar:
    """The calendar without these weekdays (Monday is 0) and dates."""
    return lambda day: day.weekday() not in weekend and day not in holidays


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The date that a moment (aware) falls on in the ledger's zone: a loan starts on that of its receipt."""
    assert moment.tzinfo is not None, "a moment must be aware"
    return moment.astimezone(zone).date()


def make_schedule(terms: LoanTerms, *, principal: Money, starts_on: date, is_business_day: Calendar) -> Schedule:
    """The schedule of a loan of that principal (gross: an added fee is in it), paid out on `starts_on`. Raises
    LoanTermsInvalid where an instalment would not cover its interest or no business day follows a due date,
    AmountInvalid where the interest is more than the books carry."""
    assert principal.currency == terms.currency
    assert principal.minor_units % terms.step == 0
    days = nominal_dates(terms, starts_on)
    rates = [_rate(terms, start, end) for start, end in pairwise(days)]
    shares = _flat(terms, rates) if terms.method is InterestMethod.FLAT else _reducing(terms, rates)
    principals, interests = _rounded(terms, shares, principal.minor_units)
    instalments = [
        Instalment(number, days[number - 1], days[number], _rolled(days[number], is_business_day), share, interest)
        for number, (share, interest) in enumerate(zip(principals, interests, strict=True), start=1)
    ]
    schedule = Schedule(terms.currency, terms.step, tuple(instalments))
    assert schedule.principal == principal
    return schedule


def nominal_dates(terms: LoanTerms, starts_on: date) -> list[date]:
    """The start and the nominal date of each instalment. Months keep the day of the start: 31 January, 28 February,
    31 March."""
    count, unit = terms.every.count, terms.every.unit
    if unit is Unit.MONTH:
        return [_months_after(starts_on, number * count) for number in range(terms.instalments + 1)]
    days = count * (7 if unit is Unit.WEEK else 1)
    return [starts_on + timedelta(days=number * days) for number in range(terms.instalments + 1)]


def _months_after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _rolled(day: date, is_business_day: Calendar) -> date:
    for later in range(ROLLED_DAYS_MAX):
        rolled = day + timedelta(days=later)
        if is_business_day(rolled):
            return rolled
    raise LoanTermsInvalid(f"no business day within {ROLLED_DAYS_MAX} days of a due date", field="calendar")


def _rate(terms: LoanTerms, start: date, end: date) -> int:
    """The interest on _rate_denominator() over one period."""
    basis_points, year = terms.rate.basis_points, _year_days(terms)
    if terms.rate.per is RatePeriod.INSTALMENT:
        return basis_points * year
    if terms.day_count is DayCount.THIRTY_360:
        return basis_points * {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30}[terms.every.unit] * terms.every.count
    return basis_points * (end - start).days


def _rate_denominator(terms: LoanTerms) -> int:
    return BASIS * _year_days(terms)


def _year_days(terms: LoanTerms) -> int:
    return 365 if terms.day_count is DayCount.ACTUAL_365 else 360


def _flat(terms: LoanTerms, rates: Sequence[int]) -> _Shares:
    repaying, whole = terms.instalments - terms.interest_only, _rate_denominator(terms)
    principal = [0] * terms.interest_only + [whole] * repaying
    return _Shares(principal, [rate * repaying for rate in rates], whole * repaying)


def _reducing(terms: LoanTerms, rates: Sequence[int]) -> _Shares:
    """The equal instalment pays 1 back when each is discounted by the rates of all periods before it."""
    idle, whole = terms.interest_only, _rate_denominator(terms)
    # What the instalments still to come are worth after each period, of which the last is worth nothing, is the
    # balance then. Over `growth`, the product of the growth in those periods, it is a whole number.
    worth, growth, worths = 0, 1, [0]
    for rate in reversed(rates[idle:]):
        worth = whole * (growth + worth)
        growth *= whole + rate
        worths.append(worth)
    grown, balances = 1, []
    for rate, worth in zip(rates[idle:], reversed(worths[1:]), strict=True):
        balances.append(worth * grown)
        grown *= whole + rate
    balances.append(0)
    one = worths[-1]  # of the loan itself
    assert balances[0] == one
    principal = [0] * idle + [(before - after) * whole for before, after in pairwise(balances)]
    if min(principal) < 0:
        raise LoanTermsInvalid(
            "an equal instalment would not cover the interest of its period; shorten the term", field="instalments"
        )
    interest = [balance * rate for balance, rate in zip([one] * idle + balances[:-1], rates, strict=True)]
    return _Shares(principal, interest, one * whole)


def _rounded(terms: LoanTerms, shares: _Shares, principal: int) -> tuple[list[int], list[int]]:
    """Principal and interest parts in minor units. What an instalment comes to is rounded, and its interest; principal
    is the difference: so instalments that should be equal differ by one step at most."""
    idle, step, whole, steps = terms.interest_only, terms.step, shares.denominator, principal // terms.step
    exact = [part * steps for part in shares.interest]
    totals = [share * steps + part for share, part in zip(shares.principal, exact, strict=True)]
    interest_idle = _nearest(sum(exact[:idle]), whole)
    interest = _nearest(sum(exact), whole) - interest_idle
    before = _largest_remainder(exact[:idle], whole, interest_idle, [interest_idle] * idle)
    whole_parts = [steps + interest] * (len(exact) - idle)
    after = _largest_remainder(totals[idle:], whole, steps + interest, whole_parts)
    interests = before + _largest_remainder(exact[idle:], whole, interest, after)
    principals = [total - part for total, part in zip(before + after, interests, strict=True)]
    return [part * step for part in principals], [part * step for part in interests]


def _nearest(numerator: int, whole: int) -> int:
    return (2 * numerator + whole) // (2 * whole)


def _largest_remainder(exact: Sequence[int], whole: int, total: int, ceilings: Sequence[int]) -> list[int]:
    """Whole parts, of numerators over `whole`, that sum to the total, none above its ceiling; ties go to the earlier
    part. Where ceilings are in the way (a principal of hardly more steps than instalments), the next takes the step."""
    parts = [part // whole for part in exact]
    order = sorted(range(len(parts)), key=lambda index: (-(exact[index] % whole), index))
    missing = total - sum(parts)
    while missing:
        for index in order:
            if missing and parts[index] < ceilings[index]:
                parts[index] += 1
                missing -= 1
    return parts
