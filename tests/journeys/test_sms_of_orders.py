"""Whoever pays an order at a prompt is told by text that it is paid, once, whichever way the money was told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.journeys.rig import open_rig
from tests.journeys.test_money_in import open_market
from tests.journeys.test_prompts import NUMBER, Counter, number_of
from tests.journeys.test_prompts_of_large_money import give_to, parked
from tests.ledger.sms.opened import tell_customers

PAID = "Shop: tumepokea KES 1000.00 za SHOES12. Imelipwa. Asante."


@pytest.fixture
async def counter(engine: AsyncEngine) -> AsyncIterator[Counter]:
    """A shop that tells its customers."""
    async with open_rig(engine) as rig, open_market(rig) as market:
        await tell_customers(rig)
        yield Counter(market.rig, market.control)


@pytest.fixture
async def careful(engine: AsyncEngine) -> AsyncIterator[Counter]:
    """The same, where all money is large."""
    async with open_rig(engine, verify_above=100) as rig, open_market(rig) as market:
        await tell_customers(rig)
        yield Counter(market.rig, market.control)


async def told(counter: Counter) -> list[tuple[str, str]]:
    """What was told of orders, and to whom."""
    found = await counter.rig.rows(
        "SELECT m.body, y.payee_masked FROM sms_messages AS m JOIN parties AS y ON y.ledger_id = m.ledger_id "
        "AND y.id = m.party_id WHERE m.ledger_id = :ledger AND m.event = 'order.paid' ORDER BY m.id"
    )
    return [(body, masked) for body, masked in found]


@pytest.mark.parametrize("behaviour", ["callback-twice", "confirmation-first", "confirmation-alone"])
async def test_whoever_pays_an_order_at_a_prompt_is_told_once(counter: Counter, behaviour: str) -> None:
    await counter.asked(behaviour)

    await counter.rig.judge_for_good()

    ((body, masked),) = await told(counter)
    assert body == PAID
    assert masked[:4] == number_of(behaviour)[:4]


async def test_of_two_who_were_asked_the_one_who_paid_is_told(counter: Counter) -> None:
    order = await counter.order("SHOES12")
    await counter.ask(order, number=number_of("result-1032"), key="p1")
    await counter.rig.work_until_quiet()

    await counter.ask(order, number=NUMBER, key="p2")
    await counter.rig.work_until_quiet()

    ((_, masked),) = await told(counter)
    assert masked[-3:] == NUMBER[-3:]


async def test_who_paid_at_the_paybill_is_known_by_no_number_and_told_nothing(counter: Counter) -> None:
    await counter.order("SHOES12")

    await counter.pay("SHOES12")

    assert await told(counter) == []


async def test_an_order_that_a_person_gave_the_money_to_is_told_when_both_are_true(careful: Counter) -> None:
    order, _ = await parked(careful, "confirmation-alone")
    careful.rig.clock.advance(seconds=1200)
    await careful.recover()
    before = await told(careful)

    await give_to(careful, order)

    assert before == []
    assert [body for body, _ in await told(careful)] == [PAID]
