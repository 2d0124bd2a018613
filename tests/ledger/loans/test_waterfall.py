"""Repayments divided: the parts sum to the payment, in the order of the terms, the oldest of each part first."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.loans.ageing import Bucket, bucket_of, days_past_due
from ledger.loans.dues import Due, Parts, due_by, dues_of, is_paid_off, payoff, sum_parts
from ledger.loans.schedule import Schedule
from ledger.loans.terms import EarlySettlement, LoanTerms, Part, Precedence
from ledger.loans.waterfall import allocate_repayment, recover
from tests.ledger.loans.products import PLAIN, START, kes, lent, products, schedule_of

TODAY = date(2026, 3, 1)
amounts = st.integers(0, 10**9)
dues_lists = st.lists(st.tuples(amounts, amounts, amounts, amounts), max_size=8).map(
    lambda rows: [
        Due(number, TODAY + timedelta(days=30 * number - 90), Parts("KES", *row)) for number, row in enumerate(rows)
    ]
)
TWO = [
    Due(1, date(2026, 2, 1), Parts("KES", penalty=5, fee=10, interest=100, principal=1_000)),
    Due(2, date(2026, 3, 2), Parts("KES", interest=50, principal=1_000)),
]


@given(products(), dues_lists, st.integers(1, 10**11))
def test_the_parts_and_the_rest_are_the_payment_and_no_due_is_overpaid(
    terms: LoanTerms, dues: list[Due], payment: int
) -> None:
    found = allocate_repayment(kes(payment), dues, terms, today=TODAY)

    owed = sum_parts("KES", (due.parts for due in dues)).total.minor_units
    assert found.taken + found.rest == kes(payment)
    assert found.taken == kes(min(payment, owed))
    assert sum_parts("KES", (share.parts for share in found.shares)) == found.parts
    by_number = {due.number: due.parts for due in dues}
    for share in found.shares:
        assert all(share.parts.of(p).minor_units <= by_number[share.number].of(p).minor_units for p in Part)


@given(products(), dues_lists, st.integers(1, 10**9), st.integers(1, 10**9))
def test_two_payments_divide_like_one(terms: LoanTerms, dues: list[Due], first: int, second: int) -> None:
    def after(payment: int, before: list[Due]) -> list[Due]:
        given_ = {one.number: one.parts for one in allocate_repayment(kes(payment), before, terms, today=TODAY).shares}
        nothing = Parts("KES")
        return [
            replace(
                due,
                parts=Parts(
                    "KES",
                    **{p.value: (due.parts.of(p) - given_.get(due.number, nothing).of(p)).minor_units for p in Part},
                ),
            )
            for due in before
        ]

    assert after(second, after(first, dues)) == after(first + second, dues)


@given(products(), dues_lists, st.integers(1, 10**10))
def test_of_each_part_the_oldest_instalment_is_paid_first(terms: LoanTerms, dues: list[Due], payment: int) -> None:
    """What lets four balances stand for all instalments."""
    found = allocate_repayment(kes(payment), dues, terms, today=TODAY)

    paid = {share.number: share.parts for share in found.shares}
    for part in Part:
        left = [due.parts.of(part) - paid.get(due.number, Parts("KES")).of(part) for due in dues]
        begun = [index for index, due in enumerate(dues) if paid.get(due.number, Parts("KES")).of(part) != kes(0)]
        assert all(left[index] == kes(0) for index in range(max(begun, default=0)))


@pytest.mark.parametrize(
    ("precedence", "waterfall", "payment", "expected"),
    [
        (Precedence.OLDEST_INSTALMENT, PLAIN.waterfall, 112, Parts("KES", penalty=5, fee=10, interest=97)),
        (
            Precedence.OLDEST_INSTALMENT,
            PLAIN.waterfall,
            1_200,
            Parts("KES", penalty=5, fee=10, interest=150, principal=1_035),
        ),
        (Precedence.PART, PLAIN.waterfall, 1_200, Parts("KES", penalty=5, fee=10, interest=150, principal=1_035)),
        (
            Precedence.OLDEST_INSTALMENT,
            (Part.PRINCIPAL, Part.INTEREST, Part.FEE, Part.PENALTY),
            1_050,
            Parts("KES", principal=1_000, interest=50),
        ),
        (
            Precedence.PART,
            (Part.PRINCIPAL, Part.INTEREST, Part.FEE, Part.PENALTY),
            1_200,
            Parts("KES", principal=1_085, interest=100, fee=10, penalty=5),
        ),
    ],
)
def test_the_order_is_that_of_the_terms(
    precedence: Precedence, waterfall: tuple[Part, ...], payment: int, expected: Parts
) -> None:
    terms = replace(PLAIN, precedence=precedence, waterfall=waterfall)

    assert allocate_repayment(kes(payment), TWO, terms, today=TODAY).parts == expected


def test_by_part_goes_over_all_that_is_due_and_only_then_over_what_is_not() -> None:
    terms = replace(
        PLAIN, precedence=Precedence.PART, waterfall=(Part.INTEREST, Part.PRINCIPAL, Part.FEE, Part.PENALTY)
    )

    early = allocate_repayment(kes(150), TWO, terms, today=date(2026, 3, 1))
    due = allocate_repayment(kes(150), TWO, terms, today=date(2026, 3, 2))

    assert early.parts == Parts("KES", interest=100, principal=50)
    assert due.parts == Parts("KES", interest=150)


@given(st.integers(1, 10**9), st.integers(0, 10**9))
def test_a_recovery_takes_no_more_than_was_written_off(payment: int, written_off: int) -> None:
    found = recover(kes(payment), written_off=kes(written_off))

    assert found.taken + found.rest == kes(payment)
    assert found.taken == kes(min(payment, written_off))


@given(lent(), st.integers(0, 400), st.data())
def test_dues_sum_to_the_balances_and_open_from_the_end(
    loan: tuple[LoanTerms, Schedule], days: int, data: st.DataObject
) -> None:
    _, schedule = loan
    day = schedule.starts_on + timedelta(days=days)
    whole = dues_of(
        schedule,
        outstanding=Parts("KES", interest=_accrued(schedule, day), principal=schedule.principal.minor_units),
        accrued_before=day,
    )
    most = sum_parts("KES", (due.parts for due in whole))
    left = Parts(
        "KES",
        penalty=data.draw(st.integers(0, 100)),
        fee=data.draw(st.integers(0, 100)),
        interest=data.draw(st.integers(0, most.interest)),
        principal=data.draw(st.integers(0, most.principal)),
    )

    found = dues_of(schedule, outstanding=left, accrued_before=day)

    assert sum_parts("KES", (due.parts for due in found)) == left
    assert [due.number for due in found] == sorted(due.number for due in found)
    assert all(due.due_on <= day for due in due_by(found, day))


def _accrued(schedule: Schedule, day: date) -> int:
    return sum(
        one.interest * min((day - one.from_day).days, (one.to_day - one.from_day).days)
        // (one.to_day - one.from_day).days // schedule.step * schedule.step
        for one in schedule.instalments
        if day > one.from_day
    )  # fmt: skip


def test_paying_early_costs_what_has_accrued_or_what_was_agreed() -> None:
    """KES 1,000.00 in 12 months: the first month's interest is 10.00, all of it 66.19."""
    schedule = schedule_of(PLAIN, 100_000)
    outstanding = Parts("KES", principal=100_000)
    month_later = date(2026, 2, 15)

    accrued, whole = (
        payoff(policy, schedule, outstanding=outstanding, accrued_before=START, today=month_later)
        for policy in (EarlySettlement.ACCRUED_INTEREST, EarlySettlement.WHOLE_INTEREST)
    )

    assert (accrued.to_accrue, accrued.total) == (kes(1_000), kes(101_000))
    assert (whole.to_accrue, whole.total) == (kes(6_619), kes(106_619))


def test_under_whole_interest_nothing_open_is_not_yet_paid_off() -> None:
    schedule, nothing = schedule_of(PLAIN, 100_000), Parts("KES")

    def done(policy: EarlySettlement, day: date) -> bool:
        return is_paid_off(policy, schedule, outstanding=nothing, accrued_before=day)

    assert done(EarlySettlement.ACCRUED_INTEREST, START)
    assert not done(EarlySettlement.WHOLE_INTEREST, START)
    assert done(EarlySettlement.WHOLE_INTEREST, schedule.ends_on)


@pytest.mark.parametrize(
    ("today", "days"), [(date(2026, 1, 31), 0), (date(2026, 2, 1), 0), (date(2026, 2, 2), 1), (date(2026, 3, 4), 31)]
)
def test_days_past_due_count_from_the_oldest_open_instalment(today: date, days: int) -> None:
    assert days_past_due(TWO, today) == days
    assert days_past_due([], today) == 0


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (0, Bucket.CURRENT), (1, Bucket.DAYS_1_TO_30), (30, Bucket.DAYS_1_TO_30), (31, Bucket.DAYS_31_TO_60),
        (60, Bucket.DAYS_31_TO_60), (61, Bucket.DAYS_61_TO_90), (90, Bucket.DAYS_61_TO_90), (91, Bucket.DAYS_OVER_90),
        (4_000, Bucket.DAYS_OVER_90),
    ],
)  # fmt: skip
def test_buckets_hold_both_their_ends(days: int, bucket: Bucket) -> None:
    assert bucket_of(days) is bucket
