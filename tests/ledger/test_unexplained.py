"""Money that left a float although nothing in the books explains it: found, and never alarmed about falsely."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import floats
from ledger.database import driver, run
from ledger.floats import Unexplained
from ledger.payouts.payout import State
from tests.ledger.payouts.roads import road_to
from tests.ledger.payouts.shop import BANK, FLOAT, Clock, Shop, open_shop, opening
from tests.ledger.test_floats import keep, said

AMOUNT = 150_000


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """KES 1,000,000 of float, for an hour already."""
    async with open_shop(engine, clock=Clock()) as opened:
        opened.clock.advance(seconds=3600)
        yield opened


async def unexplained(shop: Shop) -> list[Unexplained]:
    async def command(connection: AsyncConnection) -> list[Unexplained]:
        session = await driver(connection)
        return await floats.find_unexplained(session, ledger_id=shop.ledger.id, provider="daraja", shortcode="600584")

    return await run(shop.engine, command)


async def test_a_provider_that_agrees_or_never_spoke_explains_everything(shop: Shop) -> None:
    silent = await unexplained(shop)
    await keep(shop, said(shop, shop.float_opening))

    assert silent == await unexplained(shop) == []


async def test_one_cent_less_than_the_books_is_found(shop: Shop) -> None:
    await keep(shop, said(shop, shop.float_opening - 1))

    assert await unexplained(shop) == [Unexplained(FLOAT, 1)]


@pytest.mark.parametrize("state", [State.RESERVED, State.SUBMITTING, State.SUBMITTED, State.UNKNOWN])
async def test_a_payout_in_flight_may_have_left_and_explains_its_amount_and_no_more(shop: Shop, state: State) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(state, payout_id))

    await keep(shop, said(shop, shop.float_opening - AMOUNT))
    explained = await unexplained(shop)
    shop.clock.advance(seconds=1)
    await keep(shop, said(shop, shop.float_opening - AMOUNT - 700))

    assert explained == []
    assert await unexplained(shop) == [Unexplained(FLOAT, 700)]


async def test_a_receipt_on_its_way_back_may_have_left_and_explains_its_amount_and_no_more(shop: Shop) -> None:
    await shop.post(opening(BANK, "liab.receipts.returning.daraja.600584", AMOUNT, at=shop.now()))

    await keep(shop, said(shop, shop.float_opening - AMOUNT))
    explained = await unexplained(shop)
    shop.clock.advance(seconds=1)
    await keep(shop, said(shop, shop.float_opening - AMOUNT - 700))

    assert explained == []
    assert await unexplained(shop) == [Unexplained(FLOAT, 700)]


@pytest.mark.parametrize("state", [State.SETTLED, State.CONFLICTED])
async def test_what_the_books_know_to_have_left_is_gone_from_both(shop: Shop, state: State) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(state, payout_id))

    await keep(shop, said(shop, shop.float_opening - AMOUNT))

    assert await unexplained(shop) == []


async def test_what_a_provider_paid_and_called_failed_is_found(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.RELEASED, payout_id))

    await keep(shop, said(shop, shop.float_opening - AMOUNT))

    assert await unexplained(shop) == [Unexplained(FLOAT, AMOUNT)]


async def test_what_came_in_after_the_providers_word_is_not_missing_from_it(shop: Shop) -> None:
    await keep(shop, said(shop, shop.float_opening))
    shop.clock.advance(seconds=1)
    await shop.post(opening(FLOAT, BANK, 40_000_000, at=shop.now()))
    at_once = await unexplained(shop)

    shop.clock.advance(seconds=3600)
    await keep(shop, said(shop, shop.float_opening))

    assert at_once == []
    assert await unexplained(shop) == [Unexplained(FLOAT, 40_000_000)]


async def test_clocks_that_disagree_by_minutes_alarm_nobody(shop: Shop) -> None:
    """The provider's word is dated four minutes after a top-up that it does not show."""
    await shop.post(opening(FLOAT, BANK, 40_000_000, at=shop.now()))
    shop.clock.advance(seconds=240)

    await keep(shop, said(shop, shop.float_opening))

    assert await unexplained(shop) == []


async def test_the_newest_word_counts(shop: Shop) -> None:
    await keep(shop, said(shop, 1, minutes=10), said(shop, shop.float_opening, minutes=1))

    assert await unexplained(shop) == []
