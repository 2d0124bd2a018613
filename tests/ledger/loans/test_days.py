"""The work of days on real books: each day once, those left out made up for, penalties up to their cap."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.loans.accrual import interest_before
from ledger.loans.schedule import day_of
from ledger.loans.terms import DailyPenalty, Interval, Unit
from ledger.money import Money
from ledger.outbox.instruction import Settled
from ledger.payouts.outcome import Started
from ledger.reconciliation.closing import CloseDesk
from tests.ledger.loans.lending import CHECKER, MAKER, TERMS, Lending


async def test_each_day_is_worked_once_and_those_left_out_are_made_up_for(lending: Lending) -> None:
    daily, late = await lending.active_loan(), await lending.active_loan()
    first = await lending.loan(daily)

    for _ in range(5):
        await lending.pass_days(1)
    again = await lending.work()
    left_out = await lending.loan(late)

    days = await lending.shop.rows(
        "SELECT subject_id, business_date FROM journal_entries WHERE ledger_id = :ledger AND kind = "
        "'loan.interest_accrued' AND facts ->> 'loan' = :loan ORDER BY id",
        loan=first.public_id,
    )
    assert again == 0
    assert left_out.worked_before == (await lending.loan(daily)).worked_before
    assert first.starts_on is not None
    assert [day for _, day in days] == [first.starts_on + timedelta(days=number) for number in range(5)]


@pytest.mark.parametrize("days", [1, 31])
async def test_days_come_to_the_same_however_they_are_worked(lending: Lending, days: int) -> None:
    loan_id = await lending.active_loan(minor_units=1_234_500)

    for _ in range(31 // days):
        await lending.pass_days(days)

    loan = await lending.loan(loan_id)
    earned = interest_before(loan.schedule, loan.worked)
    assert (await lending.standing(loan_id)).outstanding.interest == earned.minor_units > 0


async def test_what_stays_unpaid_past_its_grace_is_charged_a_penalty_up_to_the_cap(lending: Lending) -> None:
    terms = replace(TERMS, instalments=1, grace_days=2, penalty=DailyPenalty(100, 500))
    await lending.product(terms, code="chelewa")
    loan_id = await lending.active_loan(minor_units=1_000_000, product="chelewa")

    await lending.pass_days(30 + 2)
    in_grace = (await lending.standing(loan_id)).outstanding.penalty
    await lending.pass_days(2)
    first = (await lending.standing(loan_id)).outstanding.penalty
    await lending.pass_days(60)

    assert (in_grace, first) == (0, 10_000)
    assert (await lending.loan(loan_id)).penalties_charged == 50_000
    assert await lending.shop.balance("income.penalties") == 50_000


async def test_a_repayment_learned_behind_a_close_counts_from_the_day_it_was_made(lending: Lending) -> None:
    terms = replace(TERMS, instalments=2, every=Interval(1, Unit.WEEK), penalty=DailyPenalty(100, 500))
    await lending.product(terms, code="wiki")
    loan_id = await lending.active_loan(product="wiki")
    await lending.pass_days(7)
    loan, paid_at = await lending.loan(loan_id), lending.shop.now()
    lending.shop.clock.moment += timedelta(days=3)
    await _close_yesterday(lending)

    await lending.till.take(reference=loan.reference, amount=Money("KES", 600_000), completed_at=paid_at)
    await lending.work()

    assert (await lending.loan(loan_id)).penalties_charged == 0
    assert (await lending.standing(loan_id)).outstanding.principal < 500_000
    rows = await lending.shop.rows(
        "SELECT business_date FROM journal_entries WHERE ledger_id = :ledger AND kind LIKE 'collection.%' ORDER BY id"
    )
    assert {day for (day,) in rows} == {day_of(lending.shop.now(), lending.shop.ledger.zone)}


async def test_a_loan_whose_payout_is_learned_behind_a_close_is_charged_for_its_own_principal(
    lending: Lending,
) -> None:
    terms = replace(TERMS, instalments=1, every=Interval(1, Unit.DAY), penalty=DailyPenalty(100, 5_000))
    await lending.product(terms, code="siku")
    loan_id, paid_at = await lending.approved_loan(product="siku"), lending.shop.now()
    await lending.disburse(loan_id)
    payout_id, loan = await lending.payout_of(loan_id), await lending.loan(loan_id)
    await lending.shop.record((payout_id, Started()))
    lending.shop.clock.moment += timedelta(days=1)
    await _close_yesterday(lending)

    await lending.shop.record((payout_id, Settled("RB00000001", loan.net, paid_at)))
    await lending.pass_days(3)

    loan = await lending.loan(loan_id)
    assert loan.starts_on == day_of(paid_at, lending.shop.ledger.zone)
    # Due after one day, and two days are over since.
    assert loan.penalties_charged == 2 * 10_000


async def _close_yesterday(lending: Lending) -> None:
    """Everything before today is signed."""
    shop = lending.shop
    last, desk = day_of(shop.now(), shop.ledger.zone) - timedelta(days=1), CloseDesk(shop.ids)
    await lending.with_session(
        lambda session: desk.begin(session, ledger=shop.ledger, last=last, actor=MAKER, now=shop.now())
    )
    await lending.with_session(
        lambda session: desk.sign(session, ledger=shop.ledger, accept="so", actor=CHECKER, now=shop.now())
    )
