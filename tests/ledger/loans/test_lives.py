"""Random lives of loans: the parts of a payment are the payment, no floor breaks, and a closed loan holds nothing.

`pytest tests/ledger/loans/test_lives.py --hypothesis-profile=thorough` lives through 10,000 of each.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.journal.entry import Source
from ledger.loans import entries
from ledger.loans.loan import Event, State, Stay
from ledger.loans.schedule import make_schedule
from ledger.loans.terms import FixedPenalty, LoanTerms, Mode, UpfrontFee, price
from ledger.payouts import payout
from tests.ledger.loans.life import LENDER_FUNDS, MOMENT, Life, new_life
from tests.ledger.loans.products import PLAIN, WEEKDAYS, kes, products

LIVES = max(1_000, settings.get_current_profile_name() == "thorough" and 10_000)
SETTLE, RELEASE = payout.Effect.SETTLE, payout.Effect.RELEASE


def life_of(terms: LoanTerms, steps: int, *, starts_on: date = date(2026, 1, 31)) -> Life:
    cost = price(terms, kes(steps * terms.step))
    schedule = make_schedule(terms, principal=cost.gross, starts_on=starts_on, is_business_day=WEEKDAYS)
    return new_life(terms, schedule, net=cost.net, fee=cost.fee)


happenings = st.one_of(
    st.tuples(st.just("days"), st.integers(1, 60)),
    st.tuples(st.just("pay"), st.integers(1, 40_000)),
    st.tuples(st.just("pay"), st.integers(1, 200_000)),
    st.tuples(st.just("payoff"), st.just(0)),
    st.tuples(st.just("back"), st.integers(0, 5)),
    st.tuples(st.just("charge"), st.integers(1, 500)),
    st.tuples(st.just("spend"), st.just(0)),
    st.tuples(st.just("write_off"), st.integers(0, 100_000)),
)


def happen(life: Life, what: str, size: int) -> None:
    match what:
        case "days":
            life.pass_days(size)
        case "pay":
            life.pay(size)
        case "payoff":
            life.pay_off()
        case "back":
            life.take_back(size)
        case "charge":
            life.charge(size * life.terms.step)
        case "spend":
            life.spend()
        case _:
            life.write_off(size)
    life.check()


@settings(max_examples=LIVES, deadline=None)
@given(products(instalments_max=4), st.lists(happenings, max_size=10), st.integers(0, 2))
def test_whatever_happens_parts_are_the_payment_and_a_closed_loan_holds_nothing(
    terms: LoanTerms, news: list[tuple[str, int]], failures: int
) -> None:
    life = life_of(terms, 100_000 // terms.step)
    life.disburse(*[RELEASE] * failures, SETTLE)

    for what, size in news:
        happen(life, what, size)
    life.pay_off()

    life.check()
    assert life.state in (State.CLOSED, State.WRITTEN_OFF)


@settings(max_examples=LIVES // 10, deadline=None)
@given(products(instalments_max=4), st.lists(st.tuples(st.integers(1, 45), st.integers(1, 60_000)), max_size=12))
def test_repayments_that_all_go_back_leave_the_debt_as_it_was(
    terms: LoanTerms, payments: list[tuple[int, int]]
) -> None:
    """Without penalties, which remember the time that was paid for."""
    paid, unpaid = (life_of(replace(terms, penalty=None), 100_000 // terms.step) for _ in range(2))
    for life in (paid, unpaid):
        life.disburse(SETTLE)

    for days, units in payments:
        paid.pass_days(days)
        unpaid.pass_days(days)
        paid.pay(units)
        paid.take_back(0)

    paid.pass_days(1)
    unpaid.pass_days(1)
    assert paid.outstanding == unpaid.outstanding
    assert paid.deferred_fee == unpaid.deferred_fee
    assert paid.state is State.ACTIVE


@settings(max_examples=LIVES // 10, deadline=None)
@given(products(instalments_max=6))
def test_a_loan_paid_as_scheduled_earns_what_was_agreed(terms: LoanTerms) -> None:
    life = life_of(terms, 100_000 // terms.step)
    life.disburse(SETTLE)

    for instalment in life.schedule.instalments:
        if life.today < instalment.due_on:
            life.pass_days((instalment.due_on - life.today).days)
        if instalment.principal + instalment.interest:
            life.pay(instalment.principal + instalment.interest)

    assert life.state is State.CLOSED
    assert life.penalties == kes(0)
    if terms.mode is Mode.PRINCIPAL:
        assert life.balance("income.interest") == life.schedule.interest
        assert life.balance("income.loan_fees") == life.loan.fee


def test_a_lender_gets_what_is_due_less_our_fee_and_the_borrower_keeps_the_rest() -> None:
    terms = replace(PLAIN, mode=Mode.AGENT, instalments=1, service_fee_basis_points=500)
    life = life_of(terms, 100_000)
    life.disburse(SETTLE)
    life.pass_days(31)

    life.pay(150_000)

    # 1,000.00 and 10.00 of interest are due; 5 % of that, 50.50, is ours.
    assert life.balance("liab.wallet.a") == kes(LENDER_FUNDS - 100_000 + 95_950)
    assert life.balance("liab.wallet.b") == kes(49_000)
    assert life.balance("income.loan_fees") == kes(5_050)
    assert life.state is State.CLOSED
    assert not any(units for account, units in life.net.items() if account.startswith("memo."))


def test_an_overpayment_pays_another_loan() -> None:
    first, second = (life_of(replace(PLAIN, instalments=1), 100_000) for _ in range(2))
    for life in (first, second):
        life.disburse(SETTLE)
    first.pay(130_000)
    second.net["liab.overpayment.b"] = first.net["liab.overpayment.b"]

    second.pay_from("liab.overpayment.b", 30_000)

    assert second.net["liab.overpayment.b"] == 0
    assert second.outstanding.principal == 70_000


def test_a_loan_paid_out_twice_is_owed_once_and_the_second_clawed_back() -> None:
    life = life_of(PLAIN, 100_000)
    life.disburse(SETTLE)
    again = entries.disbursing_payout(life.loan, payout_id="pay_1", rail=life.rail, reserve_entry_id=8)
    life.post(payout.reserve_entry(again, at=MOMENT, reference="loan_1"))

    verdict = life.meet(Event.DISBURSED, of_another_payout=True)
    life.post(
        entries.disbursed_twice_entry(life.loan, payout_id="pay_1", at=MOMENT, source=Source.CALLBACK, receipt="R2")
    )

    assert isinstance(verdict, Stay)
    assert life.net["asset.loans.disbursing"] == 0
    assert life.balance("asset.receivable.customer_clawback") == kes(100_000)
    assert life.outstanding.principal == 100_000


def test_a_write_off_uses_the_unearned_fee_then_the_allowance_then_is_a_loss() -> None:
    life = life_of(replace(PLAIN, principal_min=100_000, upfront_fee=UpfrontFee(12_000)), 100_000)
    life.disburse(SETTLE)

    life.write_off(30_000)
    life.pay(150_000)

    assert life.net["expense.impairment"] == 100_000 - 12_000 - 30_000
    assert life.net["asset.loans.ecl_allowance"] == 30_000
    assert life.balance("income.recoveries") == kes(100_000)
    assert life.balance("liab.overpayment.b") == kes(50_000)
    assert life.net["memo.written_off.loan_1"] == life.net["memo.written_off_contra"] == 0


def test_a_repayment_that_goes_back_after_a_write_off_is_lost_and_pursued_too() -> None:
    life = life_of(PLAIN, 100_000)
    life.disburse(SETTLE)
    life.pay(40_000)
    life.write_off(0)

    life.take_back(0)

    assert life.net["expense.impairment"] == life.net["memo.written_off.loan_1"] == 100_000
    assert life.outstanding.total == kes(0)


def test_every_entry_of_a_loan_happens_once_by_its_subject() -> None:
    life = life_of(
        replace(PLAIN, principal_min=100_000, upfront_fee=UpfrontFee(1_200), penalty=FixedPenalty(500, 5_000)), 100_000
    )
    life.disburse(SETTLE)
    for _ in range(60):
        life.pass_days(1)
    life.charge(100)
    life.write_off(0)

    named = [(entry.kind, entry.subject) for entry in life.posted if entry.kind.startswith("loan.")]

    assert all(entry.once for entry in life.posted if entry.kind.startswith("loan."))
    assert len(set(named)) == len(named)
    assert {kind for kind, _ in named} == {
        "loan.disbursed", "loan.interest_accrued", "loan.fee_amortised", "loan.penalty_charged", "loan.fee_charged",
        "loan.written_off",
    }  # fmt: skip


@pytest.mark.parametrize("mode", Mode)
def test_what_a_failed_payout_reserved_is_back_where_it_came_from(mode: Mode) -> None:
    life = life_of(replace(PLAIN, mode=mode), 100_000)
    before = dict(life.net)

    life.disburse(RELEASE)

    assert {account: units for account, units in life.net.items() if units} == {a: u for a, u in before.items() if u}
    assert life.state is State.APPROVED
