"""What accrues with time: the same whatever way the days are divided, and to the unit what was agreed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.loans.accrual import (
    PrincipalRepaid,
    fee_to_earn,
    interest_before,
    interest_between,
    penalty_before,
    penalty_to_charge,
)
from ledger.loans.schedule import Schedule
from ledger.loans.terms import DailyPenalty, FixedPenalty, LoanTerms
from tests.ledger.loans.products import PLAIN, kes, lent, schedule_of

offsets = st.lists(st.integers(-5, 1_200), min_size=2, max_size=8).map(sorted)
# Due on 15 February and 15 March 2026, 10.00 of principal each and 20.00 the last.
TERMS = replace(PLAIN, instalments=2, interest_only=0, grace_days=3)
LATE = date(2026, 2, 19)  # the first day after three of grace


def two_of_1000() -> Schedule:
    """KES 20.00 in two instalments of KES 10.00, without interest."""
    return schedule_of(replace(TERMS, rate=replace(TERMS.rate, basis_points=0)), 2_000)


@given(lent(), offsets)
def test_interest_is_the_same_however_the_days_are_divided(loan: tuple[LoanTerms, Schedule], days: list[int]) -> None:
    _, schedule = loan
    bounds = [schedule.starts_on + timedelta(days=day) for day in days]

    accrued = [interest_between(schedule, from_day=since, to_day=until) for since, until in pairwise(bounds)]

    whole = interest_between(schedule, from_day=bounds[0], to_day=bounds[-1])
    assert sum(one.minor_units for one in accrued) == whole.minor_units
    assert min(one.minor_units for one in accrued) >= 0
    assert {one.minor_units % schedule.step for one in accrued} == {0}


@given(lent())
def test_interest_is_whole_on_each_nominal_date_and_none_before_the_start(loan: tuple[LoanTerms, Schedule]) -> None:
    _, schedule = loan
    sum_so_far = 0

    assert interest_before(schedule, schedule.starts_on) == kes(0)
    for one in schedule.instalments:
        sum_so_far += one.interest
        assert interest_before(schedule, one.to_day) == kes(sum_so_far)
    assert interest_before(schedule, schedule.ends_on + timedelta(days=9)) == schedule.interest


@given(lent(), st.integers(0, 10**6), offsets)
def test_a_fee_is_earned_the_same_however_the_days_are_divided_and_wholly_in_the_end(
    loan: tuple[LoanTerms, Schedule], steps: int, days: list[int]
) -> None:
    _, schedule = loan
    fee = kes(steps * schedule.step)
    deferred = often = fee
    bounds = [*(schedule.starts_on + timedelta(days=day) for day in days), schedule.ends_on]

    for day in sorted(bounds):
        often -= fee_to_earn(schedule, fee=fee, deferred=often, day=day)
        at_once = deferred - fee_to_earn(schedule, fee=fee, deferred=deferred, day=day)
        assert often == at_once

    assert fee_to_earn(schedule, fee=fee, deferred=often, day=schedule.ends_on) == often


@pytest.mark.parametrize(
    ("paid", "day", "expected"),
    [
        ([], LATE, 0),
        ([], LATE + timedelta(days=1), 10),
        ([], LATE + timedelta(days=10), 100),
        # From 19 March on the second is late too: 28 days of 10, and one of 20.
        ([], date(2026, 3, 20), 280 + 20),
        ([(date(2026, 2, 18), 1_000)], LATE + timedelta(days=10), 0),
        ([(LATE, 1_000)], LATE + timedelta(days=10), 0),
        ([(LATE + timedelta(days=2), 500)], LATE + timedelta(days=4), 10 + 10 + 5 + 5),
        ([(LATE, 1_000), (LATE + timedelta(days=2), -1_000)], LATE + timedelta(days=4), 20),
        ([], date(2028, 1, 1), 1_000),
    ],
    ids=["grace", "a day", "ten", "two late", "in time", "that day", "half", "went back", "cap"],
)
def test_a_daily_penalty_is_a_share_of_what_is_overdue(paid: list[tuple[date, int]], day: date, expected: int) -> None:
    """1 % a day of KES 10.00 is 10 cents; the cap is half of KES 20.00."""
    terms = replace(TERMS, penalty=DailyPenalty(100, 5_000))
    repaid = [PrincipalRepaid(when, units) for when, units in paid]

    assert penalty_before(terms, two_of_1000(), repaid=repaid, day=day) == kes(expected)


@pytest.mark.parametrize(
    ("paid", "day", "expected"),
    [
        ([], LATE, 0),
        ([], LATE + timedelta(days=1), 300),
        ([], date(2026, 3, 19), 300),
        ([], date(2026, 3, 20), 500),
        ([(date(2026, 2, 18), 1_000)], date(2026, 3, 1), 0),
        ([(date(2026, 2, 18), 999)], date(2026, 3, 1), 300),
    ],
    ids=["grace", "late", "once", "cap", "in time", "a cent short"],
)
def test_a_fixed_penalty_is_charged_once_for_each_instalment_missed(
    paid: list[tuple[date, int]], day: date, expected: int
) -> None:
    terms = replace(TERMS, penalty=FixedPenalty(300, 2_500))
    repaid = [PrincipalRepaid(when, units) for when, units in paid]

    assert penalty_before(terms, two_of_1000(), repaid=repaid, day=day) == kes(expected)


def test_no_penalty_is_agreed_on_and_none_is_charged() -> None:
    assert penalty_before(TERMS, two_of_1000(), repaid=[], day=date(2030, 1, 1)) == kes(0)


@given(lent(), offsets, st.lists(st.tuples(st.integers(0, 900), st.integers(1, 10**7)), max_size=5))
def test_penalties_are_the_same_however_the_days_are_divided(
    loan: tuple[LoanTerms, Schedule], days: list[int], payments: list[tuple[int, int]]
) -> None:
    terms, schedule = loan
    repaid = [PrincipalRepaid(schedule.starts_on + timedelta(days=day), units) for day, units in payments]
    charged = kes(0)

    for offset in days:
        day = schedule.starts_on + timedelta(days=offset)
        charged += penalty_to_charge(terms, schedule, repaid=repaid, charged=charged, day=day)
        assert charged == penalty_before(terms, schedule, repaid=repaid, day=day)

    cap = terms.penalty.cap_basis_points if terms.penalty else 0
    assert charged.minor_units * 10_000 <= cap * schedule.principal.minor_units


def test_a_repayment_booked_late_lowers_the_figure_and_takes_nothing_back_by_itself() -> None:
    terms, schedule = replace(TERMS, penalty=DailyPenalty(100, 5_000)), two_of_1000()
    day, repaid = LATE + timedelta(days=5), [PrincipalRepaid(LATE, 1_000)]

    assert penalty_to_charge(terms, schedule, repaid=repaid, charged=kes(50), day=day) == kes(0)
