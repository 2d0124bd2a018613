"""A shop sells by what its receiver is told alone: paid by phone and at the paybill, returned, run out of time; each
order's changes in order, though tries fail in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.collections import order as orders
from ledger.collections.ordering import Order
from tests.journeys.returns_desk import Desk as ReturnDesk
from tests.journeys.rig import Rig, open_rig
from tests.journeys.test_money_in import Market, open_market
from tests.journeys.test_prompts import NUMBER, Counter
from tests.ledger.payouts.shop import Clock
from tests.webhooks.desk import Desk, open_desk_of, retry_policy
from tests.webhooks.readme import documented
from tests.webhooks.receiver import Arrival, Receiver, open_receiver

HELD, SOLD, FREE = "held", "sold", "free"
MEANS = {
    "order.part_paid": HELD, "order.paid": SOLD, "order.part_returned": SOLD, "order.reversed": FREE,
    "order.expired": FREE, "order.cancelled": FREE,
}  # fmt: skip


@dataclass
class Shelf:
    """What the shop believes of its stock, by order reference; it takes every other try only."""

    stock: dict[str, list[str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    tries: int = 0

    async def take(self, arrival: Arrival) -> int:
        """Fails each second try; a repeat changes nothing."""
        self.tries += 1
        if self.tries % 2:
            return 503
        content = arrival.content
        if arrival.id not in self.seen and "reference" in content and content["type"] in MEANS:
            self.stock.setdefault(content["reference"], []).append(content["type"])
        self.seen.add(arrival.id)
        return 204


@dataclass
class Sale:
    """The rail, the shop's receiver, and what carries webhooks to it."""

    rig: Rig
    market: Market
    desk: Desk
    receiver: Receiver
    shelf: Shelf
    secret: str

    async def deliver(self) -> None:
        """All that is to be told, however often the shop fails."""
        await self.desk.pass_time(timedelta(minutes=2), step=timedelta(seconds=6))

    async def agree(self, *wanted: Order) -> None:
        """What the shop was told last of each order is what the ledger says of it."""
        for one in wanted:
            told = [row.content for row in self.receiver.taken if row.content.get("order_id") == one.public_id]
            told = [content for content in told if content["type"].startswith("order.")]
            assert told[-1]["status"] == (await self.market.state(one)).value.lower()
            assert [content["version"] for content in told] == sorted({content["version"] for content in told})


@pytest.fixture
async def sale(fresh_engine: AsyncEngine) -> AsyncIterator[Sale]:
    """At the present, which is what verifiers measure timestamps by."""
    async with (
        open_rig(fresh_engine, clock=Clock(datetime.now(UTC))) as rig,
        open_market(rig) as market,
        open_receiver() as receiver,
        open_desk_of(rig, retry=retry_policy(*(timedelta(seconds=5) for _ in range(9)))) as desk,
    ):
        signed = await desk.endpoint(receiver.url)
        yield Sale(rig, market, desk, receiver, Shelf(), signed.secret)


async def test_an_order_paid_by_phone_is_told_with_its_prompt_in_words_that_verify(sale: Sale) -> None:
    counter = Counter(sale.rig, sale.market.control)
    order, prompt_id = await counter.asked()
    await sale.desk.work()

    content = {one.content["type"]: one.verify(sale.secret) for one in sale.receiver.taken}
    prompt = await counter.prompt(prompt_id)
    assert set(content) == {"order.paid", "prompt.paid"}
    assert content["order.paid"]["order_id"] == content["prompt.paid"]["order_id"] == order.public_id
    receipts = {one["transaction_receipt"] for one in content.values()}
    assert len(receipts) == 1
    assert None not in receipts
    assert set(content["prompt.paid"]) == documented("prompts")
    assert content["prompt.paid"]["msisdn"] == prompt.payer_shown
    assert not any(NUMBER in one.body.decode() for one in sale.receiver.arrivals)


async def test_a_payer_who_declines_is_told_and_the_order_waits_on(sale: Sale) -> None:
    counter = Counter(sale.rig, sale.market.control)
    order, _ = await counter.asked("result-1032")
    await sale.desk.work()

    (arrival,) = sale.receiver.taken
    content = arrival.verify(sale.secret)
    assert (content["type"], content["status"], content["result_code"]) == ("prompt.failed", "failed", "1032")
    assert (content["order_id"], content["transaction_receipt"]) == (order.public_id, None)
    assert await counter.state(order) is orders.State.OPEN


async def test_stock_is_held_sold_and_freed_by_what_the_receiver_is_told_alone(sale: Sale) -> None:
    sale.receiver.behave = sale.shelf.take
    till = ReturnDesk(sale.rig, sale.market.control)
    shoes, hat = await till.order("SHOES12"), await till.order("HAT1")
    first = await till.taken("SHOES12", shillings=400)
    await sale.deliver()
    second = await till.taken("SHOES12", shillings=600)
    await till.returned(first, key="r1")
    await till.returned(second, key="r2")
    sale.rig.clock.advance(seconds=1800)
    await sale.rig.application.waiting_watch().step()
    await sale.deliver()

    assert sale.shelf.stock == {
        "SHOES12": ["order.part_paid", "order.paid", "order.part_returned", "order.reversed"],
        "HAT1": ["order.expired"],
    }
    assert [MEANS[told[-1]] for told in sale.shelf.stock.values()] == [FREE, FREE]
    await sale.agree(shoes, hat)
