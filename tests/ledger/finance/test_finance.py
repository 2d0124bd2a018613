"""Ages, forecasts, days and partners' statements against a shop that pays out and collects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import Driver, driver, run
from ledger.errors import SetTooLarge
from ledger.finance.ageing import Basis, ClearingAge, age_by_postings, clearing_ages
from ledger.finance.daily import Part, day_lines
from ledger.finance.forecast import DAYS, float_forecasts
from ledger.finance.partner_statements import PartnerStatement, partner_statement
from ledger.ids import encode, first_id_at
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.post import business_date
from ledger.journal.trial_balance import trial_balance
from ledger.money import Money
from ledger.outbox.instruction import Acknowledged, OutcomeUnknown, Settled
from ledger.payouts.outcome import Started
from ledger.payouts.payout import State
from tests.ledger.cases import payout_in
from tests.ledger.collections.till import Till, open_till
from tests.ledger.payouts.shop import DEFERRED, FLOAT, IN_TRANSIT, PREFUND, SHORTAGE, UNKNOWN, WORKING, Shop

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
_Result = TypeVar("_Result")


@pytest.fixture
async def till(engine: AsyncEngine) -> AsyncIterator[Till]:
    """A shop whose books were opened at the clock's moment; each payout costs its partner ten shillings."""
    async with open_till(engine, fee=1_000) as opened:
        yield opened


async def _asked(shop: Shop, query: Callable[[Driver], Awaitable[_Result]]) -> _Result:
    async def command(connection: AsyncConnection) -> _Result:
        return await query(await driver(connection))

    return await run(shop.engine, command)


async def _ages(shop: Shop) -> dict[str, ClearingAge]:
    found = await _asked(shop, lambda session: clearing_ages(session, ledger_id=shop.ledger.id, now=shop.now()))
    return {one.path: one for one in found}


def _today(shop: Shop) -> date:
    return business_date(shop.now(), shop.ledger.zone)


async def _paid(shop: Shop, *, shillings: int) -> int:
    """A payout that the provider settled now."""
    payout_id = await shop.request(shillings=shillings)
    await shop.record((payout_id, Started()), (payout_id, Acknowledged()))
    receipt = f"UI1{payout_id % 10**7:07}"
    await shop.record((payout_id, Settled(receipt, Money("KES", shillings * 100), shop.now())))
    return payout_id


async def test_what_payouts_and_receipts_hold_is_as_old_as_they_are(till: Till) -> None:
    shop = till.shop
    await shop.request(shillings=1000)
    await till.take(shillings=70)
    shop.clock.advance(seconds=2 * 86_400)
    unknown = await shop.request(shillings=500)
    await shop.record((unknown, Started()), (unknown, Acknowledged()))
    await shop.record((unknown, OutcomeUnknown("no answer")))
    await shop.request(shillings=200)

    ages = await _ages(shop)

    assert ages[IN_TRANSIT].buckets == [20_000, 0, 100_000, 0, 0]
    assert ages[UNKNOWN].buckets == [50_000, 0, 0, 0, 0]
    assert ages["liab.receipts.unallocated.daraja.600584"].buckets == [0, 0, 7_000, 0, 0]
    assert (ages[IN_TRANSIT].items, ages[IN_TRANSIT].basis) == (2, Basis.ITEMS)
    assert ages[IN_TRANSIT].oldest_at == shop.now() - timedelta(days=2)
    assert ages[DEFERRED].minor_units == sum(ages[DEFERRED].buckets) > 0
    assert [one.path for one in ages.values() if one.beside_items] == []


async def test_what_no_open_item_explains_is_told_apart(till: Till) -> None:
    shop = till.shop
    await shop.request(shillings=1000)
    slip = (debit(SHORTAGE, Money("KES", 300)), credit(IN_TRANSIT, Money("KES", 300)))
    await shop.post(JournalEntry(kind="slip.made", effective_at=shop.now(), postings=slip, source=Source.MANUAL))
    shop.clock.advance(seconds=40 * 86_400)

    ages = await _ages(shop)

    assert ages[IN_TRANSIT].beside_items == 300
    assert (ages[SHORTAGE].basis, ages[SHORTAGE].buckets) == (Basis.POSTINGS, [0, 0, 0, 0, 300])


@given(
    amounts=st.lists(st.integers(1, 1_000), min_size=1, max_size=20),
    left=st.integers(0, 20_000),
    sign=st.sampled_from([1, -1]),
)
def test_the_ages_of_an_account_add_up_to_what_it_holds(amounts: list[int], left: int, sign: int) -> None:
    age = ClearingAge("asset.recon.shortage", "", "KES", sign * left, Basis.POSTINGS)
    newest = [(first_id_at(NOW - timedelta(days=day)), amount) for day, amount in enumerate(amounts)]

    age_by_postings(age, newest, now=NOW)

    assert age.beside_items == 0
    assert all(units * sign >= 0 for units in age.buckets)
    if left and left <= amounts[0]:
        assert (age.buckets[0], age.oldest_at) == (sign * left, NOW)


async def test_a_float_lasts_as_long_as_it_did_lately(till: Till) -> None:
    shop = till.shop
    for _ in range(2):
        await _paid(shop, shillings=700)
        shop.clock.advance(seconds=86_400)
    await shop.request(shillings=300)
    sent = await shop.request(shillings=200)
    await shop.record((sent, Started()))

    found = await _asked(shop, lambda session: float_forecasts(session, ledger=shop.ledger, now=shop.now()))

    forecasts = {one.path: one for one in found}
    one, idle = forecasts[FLOAT], forecasts[WORKING]
    assert one.balance == await shop.balance(FLOAT)
    assert (one.queued, one.queued_count, one.in_flight, one.in_flight_count) == (30_000, 1, 20_000, 1)
    assert one.available == one.balance - 50_000
    assert one.outflow == 140_000
    assert one.minutes_left == one.available * DAYS * 24 * 60 // 140_000
    assert (idle.queued, idle.minutes_left) == (0, 0 if idle.available <= 0 else None)


async def test_a_day_is_what_its_entries_make_of_it(till: Till) -> None:
    shop = till.shop
    shop.clock.advance(seconds=86_400)
    await _paid(shop, shillings=1500)
    await till.take(shillings=70)
    day = _today(shop)
    shop.clock.advance(seconds=86_400)
    await _paid(shop, shillings=200)

    lines = await _asked(shop, lambda session: day_lines(session, ledger_id=shop.ledger.id, day=day))

    entries = {one.name: one for one in lines if one.part is Part.ENTRIES}
    assert [entries[kind].count for kind in ("payout.reserved", "payout.settled", "collection.received")] == [1, 1, 1]
    assert all(one.debits == one.credits for one in entries.values())
    (held,) = [one for one in lines if one.name == FLOAT]
    assert (held.opening, held.debits, held.credits) == (100_000_000, 7_000, 150_000)
    assert held.closing == 100_000_000 + 7_000 - 150_000
    assert {one.part for one in lines} >= {Part.ENTRIES, Part.MONEY, Part.CLEARING, Part.RESULT}


async def _statement(shop: Shop, first: date, *, lines_max: int = 100) -> PartnerStatement:
    """From that day to today."""
    until = _today(shop) + timedelta(days=1)
    return await _asked(
        shop,
        lambda session: partner_statement(
            session, ledger_id=shop.ledger.id, partner=shop.partner, from_date=first, until_date=until,
            lines_max=lines_max,
        ),
    )  # fmt: skip


async def test_a_partners_statement_tells_payouts_and_fees_apart_and_closes_with_its_balance(till: Till) -> None:
    shop = till.shop
    first = _today(shop)
    settled = await _paid(shop, shillings=1500)
    shop.clock.advance(seconds=86_400)
    released = await payout_in(shop, State.RELEASED)

    both, later = await _statement(shop, first), await _statement(shop, _today(shop))

    fee = shop.partner.payout_fee.minor_units
    assert both.closing == later.closing == await shop.balance(PREFUND)
    moves = [(one.kind, one.about, one.amount, one.fee) for one in both.lines if one.about.startswith("pay_")]
    assert moves == [
        ("payout.reserved", encode("pay", settled), -150_000, -fee),
        ("payout.reserved", encode("pay", released), -150_000, -fee),
        ("payout.released", encode("pay", released), 150_000, fee),
    ]
    assert all("****" in one.payee for one in both.lines if one.about)
    assert later.opening == next(one.balance_after for one in both.lines if one.about == encode("pay", settled))
    assert sum(one.amount + one.fee for one in both.totals) == both.closing - both.opening
    with pytest.raises(SetTooLarge):
        await _statement(shop, first, lines_max=1)


async def test_ages_and_the_trial_balance_hold_the_same(till: Till) -> None:
    shop = till.shop
    for state in (State.RESERVED, State.SUBMITTED, State.UNKNOWN, State.CONFLICTED, State.SETTLED):
        await payout_in(shop, state)

    async def proved(connection: AsyncConnection) -> dict[str, int]:
        proof = await trial_balance(connection, ledger_id=shop.ledger.id)
        return {line.path: line.balance for line in proof.lines}

    balances, ages = await run(shop.engine, proved), await _ages(shop)

    assert {path: one.minor_units for path, one in ages.items()} == {path: balances[path] for path in ages}
    assert [one.path for one in ages.values() if one.beside_items] == []
