"""Loans between customers on real books: from wallet to wallet, our fee apart, nothing of it an asset of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import FloorWouldBreak
from ledger.loans.terms import Mode
from tests.ledger.loans.lending import BORROWER, LENDER, TERMS, Lending

WALLET, LENDERS = f"liab.wallet.{BORROWER}", f"liab.wallet.{LENDER}"


async def test_a_lenders_loan_goes_from_wallet_to_wallet(lending: Lending) -> None:
    terms = replace(TERMS, instalments=1, mode=Mode.AGENT, service_fee_basis_points=500)
    await lending.product(terms, code="rafiki")
    loan_id = await lending.request(minor_units=1_000_000, product="rafiki", lender=LENDER)
    await lending.approve(loan_id)
    with pytest.raises(FloorWouldBreak):
        await lending.disburse(loan_id)
    await lending.fund(LENDERS, 1_500_000)

    await lending.disburse(loan_id)
    await lending.settle_payout(loan_id)
    lent = await lending.shop.balance(LENDERS)
    await lending.pass_days(30)
    await lending.pay(loan_id, 1_100_000)

    # 10,000.00 and 100.00 of interest are due; 5 % of that is ours, and the borrower keeps what was too much.
    assert lent == 500_000
    assert await lending.shop.balance(LENDERS) == 500_000 + 1_010_000 - 50_500
    assert await lending.shop.balance("income.loan_fees") == 50_500
    assert await lending.shop.balance(WALLET) == 90_000
    assert await lending.state(loan_id) == "CLOSED"
    assert await lending.held(loan_id) == {}


async def test_a_lenders_loan_that_fails_gives_the_lender_the_money_back(lending: Lending) -> None:
    await lending.product(replace(TERMS, mode=Mode.AGENT), code="rafiki")
    loan_id = await lending.approved_loan(minor_units=1_000_000, product="rafiki", lender=LENDER)
    await lending.fund(LENDERS, 1_500_000)
    await lending.disburse(loan_id)

    await lending.fail_payout(loan_id)

    assert await lending.shop.balance(LENDERS) == 1_500_000
    assert await lending.state(loan_id) == "DISBURSEMENT_FAILED"
