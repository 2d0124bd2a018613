"""Loans on real books: from request to their end, each step once, everything read from their accounts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.collections.allocation import Target, TargetKind
from ledger.collections.receipt import Holdings
from ledger.errors import FloorWouldBreak, IdempotencyKeyReused, LedgerError, LoanAmountRefused
from ledger.loans.refusals import LoanNotReady, SecondPersonNeeded
from ledger.loans.settling import Purse
from ledger.loans.terms import EarlySettlement, UpfrontFee
from ledger.outbox.instruction import Settled
from tests.ledger.collections.till import SUSPENSE
from tests.ledger.loans.lending import BORROWER, LENDER, MAKER, TERMS, Lending
from tests.ledger.payouts.shop import FLOAT, PREFUND

DISBURSING = "asset.loans.disbursing"
WALLET, OVERPAID = f"liab.wallet.{BORROWER}", f"liab.overpayment.{BORROWER}"
LENDERS = f"liab.wallet.{LENDER}"


async def test_a_loan_is_requested_approved_paid_out_and_owed(lending: Lending) -> None:
    prefunded, floated = await lending.shop.balance(PREFUND), await lending.shop.balance(FLOAT)

    loan_id = await lending.active_loan(minor_units=1_000_000)

    assert await lending.events(loan_id) == ["requested", "approved", "disbursement_started", "disbursed"]
    assert (await lending.standing(loan_id)).outstanding.principal == 1_000_000
    assert await lending.shop.balance(DISBURSING) == 0
    assert await lending.shop.balance(FLOAT) == floated - 1_000_000
    assert await lending.shop.balance(PREFUND) == prefunded


async def test_while_its_payout_is_on_its_way_no_loan_exists(lending: Lending) -> None:
    loan_id = await lending.approved_loan(minor_units=1_000_000)

    await lending.disburse(loan_id)

    assert await lending.state(loan_id) == "DISBURSING"
    assert await lending.shop.balance(DISBURSING) == 1_000_000
    assert await lending.held(loan_id) == {}


async def test_a_fee_kept_back_is_deferred_and_earned_by_the_day(lending: Lending) -> None:
    await lending.product(replace(TERMS, instalments=1, upfront_fee=UpfrontFee(30_000)), code="ada")
    loan_id = await lending.active_loan(minor_units=1_000_000, product="ada")
    before = (await lending.standing(loan_id)).deferred_fee.minor_units

    await lending.pass_days(10)

    assert (await lending.loan(loan_id)).net.minor_units == 970_000
    assert (before, (await lending.standing(loan_id)).deferred_fee.minor_units) == (30_000, 20_000)
    assert await lending.shop.balance("income.loan_fees") == 10_000


async def test_a_payout_that_fails_leaves_no_loan_and_another_may_be_tried(lending: Lending) -> None:
    loan_id = await lending.approved_loan()
    await lending.disburse(loan_id)
    first = await lending.payout_of(loan_id)

    await lending.fail_payout(loan_id)
    failed = await lending.state(loan_id)
    await lending.approve(loan_id)
    await lending.disburse(loan_id)
    await lending.settle_payout(loan_id)

    assert failed == "DISBURSEMENT_FAILED"
    assert await lending.payout_of(loan_id) != first
    assert await lending.state(loan_id) == "ACTIVE"
    assert await lending.shop.balance(DISBURSING) == 0


async def test_a_late_success_makes_a_cancelled_loan_active_once_a_person_says_so(lending: Lending) -> None:
    loan_id = await lending.approved_loan()
    await lending.disburse(loan_id)
    await lending.fail_payout(loan_id)
    await lending.cancel(loan_id)
    payout_id, loan = await lending.payout_of(loan_id), await lending.loan(loan_id)

    await lending.shop.record((payout_id, Settled("RBLATE", loan.net, lending.shop.now())))
    before = await lending.state(loan_id)
    await lending.charge_late(payout_id)

    assert (before, await lending.state(loan_id)) == ("CANCELLED", "ACTIVE")
    assert await lending.shop.balance(DISBURSING) == 0
    assert (await lending.standing(loan_id)).outstanding.principal == loan.gross.minor_units


async def test_a_second_payout_that_reached_the_borrower_is_clawed_back(lending: Lending) -> None:
    loan_id = await lending.approved_loan()
    await lending.disburse(loan_id)
    first, loan = await lending.payout_of(loan_id), await lending.loan(loan_id)
    await lending.fail_payout(loan_id)
    await lending.approve(loan_id)
    await lending.disburse(loan_id)
    await lending.settle_payout(loan_id)

    await lending.shop.record((first, Settled("RBLATE", loan.net, lending.shop.now())))
    await lending.charge_late(first)

    assert await lending.state(loan_id) == "ACTIVE"
    assert await lending.shop.balance("asset.receivable.customer_clawback") == loan.net.minor_units
    assert await lending.shop.balance(DISBURSING) == 0


async def test_who_requested_a_loan_does_not_approve_it(lending: Lending) -> None:
    loan_id = await lending.request()

    with pytest.raises(SecondPersonNeeded):
        await lending.approve(loan_id, actor=MAKER)

    await lending.product(second_person=False, code="haraka")
    quick = await lending.request(product="haraka")
    await lending.approve(quick, actor=MAKER)
    assert await lending.state(quick) == "APPROVED"


async def test_what_the_state_does_not_allow_is_refused(lending: Lending) -> None:
    loan_id = await lending.request()

    with pytest.raises(LoanNotReady):
        await lending.disburse(loan_id)
    await lending.reject(loan_id)
    with pytest.raises(LoanNotReady):
        await lending.approve(loan_id)
    with pytest.raises(LoanNotReady):
        await lending.write_off(loan_id)


async def test_a_request_beyond_the_product_is_refused(lending: Lending) -> None:
    with pytest.raises(LoanAmountRefused):
        await lending.request(minor_units=99_900)


async def test_a_repeated_request_is_the_same_loan_and_another_under_its_id_is_refused(lending: Lending) -> None:
    first = await lending.request(key="once")

    assert await lending.request(key="once") == first
    with pytest.raises(IdempotencyKeyReused):
        await lending.request(key="once", minor_units=200_000)


async def test_a_loan_is_paid_out_once_however_often_it_is_asked(lending: Lending) -> None:
    loan_id = await lending.approved_loan()

    replies = [await lending.disburse(loan_id, key="pay-out") for _ in range(3)]

    assert replies == [False, True, True]
    assert len(await lending.shop.rows("SELECT FROM payouts WHERE ledger_id = :ledger")) == 1


async def test_a_payment_goes_by_the_waterfall_and_the_last_one_closes_the_loan(lending: Lending) -> None:
    await lending.product(replace(TERMS, instalments=1), code="mwezi")
    loan_id = await lending.active_loan(minor_units=1_000_000, product="mwezi")
    await lending.pass_days(30)

    await lending.pay(loan_id, 400_000)
    left = (await lending.standing(loan_id)).outstanding
    await lending.pay(loan_id, 650_000)

    # A month at 12 % a year: 10,000 of 1,000,000 cents, paid before the principal.
    assert (left.interest, left.principal) == (0, 610_000)
    assert await lending.state(loan_id) == "CLOSED"
    assert await lending.held(loan_id) == {}
    assert await lending.shop.balance(OVERPAID) == 40_000
    assert await lending.events(loan_id) == [
        "requested", "approved", "disbursement_started", "disbursed", "accrued", "repaid", "paid_off",
    ]  # fmt: skip


async def test_two_payments_told_together_are_two_events_the_second_closing(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    reference = (await lending.loan(loan_id)).reference

    await lending.till.tell(
        lending.till.paid(reference=reference, shillings=6_000), lending.till.paid(reference=reference, shillings=5_000)
    )

    assert (await lending.events(loan_id))[-2:] == ["repaid", "paid_off"]
    assert await lending.held(loan_id) == {}
    assert await lending.shop.balance(OVERPAID) == 100_000


async def test_the_long_reference_means_the_loan_too(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    public_id = (await lending.loan(loan_id)).public_id

    await lending.till.take(reference=public_id.replace("_", "-").lower(), shillings=1_000)

    assert (await lending.standing(loan_id)).outstanding.principal == 900_000


async def test_money_for_a_loan_that_is_not_paid_out_waits_for_a_person(lending: Lending) -> None:
    loan_id = await lending.approved_loan()

    receipt_id = await lending.pay(loan_id, 100_000)

    assert await lending.till.holdings(receipt_id) == Holdings(0, suspended=100_000)
    assert await lending.shop.balance(SUSPENSE) == 100_000
    assert "does not exist yet" in (await lending.till.cases())[0][1]


async def test_a_payment_that_goes_back_reopens_the_loan_as_it_was(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    await lending.pass_days(40)
    before = (await lending.standing(loan_id)).outstanding
    receipt_id = await lending.pay(loan_id, before.total.minor_units)
    closed = await lending.state(loan_id)

    await lending.take_back(receipt_id)

    assert (closed, await lending.state(loan_id)) == ("CLOSED", "ACTIVE")
    assert (await lending.standing(loan_id)).outstanding == before
    assert (await lending.events(loan_id))[-1] == "repayment_returned"


async def test_what_was_paid_before_a_write_off_and_goes_back_is_lost_and_pursued_too(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    receipt_id = await lending.pay(loan_id, 100_000)
    await lending.write_off(loan_id)

    await lending.take_back(receipt_id)

    standing = await lending.standing(loan_id)
    assert (standing.outstanding.total.minor_units, standing.written_off.minor_units) == (0, 1_000_000)
    assert await lending.shop.balance("expense.impairment") == 1_000_000
    assert (await lending.events(loan_id))[-2:] == ["repayment_returned", "written_off_again"]


async def test_a_loan_written_off_is_lost_and_pursued_and_money_for_it_is_a_recovery(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)

    await lending.write_off(loan_id)
    lost = await lending.shop.balance("expense.impairment")
    receipt_id = await lending.pay(loan_id, 300_000)
    pursued = (await lending.standing(loan_id)).written_off.minor_units
    await lending.take_back(receipt_id)

    assert (lost, pursued) == (1_000_000, 700_000)
    assert await lending.shop.balance("income.recoveries") == 0
    assert (await lending.standing(loan_id)).written_off.minor_units == 1_000_000
    assert (await lending.events(loan_id))[-3:] == ["written_off", "repaid", "overpayment_returned"]


async def test_the_borrower_repays_from_wallet_and_overpayment(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    await lending.fund(WALLET, 500_000)

    replies = [await lending.repay(loan_id, 400_000, key="once") for _ in range(2)]

    assert replies == [False, True]
    assert await lending.shop.balance(WALLET) == 100_000
    assert (await lending.standing(loan_id)).outstanding.principal == 600_000
    with pytest.raises(FloorWouldBreak):
        await lending.repay(loan_id, 200_000)
    with pytest.raises(FloorWouldBreak):
        await lending.repay(loan_id, 100_000, purse=Purse.OVERPAYMENT)


@pytest.mark.parametrize("policy", EarlySettlement)
async def test_an_early_settlement_closes_the_loan_under_either_policy(
    lending: Lending, policy: EarlySettlement
) -> None:
    await lending.product(replace(TERMS, early_settlement=policy), code="mapema")
    loan_id = await lending.active_loan(minor_units=1_200_000, product="mapema")
    await lending.fund(WALLET, 2_000_000)
    whole = (await lending.loan(loan_id)).schedule.interest.minor_units
    lending.shop.clock.moment += timedelta(days=45)

    await lending.settle(loan_id)

    assert await lending.state(loan_id) == "CLOSED"
    assert await lending.held(loan_id) == {}
    paid = 2_000_000 - await lending.shop.balance(WALLET)
    if policy is EarlySettlement.WHOLE_INTEREST:
        assert paid == 1_200_000 + whole
    else:
        assert 1_200_000 < paid < 1_200_000 + whole


async def test_a_fee_on_the_way_is_owed(lending: Lending) -> None:
    loan_id = await lending.active_loan()

    await lending.charge(loan_id, 5_000)

    assert (await lending.standing(loan_id)).outstanding.fee == 5_000
    with pytest.raises(LedgerError, match="multiple"):
        await lending.charge(loan_id, 5_050)


async def test_money_with_a_mistyped_reference_is_given_to_its_loan_by_hand(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    receipt_id = await lending.till.take(reference="LOAM-1", shillings=500)

    await lending.give(receipt_id, Target(TargetKind.LOAN, str(loan_id)))

    assert (await lending.standing(loan_id)).outstanding.principal == 950_000
