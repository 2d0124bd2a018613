"""Two that contradict each other at one moment: one wins, the other is a case and no money (scenarios 16 and 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from ledger.errors import PayoutNotCancellable
from ledger.payouts.payout import State
from tests.ledger.payouts.roads import FAILED, road_to, settled
from tests.ledger.payouts.shop import FLOAT, IN_TRANSIT, PREFUND, SHORTAGE, Shop

RACES, AMOUNT = 20, 150_000


async def race(*commands: Awaitable[object]) -> None:
    """All at the same time; a refusal to cancel is an answer."""
    for answer in await asyncio.gather(*commands, return_exceptions=True):
        assert not isinstance(answer, BaseException) or isinstance(answer, PayoutNotCancellable), answer


async def check_money(shop: Shop, ids: list[int]) -> None:
    """Each left the float once, and is the partner's loss or in suspense; both pieces of news are known."""
    states = [await shop.state(one) for one in ids]
    conflicted = states.count("CONFLICTED")

    assert set(states) <= {"SETTLED", "CONFLICTED"}
    assert await shop.balance(FLOAT) == shop.float_opening - len(ids) * AMOUNT
    assert await shop.balance(SHORTAGE) == conflicted * AMOUNT
    assert await shop.balance(PREFUND) == shop.prefunded - (len(ids) - conflicted) * AMOUNT
    assert await shop.balance(IN_TRANSIT) == 0


@pytest.mark.parametrize("state", [State.SUBMITTED, State.UNKNOWN])
async def test_a_success_and_a_failure_at_once_are_a_settlement_or_money_in_suspense_and_always_a_case(
    shop: Shop, state: State
) -> None:
    ids = await shop.request_many(RACES)
    await shop.record(*(outcome for one in ids for outcome in road_to(state, one)))

    for number, one in enumerate(ids):
        pair = [shop.record((one, settled(one))), shop.record((one, FAILED))]
        await race(*(pair if number % 2 else reversed(pair)))

    await check_money(shop, ids)
    assert sorted(await shop.reviews()) == [("provider-conflict", one) for one in ids]


async def test_a_cancellation_and_a_success_at_once_give_the_money_to_one_of_them(shop: Shop) -> None:
    ids = await shop.request_many(RACES)

    for number, one in enumerate(ids):
        pair = [shop.record((one, settled(one))), shop.cancel(one)]
        await race(*(pair if number % 2 else reversed(pair)))

    await check_money(shop, ids)
    conflicted = [one for one in ids if await shop.state(one) == "CONFLICTED"]
    assert sorted(await shop.reviews()) == [("provider-conflict", one) for one in conflicted]
