"""What borrowers are told by text: each payment with what is owed after it, and what is due, the day before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ledger.loans.accrual import interest_between
from ledger.loans.loan import State
from tests.ledger.loans.lending import BORROWER, Lending
from tests.ledger.payouts.shop import MOMENT
from tests.ledger.sms.opened import tell_customers


@pytest.fixture
async def telling(lending: Lending) -> Lending:
    """A shop that lends at 12 % for a year, and tells its customers of everything."""
    await tell_customers(lending.shop)
    await lending.product()
    return lending


async def texts(lending: Lending, event: str) -> list[str]:
    """What was told of an event, oldest first."""
    found = await lending.shop.rows(
        "SELECT body FROM sms_messages WHERE ledger_id = :ledger AND event = :event ORDER BY id", event=event
    )
    return [body for (body,) in found]


async def test_each_payment_is_told_with_its_receipt_and_what_is_owed_after_it(telling: Lending) -> None:
    loan_id = await telling.active_loan()

    receipts = [await telling.pay(loan_id, units) for units in (250_000, 750_000)]
    number, last = [(await telling.till.receipt(one)).receipt for one in receipts]

    assert await texts(telling, "loan.repaid") == [
        f"Shop: tumepokea KES 2500.00 za mkopo wako. Deni lililobaki: KES 7500.00. Ref {number}.",
        f"Shop: tumepokea KES 7500.00 za mkopo wako. Deni lililobaki: KES 0.00. Ref {last}.",
    ]
    assert (await telling.loan(loan_id)).state is State.CLOSED


async def test_a_confirmation_that_comes_twice_is_told_once(telling: Lending) -> None:
    loan = await telling.loan(await telling.active_loan())
    paid = telling.till.paid(shillings=2_500, reference=loan.reference)

    for _ in range(2):
        await telling.till.tell(paid)

    assert len(await texts(telling, "loan.repaid")) == 1


async def test_what_is_paid_out_of_the_wallet_is_told_and_of_a_loan_given_up_what_is_pursued(telling: Lending) -> None:
    loan_id = await telling.active_loan()
    await telling.fund(f"liab.wallet.{BORROWER}", 500_000)
    reference = (await telling.loan(loan_id)).reference

    await telling.repay(loan_id, 300_000)
    await telling.write_off(loan_id)
    await telling.repay(loan_id, 200_000)

    assert await texts(telling, "loan.repaid") == [
        f"Shop: tumepokea KES 3000.00 za mkopo wako. Deni lililobaki: KES 7000.00. Ref {reference}.",
        f"Shop: tumepokea KES 2000.00 za mkopo wako. Deni lililobaki: KES 5000.00. Ref {reference}.",
    ]


async def test_what_is_due_is_told_once_the_day_before_with_the_interest_it_will_have_by_then(telling: Lending) -> None:
    loan_id = await telling.active_loan()
    first = (await telling.loan(loan_id)).schedule.instalments[0]
    eve = (first.due_on - timedelta(days=2)).day
    await telling.pass_days(eve - 1)
    before = await texts(telling, "loan.due")

    for _ in range(3):
        await telling.pass_days(1)

    reference, owed = (await telling.loan(loan_id)).reference, (first.principal + first.interest) // 100
    assert before == []
    (told,) = await texts(telling, "loan.due")
    assert told.startswith(f"Shop: KES {owed}.00 za mkopo wako zilipwe kabla ya mwisho wa {first.due_on:%d/%m/%Y}. ")
    assert told.endswith(f" {reference}.")


async def test_days_that_are_made_up_for_tell_of_nothing_that_is_past(telling: Lending) -> None:
    loan_id = await telling.active_loan()
    third = (await telling.loan(loan_id)).schedule.instalments[2]

    await telling.pass_days((third.due_on - (await telling.loan(loan_id)).worked).days)

    (told,) = await texts(telling, "loan.due")
    assert f"{third.due_on:%d/%m/%Y}" in told


async def test_whoever_has_paid_ahead_is_told_of_the_days_that_are_left_and_of_a_closed_loan_nothing(
    telling: Lending,
) -> None:
    ahead, closed = await telling.active_loan(), await telling.active_loan()
    first = (await telling.loan(ahead)).schedule.instalments[0]
    await telling.pass_days((first.due_on - (await telling.loan(ahead)).worked).days - 2)
    await telling.pay(ahead, first.principal + first.interest)
    await telling.fund(f"liab.wallet.{BORROWER}", 2_000_000)
    await telling.settle(closed)
    loan = await telling.loan(ahead)

    await telling.pass_days(1)

    left = interest_between(loan.schedule, from_day=loan.accrued, to_day=first.to_day)
    assert [one.split(" za ")[0] for one in await texts(telling, "loan.due")] == [f"Shop: {left}"]


async def test_no_phone_rings_at_night(telling: Lending) -> None:
    await telling.active_loan()
    telling.shop.clock.moment = datetime(2026, 9, 29, 21, 1, tzinfo=UTC)  # a minute past midnight in Nairobi

    await telling.work()

    ((due_at,),) = await telling.shop.rows(
        "SELECT i.due_at FROM instructions AS i JOIN sms_messages AS m ON m.ledger_id = i.ledger_id "
        "AND m.id = i.sms_id WHERE i.ledger_id = :ledger AND m.event = 'loan.due'"
    )
    assert due_at == datetime(2026, 9, 30, 6, 0, tzinfo=UTC)


async def test_a_ledger_that_tells_nobody_writes_nothing(lending: Lending) -> None:
    await lending.product()
    loan_id = await lending.active_loan()
    await lending.pay(loan_id, 250_000)

    await lending.pass_days(30)

    assert lending.shop.clock.moment > MOMENT
    assert await lending.shop.rows("SELECT FROM sms_messages WHERE ledger_id = :ledger") == []
