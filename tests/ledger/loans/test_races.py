"""Who acts on one loan at the same time: one after the other, whatever the order."""

from __future__ import annotations

import asyncio

import pytest

from ledger.errors import LedgerError
from ledger.loans.refusals import LoanNotReady
from tests.ledger.loans.lending import BORROWER, Lending

WALLET, OVERPAID = f"liab.wallet.{BORROWER}", f"liab.overpayment.{BORROWER}"


@pytest.mark.parametrize("number", range(3))
async def test_two_payments_at_once_pay_one_after_the_other(lending: Lending, number: int) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)

    await asyncio.gather(lending.pay(loan_id, 700_000), lending.pay(loan_id, 400_000))

    assert await lending.state(loan_id) == "CLOSED"
    assert await lending.held(loan_id) == {}
    assert await lending.shop.balance(OVERPAID) == 100_000


@pytest.mark.parametrize("number", range(3))
async def test_a_write_off_and_a_payment_at_once_are_a_repayment_or_a_recovery(lending: Lending, number: int) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)

    await asyncio.gather(lending.write_off(loan_id), lending.pay(loan_id, 400_000))

    lost, recovered = await lending.shop.balance("expense.impairment"), await lending.shop.balance("income.recoveries")
    assert (lost, recovered) in ((1_000_000, 400_000), (600_000, 0))
    assert (await lending.standing(loan_id)).written_off.minor_units == 600_000


async def test_a_payment_that_closes_a_loan_at_once_with_its_write_off(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)

    written, _ = await asyncio.gather(
        lending.write_off(loan_id), lending.pay(loan_id, 1_000_000), return_exceptions=True
    )

    assert written is False or isinstance(written, LoanNotReady)
    assert await lending.held(loan_id) == {}
    assert await lending.state(loan_id) == ("CLOSED" if isinstance(written, LoanNotReady) else "WRITTEN_OFF")


async def test_one_request_to_pay_out_asked_many_times_at_once_pays_once(lending: Lending) -> None:
    loan_id = await lending.approved_loan()

    replies = await asyncio.gather(*(lending.disburse(loan_id, key="once") for _ in range(4)))

    assert sorted(replies) == [False, True, True, True]
    assert len(await lending.shop.rows("SELECT FROM payouts WHERE ledger_id = :ledger")) == 1


async def test_two_requests_to_pay_out_pay_once(lending: Lending) -> None:
    loan_id = await lending.approved_loan()

    replies = await asyncio.gather(*(lending.disburse(loan_id) for _ in range(3)), return_exceptions=True)

    assert [one for one in replies if not isinstance(one, LedgerError)] == [False]
    assert len(await lending.shop.rows("SELECT FROM payouts WHERE ledger_id = :ledger")) == 1


async def test_workers_side_by_side_do_each_day_once(lending: Lending) -> None:
    loans = [await lending.active_loan() for _ in range(4)]
    lending.shop.clock.advance(seconds=5 * 86_400)

    await asyncio.gather(*(lending.work() for _ in range(3)))

    counted = await lending.shop.rows(
        "SELECT count(*), count(DISTINCT subject_id) FROM journal_entries "
        "WHERE ledger_id = :ledger AND kind = 'loan.interest_accrued'"
    )
    assert counted == [(5 * len(loans), 5 * len(loans))]


async def test_a_payment_and_the_days_work_at_once_come_to_the_same(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    lending.shop.clock.advance(seconds=30 * 86_400)

    await asyncio.gather(lending.work(), lending.pay(loan_id, 500_000))

    assert (await lending.standing(loan_id)).outstanding.total.minor_units == 510_000


async def test_an_overpayment_is_spent_once(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    await lending.fund(WALLET, 600_000)

    replies = await asyncio.gather(
        lending.repay(loan_id, 400_000), lending.repay(loan_id, 400_000), return_exceptions=True
    )

    assert sorted(isinstance(one, LedgerError) for one in replies) == [False, True]
    assert await lending.shop.balance(WALLET) == 200_000
