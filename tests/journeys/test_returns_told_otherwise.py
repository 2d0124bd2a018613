"""Returns of unknown outcome are asked about and decided by people; and what a provider took back unasked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.collections import order as orders
from ledger.collections.receipt import Holdings
from ledger.collections.returning import Standing, State
from ledger.errors import ReceiptShort, ReviewNotResolvable
from ledger.money import Money
from ledger.outbox.collecting import Returned
from ledger.resolutions import Verb
from tests.journeys.returns_desk import CLAWBACK, Desk, open_desk
from tests.ledger.collections.till import LANDING, SUSPENSE, WALLET


@pytest.fixture
async def desk(engine: AsyncEngine) -> AsyncIterator[Desk]:
    """Open, registered, and asked before each payment; Amina has a wallet."""
    async with open_desk(engine) as opened:
        yield opened


async def test_a_silent_return_is_asked_about_and_ended_by_the_answer(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-silent")
    return_id = await desk.returned(receipt_id)
    desk.rig.clock.advance(seconds=901)
    await desk.rig.work_until_quiet()

    desk.rig.clock.advance(seconds=61)
    await desk.rig.work_until_quiet()

    assert (await desk.of(return_id)).state is State.RETURNED
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    assert await desk.queues() == []


async def test_a_forgotten_return_stays_unknown_until_a_person_gives_it_up(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-forgotten")
    return_id = await desk.unknown(receipt_id)
    case = await desk.case()

    with pytest.raises(ReviewNotResolvable):
        await desk.decide(case, Verb.DISMISS)
    closed = await desk.decide(case, Verb.RELEASE)

    assert (closed.verb, (await desk.of(return_id)).state) == ("release", State.FAILED)
    assert closed.entry_id is not None
    assert await desk.holdings(receipt_id) == Holdings(0, suspended=100_000)
    assert await desk.queues() == ["receipt-unallocated"]


async def test_a_person_settles_an_unknown_return_by_its_receipt_and_no_receipt_settles_two(desk: Desk) -> None:
    first, second = (
        await desk.taken("AMINA", behaviour="reversal-forgotten"),
        await desk.taken("AMINA", behaviour="reversal-forgotten"),
    )
    await desk.ask(first)
    await desk.unknown(second, key="r2")
    one, other = await desk.cases()

    await desk.decide(one, Verb.SETTLE, receipt="UKL0RTN001")
    with pytest.raises(ReviewNotResolvable):
        await desk.decide(other, Verb.SETTLE, receipt="UKL0RTN001")

    assert await desk.holdings(first) == Holdings(0, returned=100_000)
    assert await desk.holdings(second) == Holdings(0, returning=100_000)


async def test_a_return_given_up_that_was_made_after_all_leaves_from_wherever_its_money_is(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-forgotten")
    return_id = await desk.unknown(receipt_id)
    await desk.decide(await desk.case(), Verb.RELEASE)

    told = Returned("UKL0RTN002", None, Money("KES", 100_000), desk.rig.now())
    results = [await desk.report(return_id, told) for _ in range(2)]

    assert results == [State.RETURNED, Standing.REPEATED]
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    assert await desk.rig.balance(SUSPENSE) == 0
    assert await desk.queues() == []


async def test_what_the_provider_took_back_is_gone_and_reverses_the_order(desk: Desk) -> None:
    order = await desk.order("SHOES12")
    before = await desk.rig.balance(LANDING)
    receipt_id = await desk.taken()

    first, again = await desk.taken_back(receipt_id), await desk.taken_back(receipt_id)

    assert first == again
    assert ((await desk.of(first)).state, (await desk.of(first)).unasked) == (State.RETURNED, True)
    assert await desk.state(order) is orders.State.REVERSED
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    assert await desk.rig.balance(LANDING) == before


async def test_what_its_owner_has_spent_of_it_the_owner_owes(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")
    await desk.spend(60_000)

    await desk.taken_back(receipt_id, shillings=700)

    assert await desk.rig.balance(WALLET) == 0
    assert await desk.rig.balance(CLAWBACK) == 30_000
    assert await desk.holdings(receipt_id) == Holdings(0, allocated=30_000, returned=70_000)
    assert await desk.queues() == ["reversal-race"]


async def test_a_return_and_the_provider_at_once_take_no_more_than_there_was(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")

    done = await asyncio.gather(
        desk.ask(receipt_id, shillings=600), desk.taken_back(receipt_id, shillings=600), return_exceptions=True
    )

    assert sum(isinstance(one, ReceiptShort) for one in done) == 1
    held = await desk.holdings(receipt_id)
    assert (held.allocated, held.returning + held.returned) == (40_000, 60_000)


@pytest.mark.parametrize("behaviour", ["taken-back", "success"])
async def test_a_receipt_asked_about_is_taken_back_where_the_provider_says_so(desk: Desk, behaviour: str) -> None:
    order = await desk.order("SHOES12")
    receipt_id = await desk.taken(behaviour=behaviour)

    for _ in range(2):
        await desk.check(receipt_id)

    gone = behaviour == "taken-back"
    assert await desk.state(order) is (orders.State.REVERSED if gone else orders.State.PAID)
    assert await desk.holdings(receipt_id) == (
        Holdings(0, returned=100_000) if gone else Holdings(0, allocated=100_000)
    )
    assert await desk.queues() == []


async def test_a_receipt_reversed_while_it_is_being_returned_is_for_a_person(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-forgotten")
    await desk.ask(receipt_id)

    await desk.provider_takes_back(receipt_id)
    await desk.check(receipt_id)

    assert (await desk.holdings(receipt_id)).returning == 100_000
    assert "reversal-race" in await desk.queues()
