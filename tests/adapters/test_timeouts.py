"""Requests to the rail that nobody answers: some never arrived, some were carried out (scenarios 1 and 2)."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.adapters.test_resubmission import behaves, quarters
from tests.journeys.rig import Rig, open_rig
from tests.ledger.payouts.shop import FLOAT, PREFUND, UNKNOWN

AMOUNT = 150_000
NEVER_ARRIVED = ["hang-not-paid", "dropped-before-queueing"]
CARRIED_OUT = ["hang-paid", "dropped-after-queueing"]


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


@pytest.mark.parametrize("behaviour", NEVER_ARRIVED)
async def test_what_never_arrived_is_not_sent_again_and_waits_for_a_person_with_its_money(
    rig: Rig, behaviour: str
) -> None:
    await rig.script(behaviour, count=1)
    payout_id = await rig.request()

    await quarters(rig, 12)

    assert [one.fate.value for one in await rig.seen(payout_id)] == ["not reached"]
    assert await rig.state(payout_id) == "UNKNOWN"
    assert await rig.reviews() == [("submit-unknown", payout_id)]
    assert await rig.balance(UNKNOWN) == AMOUNT
    assert await rig.balance(PREFUND) == rig.prefunded - AMOUNT


@pytest.mark.parametrize("behaviour", NEVER_ARRIVED)
async def test_over_a_rail_that_refuses_repeats_it_is_sent_again_under_the_same_reference(
    fresh_engine: AsyncEngine, behaviour: str
) -> None:
    async with open_rig(fresh_engine, resubmits=True) as rig:
        await behaves(rig, behaviour, then="success")
        payout_id = await rig.request()

        await quarters(rig, 6)

        assert [one.fate.value for one in await rig.seen(payout_id)] == ["not reached", "paid"]
        assert await rig.state(payout_id) == "SETTLED"
        assert await rig.balance(FLOAT) == rig.float_opening - AMOUNT


@pytest.mark.parametrize("behaviour", CARRIED_OUT)
async def test_what_was_carried_out_without_an_answer_releases_nothing_and_settles_by_its_callback(
    rig: Rig, behaviour: str
) -> None:
    await rig.script(behaviour, count=1)
    payout_id = await rig.request()

    await rig.dispatcher.step()
    unanswered = await rig.state(payout_id), await rig.balance(UNKNOWN), await rig.balance(PREFUND)
    await rig.work_until_quiet()

    assert unanswered == ("UNKNOWN", AMOUNT, rig.prefunded - AMOUNT)
    assert [one.fate.value for one in await rig.seen(payout_id)] == ["paid"]
    assert await rig.entries(payout_id) == ["payout.reserved", "payout.unknown", "payout.settled"]


async def test_what_was_carried_out_in_silence_releases_nothing_and_settles_by_a_status_query(rig: Rig) -> None:
    await rig.script("ack-lost-no-callback", count=1)
    payout_id = await rig.request()

    await rig.work_until_quiet()
    unanswered = await rig.state(payout_id), await rig.balance(UNKNOWN), await rig.balance(PREFUND)
    await quarters(rig, 1)

    assert unanswered == ("UNKNOWN", AMOUNT, rig.prefunded - AMOUNT)
    assert len(await rig.seen(payout_id)) == 1
    assert await rig.entries(payout_id) == ["payout.reserved", "payout.unknown", "payout.settled"]
