"""The provider takes payments back and tells nobody: a balance that lacks their money has them asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sandbox.products import Account
from ledger.collections import checking
from ledger.collections import order as orders
from ledger.collections.receipt import Holdings
from tests.journeys.returns_desk import Desk, open_desk
from tests.journeys.test_money_in import NUMBER
from tests.ledger.collections.till import LANDING, SUSPENSE

GONE = Holdings(0, returned=100_000)
A_WHILE = 600


@pytest.fixture
async def desk(engine: AsyncEngine) -> AsyncIterator[Desk]:
    """Open, registered, and asked before each payment; Amina has a wallet."""
    async with open_desk(engine) as opened:
        yield opened


async def look(desk: Desk, *, after: float = A_WHILE) -> None:
    """A while later the provider is asked what it holds, and whatever follows is done."""
    desk.rig.clock.advance(seconds=after)
    await desk.rig.application.balance_watch(public_url=desk.rig.public_url).step()
    await desk.rig.work_until_quiet()


async def asked(desk: Desk) -> list[int]:
    """The receipts that were asked about, each as often as it was."""
    found = await desk.rig.rows(
        "SELECT i.receipt_id FROM attempts AS a JOIN instructions AS i ON i.ledger_id = a.ledger_id "
        "AND i.id = a.instruction_id WHERE a.ledger_id = :ledger AND i.kind = 'receipt.query' ORDER BY a.started_at"
    )
    return [receipt_id for (receipt_id,) in found]


def steal(desk: Desk, shillings: int) -> None:
    """Money leaves the provider's account, and nothing tells why."""
    desk.rig.sandbox.world.balances = desk.rig.sandbox.world.balances.moved(Account.UTILITY, -shillings * 100)


async def test_what_a_balance_lacks_is_asked_about_and_booked_and_reverses_its_order(desk: Desk) -> None:
    order = await desk.order("SHOES12")
    receipt_id, other = await desk.taken(), await desk.taken("AMINA", shillings=600)
    await look(desk)
    nothing = await asked(desk)
    await desk.provider_takes_back(receipt_id)

    await look(desk)
    await look(desk)

    assert (nothing, set(await asked(desk))) == ([], {receipt_id, other})
    assert await desk.holdings(receipt_id) == GONE
    assert await desk.holdings(other) == Holdings(0, allocated=60_000)
    assert await desk.state(order) is orders.State.REVERSED
    assert await desk.rig.balance(LANDING) == desk.rig.sandbox.world.balances.utility_cents


async def test_two_that_went_back_at_once_are_both_found(desk: Desk) -> None:
    ids = [await desk.taken("AMINA", shillings=one) for one in (300, 700)]
    for one in ids:
        await desk.provider_takes_back(one)

    await look(desk)

    assert [(await desk.holdings(one)).returned for one in ids] == [30_000, 70_000]


async def test_what_was_asked_about_and_stands_is_left_alone_for_an_hour_and_the_case_stays(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")
    steal(desk, 5_000)

    for _ in range(2):
        await look(desk)
    at_once = await asked(desk)
    for _ in range(checking.ASKED_MAX):
        await look(desk, after=3601)

    assert at_once == [receipt_id]
    assert await asked(desk) == [receipt_id] * checking.ASKED_MAX
    assert (await desk.holdings(receipt_id)).allocated == 100_000
    assert await desk.queues() == ["unledgered-movement"]


async def test_what_is_larger_than_all_that_is_missing_is_not_asked_about(desk: Desk) -> None:
    await desk.taken("AMINA")
    steal(desk, 999)

    await look(desk)

    assert await asked(desk) == []
    assert await desk.queues() == ["unledgered-movement"]


async def test_of_many_those_of_just_that_amount_are_asked_first_and_few_at_once(desk: Desk) -> None:
    (await desk.control.post("/sandbox/c2b", json={"external_validation": False})).raise_for_status()
    wanted = await desk.taken("NOBODY", shillings=777)
    paid = {"msisdn": NUMBER, "amount_cents": 5_000, "reference": "NOBODY"}
    for _ in range(checking.SUSPECTS_MAX + 1):
        (await desk.control.post("/sandbox/customers/pay", json=paid)).raise_for_status()
    await desk.rig.work_until_quiet()
    await desk.provider_takes_back(wanted)

    await look(desk)

    assert len(await asked(desk)) == checking.SUSPECTS_MAX
    assert (await desk.holdings(wanted)).returned == 77_700
    assert await desk.rig.balance(SUSPENSE) == 0


async def test_a_part_that_went_back_is_nobodys_word_and_a_case(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")
    rows = await desk.rig.rows("SELECT receipt FROM receipts WHERE ledger_id = :ledger AND id = :id", id=receipt_id)
    wanted = {"receipt": rows[0][0], "amount_cents": 40_000}
    (await desk.control.post("/sandbox/reversals", json=wanted)).raise_for_status()

    await look(desk)

    assert (await desk.holdings(receipt_id)).returned == 0
    assert await desk.queues() == ["unledgered-movement"]
