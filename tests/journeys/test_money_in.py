"""Customers pay the simulated paybill, over real HTTP: what is told finds its order, what is lost is recovered, what is
forged moves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.collecting import Registered
from ledger.collections import ordering, shortcodes
from ledger.collections.order import State
from ledger.collections.ordering import Order, OrderRequest
from ledger.collections.shortcodes import Shortcode
from ledger.database import driver, run
from ledger.idempotency import claim
from ledger.money import Money
from ledger.msisdn import Msisdn
from tests.journeys.rig import Rig, open_rig
from tests.ledger.collections.till import KEYS, LANDING, SHORTCODE, SUSPENSE, UNALLOCATED

NUMBER = "254700000017"
PAYBILL = Shortcode("daraja", SHORTCODE, "KES", LANDING, accepts_unanswered=False, refuses_unknown=True)


@dataclass
class Market:
    """A rig whose shortcode collects, and its customers."""

    rig: Rig
    control: httpx.AsyncClient

    async def pay(
        self, reference: str, *, shillings: int = 1000, behaviour: str | None = None, number: str = NUMBER
    ) -> dict[str, Any]:
        """A customer pays; what the provider made of it."""
        wanted = {"msisdn": number, "amount_cents": shillings * 100, "reference": reference, "behaviour": behaviour}
        answer = await self.control.post("/sandbox/customers/pay", json=wanted)
        answer.raise_for_status()
        await self.rig.work_until_quiet()
        told: dict[str, Any] = answer.json()
        return told

    async def order(self, reference: str, *, shillings: int = 1000) -> Order:
        """The shop's order."""
        request = OrderRequest(
            key=claim(client_id=7, key=reference, method="CreateOrder", content=reference.encode()),
            partner=self.rig.partner,
            reference=reference,
            amount=Money("KES", shillings * 100),
            expires_at=self.rig.now() + timedelta(minutes=30),
        )

        async def command(connection: AsyncConnection) -> Order:
            order, _ = await ordering.create_order(
                await driver(connection),
                ledger=self.rig.ledger,
                request=request,
                keys=KEYS,
                ids=self.rig.ids,
                now=self.rig.now(),
            )
            return order

        return await run(self.rig.engine, command)

    async def state(self, order: Order) -> State:
        """Where the order stands."""

        async def command(connection: AsyncConnection) -> State:
            found = await ordering.find_order(await driver(connection), ledger_id=self.rig.ledger.id, order_id=order.id)
            assert found is not None
            return found.money.state

        return await run(self.rig.engine, command)

    async def receipts(self) -> int:
        """How many are booked."""
        return len(await self.rig.rows("SELECT FROM receipts WHERE ledger_id = :ledger"))

    async def recover(self) -> int:
        """Asks the provider for what came in; how many receipts are booked then."""
        await self.rig.application.recovery(public_url=self.rig.public_url).step()
        return await self.receipts()


@asynccontextmanager
async def open_market(rig: Rig) -> AsyncIterator[Market]:
    """Open, registered, and asked before each payment."""
    async with httpx.AsyncClient(base_url=rig.sandbox_url, trust_env=False) as control:
        opening = partial(shortcodes.open_shortcode, ledger=rig.ledger, shortcode=PAYBILL, ids=rig.ids, now=rig.now())
        await run(rig.engine, opening)
        recovery = rig.application.recovery(public_url=rig.public_url)
        assert await recovery.register(rig.ledger, PAYBILL, nominated=Msisdn("254700000001")) == Registered()
        (await control.post("/sandbox/c2b", json={"external_validation": True})).raise_for_status()
        yield Market(rig, control)


@pytest.fixture
async def market(engine: AsyncEngine) -> AsyncIterator[Market]:
    """A market in a ledger of its own."""
    async with open_rig(engine) as rig, open_market(rig) as opened:
        yield opened


async def test_a_customer_pays_an_order_with_what_they_typed(market: Market) -> None:
    order = await market.order("SHOES12")

    await market.pay("shoes 12")

    assert await market.state(order) is State.PAID
    assert await market.rig.balance(UNALLOCATED) == 0
    assert [verdict for verdict, _ in await market.rig.verdicts()] == ["answered", "applied"]


async def test_a_payment_nobody_asked_for_is_refused_before_it_is_made(market: Market) -> None:
    await market.order("SHOES12", shillings=500)

    unknown = await market.pay("HATS99")
    too_much = await market.pay("SHOES12", shillings=501)

    assert await market.receipts() == 0
    assert (unknown["code"], too_much["code"]) == ("C2B00012", "C2B00013")


async def test_a_confirmation_that_comes_twice_is_one_receipt(market: Market) -> None:
    order = await market.order("SHOES12")

    await market.pay("SHOES12", behaviour="callback-twice")

    assert await market.receipts() == 1
    assert await market.state(order) is State.PAID


async def test_a_confirmation_that_never_comes_is_recovered_once(market: Market) -> None:
    order = await market.order("SHOES12")
    await market.pay("SHOES12", behaviour="no-callback-paid")
    lost = await market.receipts()
    market.rig.clock.advance(seconds=3600)

    recovered = await market.recover()
    market.rig.clock.advance(seconds=3600)
    again = await market.recover()

    assert (lost, recovered, again) == (0, 1, 1)
    assert await market.state(order) is State.PAID


async def test_what_a_list_that_failed_left_out_is_listed_later(market: Market) -> None:
    order = await market.order("SHOES12")
    await market.recover()
    await market.pay("SHOES12", behaviour="no-callback-paid")
    market.rig.clock.advance(seconds=3600)
    scripted = [{"behaviour": "service-unavailable", "api": "pull-query"}]
    (await market.control.post("/sandbox/faults", json={"scripted": scripted})).raise_for_status()

    failed = await market.recover()
    market.rig.clock.advance(seconds=3600)
    again = await market.recover()

    assert (failed, again) == (0, 1)
    assert await market.state(order) is State.PAID


async def test_a_forged_confirmation_books_nothing(market: Market) -> None:
    order = await market.order("SHOES12")
    forged = {
        "TransactionType": "Pay Bill", "TransID": "UI19999999", "TransTime": "20260901101536", "TransAmount": "1000.00",
        "BusinessShortCode": SHORTCODE, "BillRefNumber": "SHOES12", "MSISDN": NUMBER,
    }  # fmt: skip
    async with httpx.AsyncClient(trust_env=False) as forger:
        answer = await forger.post(
            f"{market.rig.public_url}/callbacks/{market.rig.ledger.id}/daraja/confirmation/{'0' * 64}", json=forged
        )

    await market.rig.work_until_quiet()

    assert answer.status_code == 200
    assert await market.receipts() == 0
    assert await market.state(order) is State.OPEN


async def test_what_nobody_is_named_by_ends_in_suspense(market: Market) -> None:
    (await market.control.post("/sandbox/c2b", json={"external_validation": False})).raise_for_status()
    await market.pay("HATS99", shillings=300)
    market.rig.clock.advance(seconds=301)

    await market.rig.application.waiting_watch().step()

    assert await market.rig.balance(SUSPENSE) == 30_000
    assert [queue for queue, _ in await market.rig.reviews()] == ["receipt-unallocated"]
