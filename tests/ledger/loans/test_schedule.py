"""Schedules: two from the textbook, then what holds for all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LoanTermsInvalid
from ledger.loans.schedule import Schedule, business_days, day_of, every_day, make_schedule, nominal_dates
from ledger.loans.terms import DayCount, InterestMethod, Interval, LoanTerms, Rate, RatePeriod, Unit
from tests.ledger.loans.products import FLAT, PLAIN, kes, lent, schedule_of, starts

NAIROBI = ZoneInfo("Africa/Nairobi")


def parts(schedule: Schedule) -> list[tuple[int, int]]:
    """Principal and interest of each instalment."""
    return [(one.principal, one.interest) for one in schedule.instalments]


def test_a_flat_loan_of_the_textbook() -> None:
    """KES 12,000.00 at 20 % a year flat for 12 months: interest is 12,000 x 20 % x 1 = 2,400.00. Each month repays
    12,000 / 12 = 1,000.00 and pays 2,400 / 12 = 200.00 of interest."""
    terms = replace(FLAT, rate=Rate(2_000, RatePeriod.YEAR))

    assert parts(schedule_of(terms, 1_200_000)) == [(100_000, 20_000)] * 12


def test_a_flat_loan_that_does_not_divide() -> None:
    """KES 100.00 at 10 % per instalment flat in 3: interest is 100 x 10 % x 3 = 30.00, 10.00 each. 100.00 / 3 is 33.33
    and a third: the one cent that is missing is the first's. An instalment is 43.34, 43.33, 43.33."""
    terms = replace(FLAT, rate=Rate(1_000, RatePeriod.INSTALMENT), instalments=3)

    assert parts(schedule_of(terms, 10_000)) == [(3_334, 1_000), (3_333, 1_000), (3_333, 1_000)]


def test_a_reducing_balance_loan_of_the_textbook() -> None:
    """KES 1,000.00 at 12 % a year in 4 months, 1 % each. The equal instalment is 1,000 x 0.01 / (1 - 1.01^-4) =
    256.2811 (1.01^-4 = 0.96098034). By hand:

        balance     interest  principal
        1,000.0000  10.0000   246.2811
          753.7189   7.5372   248.7439
          504.9750   5.0497   251.2313
          253.7437   2.5374   253.7437

    Interest sums to 25.1244, so 25.12. The instalments sum to 1,025.12: 256.28 four times. Rounded down the interest is
    10.00, 7.53, 5.04, 2.53 = 25.10; the two cents go to the largest remainders, .97 (5.05) and .74 (2.54); 7.53 has
    .72 and stays."""
    terms = replace(PLAIN, instalments=4)

    assert parts(schedule_of(terms, 100_000)) == [(24_628, 1_000), (24_875, 753), (25_123, 505), (25_374, 254)]


def test_a_year_of_the_textbook_pays_the_same_each_month() -> None:
    """KES 1,000.00 at 12 % a year in 12 months: 88.8488 a month, 1,066.19 in all, which is 88.85 eleven times and 88.84
    once."""
    schedule = schedule_of(PLAIN, 100_000)

    assert [sum(one) for one in parts(schedule)] == [8_885] * 11 + [8_884]
    assert schedule.interest == kes(6_619)


def test_in_whole_shillings_every_part_is_one() -> None:
    """The same in shillings: the interest of 25.12 becomes 25, and 1,025 is 257 and three times 256."""
    schedule = schedule_of(replace(PLAIN, instalments=4, step=100, principal_min=100_000), 100_000)

    assert [sum(one) for one in parts(schedule)] == [25_700, 25_600, 25_600, 25_600]
    assert schedule.interest == kes(2_500)


def test_interest_only_instalments_repay_no_principal() -> None:
    terms = replace(PLAIN, instalments=5, interest_only=2)

    found = parts(schedule_of(terms, 100_000))

    assert found[:2] == [(0, 1_000), (0, 1_000)]
    assert sum(principal for principal, _ in found[2:]) == 100_000


def test_actual_days_are_counted_in_leap_years_too() -> None:
    """10,000.00 at 36.5 % is 10.00 a day: 29 days of February 2028, 31 of March, 30 of April."""
    terms = replace(FLAT, day_count=DayCount.ACTUAL_365, rate=Rate(3_650, RatePeriod.YEAR), instalments=3)

    schedule = schedule_of(terms, 1_000_000, starts_on=date(2028, 2, 1))

    assert [one.interest for one in schedule.instalments] == [29_000, 31_000, 30_000]


@pytest.mark.parametrize(
    ("start", "unit", "expected"),
    [
        (date(2026, 1, 31), Unit.MONTH, [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]),
        (date(2028, 1, 31), Unit.MONTH, [date(2028, 2, 29), date(2028, 3, 31), date(2028, 4, 30)]),
        (date(2027, 11, 30), Unit.MONTH, [date(2027, 12, 30), date(2028, 1, 30), date(2028, 2, 29)]),
        (date(2028, 2, 29), Unit.MONTH, [date(2028, 3, 29), date(2028, 4, 29), date(2028, 5, 29)]),
        (date(2026, 12, 25), Unit.WEEK, [date(2027, 1, 1), date(2027, 1, 8), date(2027, 1, 15)]),
        (date(2028, 2, 27), Unit.DAY, [date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1)]),
    ],
)
def test_dates_pass_month_ends_and_leap_days(start: date, unit: Unit, expected: list[date]) -> None:
    terms = replace(PLAIN, instalments=3, every=Interval(1, unit))

    assert nominal_dates(terms, start) == [start, *expected]


def test_a_due_date_moves_past_weekends_and_holidays_and_changes_no_amount() -> None:
    """31 January 2027 is a Sunday, the Monday after a holiday here."""
    terms = replace(PLAIN, instalments=1)
    calendar = business_days(weekend=frozenset({5, 6}), holidays=frozenset({date(2027, 2, 1)}))

    moved = make_schedule(terms, principal=kes(100_000), starts_on=date(2026, 12, 31), is_business_day=calendar)
    unmoved = schedule_of(terms, 100_000, starts_on=date(2026, 12, 31))

    assert moved.instalments[0].due_on == date(2027, 2, 2)
    assert (moved.ends_on, parts(moved)) == (date(2027, 1, 31), parts(unmoved))


def test_refuses_a_calendar_without_business_days() -> None:
    with pytest.raises(LoanTermsInvalid):
        make_schedule(
            PLAIN, principal=kes(100_000), starts_on=date(2026, 1, 1), is_business_day=lambda day: day.year < 0
        )


def test_refuses_terms_whose_instalment_would_not_cover_its_interest() -> None:
    """At 90 % a year over 30 years the instalment is hardly more than an average month's interest, and less than a long
    month's."""
    terms = replace(PLAIN, rate=Rate(9_000, RatePeriod.YEAR), day_count=DayCount.ACTUAL_365, instalments=360)

    with pytest.raises(LoanTermsInvalid):
        schedule_of(terms, 100_000)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 12, 31, 20, 59, tzinfo=UTC), date(2026, 12, 31)),
        (datetime(2026, 12, 31, 21, 0, tzinfo=UTC), date(2027, 1, 1)),
        (datetime(2028, 2, 28, 22, 30, tzinfo=UTC), date(2028, 2, 29)),
    ],
)
def test_a_loan_starts_on_the_ledgers_date(moment: datetime, expected: date) -> None:
    assert day_of(moment, NAIROBI) == expected


@given(lent())
def test_parts_sum_to_the_whole_and_dates_follow_one_another(loan: tuple[LoanTerms, Schedule]) -> None:
    terms, schedule = loan
    instalments = schedule.instalments

    assert sum(one.principal for one in instalments) == schedule.principal.minor_units
    assert min(min(one) for one in parts(schedule)) >= 0
    assert {units % terms.step for one in parts(schedule) for units in one} == {0}
    assert all(before.to_day == after.from_day for before, after in pairwise(instalments))
    assert all(one.from_day < one.to_day <= one.due_on <= one.to_day + timedelta(days=2) for one in instalments)
    assert all(one.principal == 0 for one in instalments[: terms.interest_only])


@given(st.integers(1, 10**9), st.integers(0, 3_000), st.integers(1, 40), starts)
def test_equal_instalments_differ_by_one_unit_and_the_last_takes_nothing_odd(
    principal: int, basis_points: int, instalments: int, start: date
) -> None:
    terms = replace(PLAIN, rate=Rate(basis_points, RatePeriod.INSTALMENT), instalments=instalments, principal_min=1)

    totals = [sum(one) for one in parts(schedule_of(terms, principal, starts_on=start))]

    assert max(totals) - min(totals) <= 1
    assert totals[-1] == min(totals)


@given(st.integers(10_000, 10**9), st.integers(0, 3_000), st.integers(1, 24))
def test_every_part_is_within_two_units_of_the_exact_annuity(
    principal: int, basis_points: int, instalments: int
) -> None:
    """An oracle of its own: the balance is carried forward with fractions under the closed formula's instalment."""
    terms = replace(PLAIN, rate=Rate(basis_points, RatePeriod.INSTALMENT), instalments=instalments)
    rate = Fraction(basis_points, 10_000)
    annuity = Fraction(principal, instalments)
    if rate:
        annuity = principal * rate / (1 - (1 + rate) ** -instalments)

    balance, interest_sum = Fraction(principal), Fraction(0)
    for share, interest in parts(schedule_of(terms, principal)):
        assert abs(interest - balance * rate) < 1
        assert abs(share - (annuity - balance * rate)) < 2
        interest_sum += balance * rate
        balance -= annuity - balance * rate

    assert balance == 0
    assert abs(schedule_of(terms, principal).interest.minor_units - interest_sum) <= Fraction(1, 2)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10_000))
def test_a_principal_of_hardly_any_units_still_divides(principal: int, instalments: int, basis_points: int) -> None:
    for method in InterestMethod:
        terms = replace(
            PLAIN,
            method=method,
            rate=Rate(basis_points, RatePeriod.INSTALMENT),
            instalments=instalments,
            principal_min=1,
        )

        schedule = schedule_of(terms, principal)

        assert schedule.principal == kes(principal)
        assert min(min(one) for one in parts(schedule)) >= 0


def test_the_calendar_of_every_day_moves_nothing() -> None:
    schedule = make_schedule(PLAIN, principal=kes(100_000), starts_on=date(2026, 1, 3), is_business_day=every_day)

    assert all(one.due_on == one.to_day for one in schedule.instalments)
