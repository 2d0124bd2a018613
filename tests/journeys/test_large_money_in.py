"""Large money in: nobody is given it on a callback's word alone. Over real HTTP to the simulated paybill."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.collections.order import State
from tests.journeys.rig import open_rig
from tests.journeys.test_money_in import NUMBER, Market, open_market
from tests.ledger.collections.till import SHORTCODE, SUSPENSE, UNALLOCATED

LIMIT_SHILLINGS = 5_000


@pytest.fixture
async def market(engine: AsyncEngine) -> AsyncIterator[Market]:
    """A market in which receipts over KES 5,000 are asked about."""
    async with open_rig(engine, verify_above=LIMIT_SHILLINGS * 100) as rig, open_market(rig) as opened:
        yield opened


async def evidence(market: Market) -> list[str]:
    """The channels that told of receipts."""
    return [
        channel
        for (channel,) in await market.rig.rows(
            "SELECT channel FROM receipt_evidence WHERE ledger_id = :ledger ORDER BY told_at, channel"
        )
    ]


async def test_what_a_status_query_confirms_pays_its_order(market: Market) -> None:
    order = await market.order("SOFA1", shillings=LIMIT_SHILLINGS + 1)

    await market.pay("SOFA1", shillings=LIMIT_SHILLINGS + 1)

    assert await market.state(order) is State.PAID
    assert sorted(await evidence(market)) == ["confirmation", "query"]
    assert await market.rig.balance(UNALLOCATED) == 0


async def test_what_is_not_over_the_limit_is_not_asked_about(market: Market) -> None:
    order = await market.order("CHAIR1", shillings=LIMIT_SHILLINGS)

    await market.pay("CHAIR1", shillings=LIMIT_SHILLINGS)

    assert await market.state(order) is State.PAID
    assert await evidence(market) == ["confirmation"]


async def test_a_forged_confirmation_on_the_true_path_pays_no_order_and_awaits_a_person(market: Market) -> None:
    order = await market.order("SOFA1", shillings=LIMIT_SHILLINGS + 1)
    registered = market.rig.sandbox.c2b.registrations[SHORTCODE].confirmation_url
    forged = {
        "TransactionType": "Pay Bill", "TransID": "UI19999999", "TransTime": "20260901101536",
        "TransAmount": f"{LIMIT_SHILLINGS + 1}.00", "BusinessShortCode": SHORTCODE, "BillRefNumber": "SOFA1",
        "MSISDN": NUMBER,
    }  # fmt: skip
    async with httpx.AsyncClient(trust_env=False) as forger:
        assert (await forger.post(registered, json=forged)).status_code == 200
    await market.rig.work_until_quiet()
    waiting = await market.rig.balance(UNALLOCATED)
    market.rig.clock.advance(seconds=301)

    await market.rig.application.waiting_watch().step()

    assert await market.state(order) is State.OPEN
    assert (waiting, await market.rig.balance(SUSPENSE)) == ((LIMIT_SHILLINGS + 1) * 100,) * 2
    assert [queue for queue, _ in await market.rig.reviews()] == ["receipt-unallocated"]


async def test_the_providers_list_confirms_it_too(market: Market) -> None:
    order = await market.order("SOFA1", shillings=LIMIT_SHILLINGS + 1)
    wanted = {"msisdn": NUMBER, "amount_cents": (LIMIT_SHILLINGS + 1) * 100, "reference": "SOFA1"}
    (await market.control.post("/sandbox/customers/pay", json=wanted)).raise_for_status()
    await market.rig.sandbox.idle()
    await market.rig.inbound.step(limit=100)  # booked; the worker that asks has not come yet
    before = await market.state(order)
    market.rig.clock.advance(seconds=1200)
    await market.recover()

    await market.rig.application.waiting_watch().step()

    assert (before, await market.state(order)) == (State.OPEN, State.PAID)
