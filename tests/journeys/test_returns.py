"""Money of receipts goes back to its payer, over real HTTP: in full, in part, refused, twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.collections import order as orders
from ledger.collections.receipt import Holdings
from ledger.collections.returning import State
from ledger.errors import FloorWouldBreak, ReceiptShort
from ledger.money import Money
from tests.journeys.returns_desk import CLAWBACK, Desk, open_desk
from tests.ledger.collections.till import LANDING, RETURNING, SUSPENSE, WALLET


@pytest.fixture
async def desk(engine: AsyncEngine) -> AsyncIterator[Desk]:
    """Open, registered, and asked before each payment; Amina has a wallet."""
    async with open_desk(engine) as opened:
        yield opened


async def test_all_of_a_receipt_goes_back_and_its_order_is_reversed(desk: Desk) -> None:
    order = await desk.order("SHOES12")
    before = await desk.rig.balance(LANDING)
    receipt_id = await desk.taken()

    return_id = await desk.returned(receipt_id)

    done = await desk.of(return_id)
    assert (done.state, done.amount) == (State.RETURNED, Money("KES", 100_000))
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    assert await desk.state(order) is orders.State.REVERSED
    assert await desk.rig.balance(LANDING) == before
    assert await desk.rig.balance(RETURNING) == 0


async def test_a_part_goes_back_and_the_rest_stays_with_its_owner(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")

    first = await desk.returned(receipt_id, shillings=300)
    second = await desk.returned(receipt_id, shillings=100, key="r2")

    assert {(await desk.of(first)).state, (await desk.of(second)).state} == {State.RETURNED}
    assert await desk.holdings(receipt_id) == Holdings(0, allocated=60_000, returned=40_000)
    assert await desk.rig.balance(WALLET) == 60_000


async def test_no_more_goes_back_than_came_in_however_many_ask_at_once(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")

    asked = await asyncio.gather(
        *(desk.ask(receipt_id, shillings=400, key=f"r{n}") for n in range(4)), return_exceptions=True
    )
    await desk.rig.work_until_quiet()

    assert sum(isinstance(one, int) for one in asked) == 2
    assert sum(isinstance(one, ReceiptShort) for one in asked) == 2
    assert await desk.holdings(receipt_id) == Holdings(0, allocated=20_000, returned=80_000)


@pytest.mark.parametrize("behaviour", ["reversal-result-1", "reversal-invalid"])
async def test_a_return_that_fails_leaves_the_money_in_suspense_with_a_case(desk: Desk, behaviour: str) -> None:
    receipt_id = await desk.taken("AMINA", behaviour=behaviour)

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.FAILED
    assert await desk.holdings(receipt_id) == Holdings(0, suspended=100_000)
    assert await desk.rig.balance(SUSPENSE) == 100_000
    assert await desk.queues() == ["receipt-unallocated"]


async def test_what_was_returned_before_stays_unknown_with_a_case(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-already")

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.UNKNOWN
    assert await desk.holdings(receipt_id) == Holdings(0, returning=100_000)
    assert await desk.queues() == ["reversal-race"]


@pytest.mark.parametrize("behaviour", ["reversal-silent", "reversal-forgotten"])
async def test_a_return_that_is_never_answered_is_unknown_and_not_sent_again(desk: Desk, behaviour: str) -> None:
    receipt_id = await desk.taken("AMINA", behaviour=behaviour)

    return_id = await desk.returned(receipt_id)
    desk.rig.clock.advance(seconds=901)
    await desk.rig.work_until_quiet()

    assert (await desk.of(return_id)).state is State.UNKNOWN
    assert await desk.holdings(receipt_id) == Holdings(0, returning=100_000)
    assert await desk.queues() == ["submit-unknown"]
    tries = await desk.rig.rows(
        "SELECT sum(attempts) FROM instructions WHERE ledger_id = :ledger AND kind = 'return.submit'"
    )
    assert tries[0][0] == 1


@pytest.mark.parametrize("behaviour", ["reversal-twice", "reversal-timeout-then-success", "reversal-before-ack"])
async def test_a_result_that_comes_oddly_is_booked_once(desk: Desk, behaviour: str) -> None:
    receipt_id = await desk.taken("AMINA", behaviour=behaviour)

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.RETURNED
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)


async def test_a_failure_that_nobody_documents_is_no_failure(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-contradicted")

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.RETURNED
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    assert await desk.queues() == []


async def test_a_result_over_another_amount_books_nothing(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-wrong-amount")

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.SUBMITTED
    assert await desk.holdings(receipt_id) == Holdings(0, returning=100_000)
    assert await desk.queues() == ["amount-mismatch"]


async def test_a_part_of_a_paid_order_goes_back_and_then_the_rest(desk: Desk) -> None:
    order = await desk.order("SHOES12")
    receipt_id = await desk.taken()

    await desk.returned(receipt_id, shillings=300)
    then = await desk.state(order)
    await desk.returned(receipt_id, key="r2")

    assert (then, await desk.state(order)) == (orders.State.PAID, orders.State.REVERSED)
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    told = await desk.rig.rows("SELECT event, paid FROM order_events WHERE ledger_id = :ledger ORDER BY version")
    assert [tuple(one) for one in told] == [
        ("created", 0), ("paid", 100_000), ("part_returned", 70_000), ("reversed", 0),
    ]  # fmt: skip


async def test_parts_of_a_paid_order_that_go_back_at_once_are_never_more_than_was_paid(desk: Desk) -> None:
    order = await desk.order("SHOES12")
    receipt_id = await desk.taken()

    asked = await asyncio.gather(
        *(desk.ask(receipt_id, shillings=300, key=f"r{n}") for n in range(5)), return_exceptions=True
    )
    await desk.rig.work_until_quiet()

    assert sum(isinstance(one, int) for one in asked) == 3
    assert sum(isinstance(one, ReceiptShort) for one in asked) == 2
    assert await desk.holdings(receipt_id) == Holdings(0, allocated=10_000, returned=90_000)
    assert await desk.state(order) is orders.State.PAID


async def test_a_part_goes_back_though_its_owner_has_spent_another(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")
    await desk.spend(60_000)

    await desk.returned(receipt_id, shillings=300)
    with pytest.raises(FloorWouldBreak):
        await desk.ask(receipt_id, shillings=200, key="r2")

    assert await desk.rig.balance(WALLET) == 10_000
    assert await desk.rig.balance(CLAWBACK) == 0
    assert await desk.holdings(receipt_id) == Holdings(0, allocated=70_000, returned=30_000)
