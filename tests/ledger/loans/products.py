"""Loan products for tests: builders with defaults, and Hypothesis strategies over all that terms may say."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import strategies as st

from ledger.loans.schedule import Schedule, business_days, every_day, make_schedule
from ledger.loans.terms import (
    DEFAULT_WATERFALL,
    DailyPenalty,
    DayCount,
    EarlySettlement,
    FeeCharging,
    FixedPenalty,
    InterestMethod,
    Interval,
    LoanTerms,
    Mode,
    Precedence,
    Rate,
    RatePeriod,
    Unit,
    UpfrontFee,
    price,
)
from ledger.money import Money

WEEKDAYS = business_days(weekend=frozenset({5, 6}), holidays=frozenset())
START = date(2026, 1, 15)

# A year's loan at 12 % on the reducing balance, in months of a twelfth of a year each.
PLAIN = LoanTerms(
    currency="KES",
    principal_min=1_000,
    principal_max=10**12,
    method=InterestMethod.REDUCING_BALANCE,
    rate=Rate(1_200, RatePeriod.YEAR),
    instalments=12,
    every=Interval(1, Unit.MONTH),
    day_count=DayCount.THIRTY_360,
)
FLAT = replace(PLAIN, method=InterestMethod.FLAT)


def kes(minor_units: int) -> Money:
    """Kenyan cents."""
    return Money("KES", minor_units)


def schedule_of(terms: LoanTerms, principal: int, *, starts_on: date = START) -> Schedule:
    """The schedule of a loan whose due dates never move."""
    return make_schedule(
        terms, principal=Money(terms.currency, principal), starts_on=starts_on, is_business_day=every_day
    )


rates = st.builds(Rate, st.integers(0, 10_000), st.just(RatePeriod.YEAR)) | st.builds(
    Rate, st.integers(0, 3_000), st.just(RatePeriod.INSTALMENT)
)
intervals = st.builds(Interval, st.integers(1, 3), st.sampled_from(Unit))
penalties = (
    st.none()
    | st.builds(DailyPenalty, st.integers(1, 300), st.integers(1, 5_000))
    | st.builds(FixedPenalty, st.integers(1, 50).map(lambda steps: steps * 100), st.integers(1, 5_000))
)
starts = st.dates(date(2024, 1, 1), date(2030, 12, 31))


@st.composite
def products(draw: st.DrawFn, *, instalments_max: int = 12) -> LoanTerms:
    """Terms of any kind, in shillings or in cents, for principals from KES 1,000."""
    step = draw(st.sampled_from((1, 100)))
    instalments = draw(st.integers(1, instalments_max))
    mode = draw(st.sampled_from(Mode))
    fee = st.builds(
        UpfrontFee,
        st.integers(0, 300).map(lambda steps: steps * 100),
        st.integers(0, 2_000),
        st.sampled_from(FeeCharging),
    )
    return LoanTerms(
        currency="KES",
        principal_min=100_000,
        principal_max=10**11,
        method=draw(st.sampled_from(InterestMethod)),
        rate=draw(rates),
        instalments=instalments,
        every=draw(intervals),
        day_count=draw(st.sampled_from(DayCount)),
        interest_only=draw(st.integers(0, instalments - 1)),
        grace_days=draw(st.integers(0, 10)),
        upfront_fee=draw(fee) if mode is Mode.PRINCIPAL else UpfrontFee(),
        penalty=draw(penalties),
        waterfall=tuple(draw(st.permutations(DEFAULT_WATERFALL))),
        precedence=draw(st.sampled_from(Precedence)),
        early_settlement=draw(st.sampled_from(EarlySettlement)),
        mode=mode,
        service_fee_basis_points=draw(st.integers(0, 1_000)) if mode is Mode.AGENT else 0,
        step=step,
    )


@st.composite
def lent(draw: st.DrawFn, *, instalments_max: int = 12) -> tuple[LoanTerms, Schedule]:
    """Terms and the schedule of a loan under them."""
    terms = draw(products(instalments_max=instalments_max))
    steps = draw(st.integers(1_000, 10**6) if terms.step == 100 else st.integers(100_000, 10**8))
    gross = price(terms, kes(steps * terms.step)).gross
    return terms, make_schedule(terms, principal=gross, starts_on=draw(starts), is_business_day=WEEKDAYS)
