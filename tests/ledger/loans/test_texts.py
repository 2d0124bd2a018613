"""What borrowers are told by text: each payment with what is owed after it, and what is due, the day before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.database import Driver
from ledger.loans.accrual import interest_between
from ledger.loans.loan import State
from ledger.loans.reminding import coming
from ledger.loans.schedule import Schedule
from ledger.loans.terms import LoanTerms
from ledger.msisdn import Msisdn
from ledger.sms import desk
from ledger.sms.templates import Told
from ledger.sms.writing import list_messages
from tests.ledger.loans.lending import BORROWER, Lending
from tests.ledger.loans.products import lent
from tests.ledger.payouts.shop import MOMENT, PARTY_KEYS, PAYEE
from tests.ledger.sms.opened import tell_customers


@given(lent(), st.data())
def test_each_due_date_is_told_once_on_its_eve_however_days_are_made_up_for(
    product: tuple[LoanTerms, Schedule], data: st.DataObject
) -> None:
    """But for those that are past when their days are worked, and the day after the loan began."""
    _, schedule = product
    begins, ends = schedule.starts_on, schedule.instalments[-1].due_on
    days = [begins + timedelta(days=one) for one in range(1, (ends - begins).days + 1)]
    worked = sorted(data.draw(st.sets(st.sampled_from(days), max_size=30)) | {days[-1]})

    told = [
        one.due_on
        for since, until in pairwise([begins, *worked])
        for one in coming(schedule, since=since, until=until, today=until)
    ]

    due = {one.due_on for one in schedule.instalments if one.due_on > begins + timedelta(days=1)}
    assert told == sorted(set(told))
    assert set(told) == {day for day in due if {day, day - timedelta(days=1)} & set(worked)}


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


async def test_who_wants_no_messages_gets_what_became_of_their_money_and_no_reminder(telling: Lending) -> None:
    loan_id = await telling.active_loan()
    await telling.pay(loan_id, 100_000)
    await telling.pass_days(29)
    shop = telling.shop

    async def after_stop(session: Driver) -> dict[Told, bool]:
        phones = [Msisdn(PAYEE)]
        await desk.stop(
            session, ledger_id=shop.ledger.id, phones=phones, source="tests", keys=PARTY_KEYS, now=shop.now()
        )
        found = await list_messages(session, ledger_id=shop.ledger.id, state=None, before=2**63 - 1, limit=10)
        return {one.told: one.is_unwanted for one in found}

    unwanted = await telling.with_session(after_stop)

    assert unwanted == {Told.LOAN_DISBURSED: False, Told.LOAN_REPAID: False, Told.LOAN_DUE: True}


async def test_a_ledger_that_tells_nobody_writes_nothing(lending: Lending) -> None:
    await lending.product()
    loan_id = await lending.active_loan()
    await lending.pay(loan_id, 250_000)

    await lending.pass_days(30)

    assert lending.shop.clock.moment > MOMENT
    assert await lending.shop.rows("SELECT FROM sms_messages WHERE ledger_id = :ledger") == []
