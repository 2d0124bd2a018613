"""Sending again after silence: to a person, over a rail that refuses repeats, under the same reference, and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.daraja.credentials import DarajaAccess
from adapters.sandbox.magic import magic_msisdn
from ledger.errors import TextInvalid
from tests.adapters.test_dispatch import cut_off
from tests.journeys.rig import LEASE_SECONDS, Rig, open_rig
from tests.ledger.payouts.shop import FLOAT, UNKNOWN

AMOUNT = 150_000
NEVER_ARRIVED = magic_msisdn("303")


@pytest.fixture
async def trusting(fresh_engine: AsyncEngine) -> AsyncIterator[Rig]:
    """Its rail is trusted to refuse a reference that it has seen."""
    async with open_rig(fresh_engine, resubmits=True) as opened:
        yield opened


async def quarters(rig: Rig, count: int) -> None:
    """So many quarters of an hour of work."""
    for _ in range(count):
        await rig.work_until_quiet()
        rig.clock.advance(seconds=900)
    await rig.work_until_quiet()


async def behaves(rig: Rig, behaviour: str, *, then: str) -> None:
    """The next request gets the first behaviour, those after it the other."""
    await rig.script(behaviour, count=1)
    await rig.script(then, count=5)


async def test_what_never_arrived_is_sent_again_under_the_same_reference_and_paid(trusting: Rig) -> None:
    await behaves(trusting, "internal-server-error", then="success")
    payout_id = await trusting.request()

    await quarters(trusting, 6)

    seen = await trusting.seen(payout_id)
    assert [one.fate.value for one in seen] == ["not reached", "paid"]
    assert await trusting.state(payout_id) == "SETTLED"
    assert await trusting.balance(FLOAT) == trusting.float_opening - AMOUNT
    assert await trusting.entries(payout_id) == ["payout.reserved", "payout.unknown", "payout.settled"]
    assert await trusting.reviews() == []


async def test_what_was_paid_in_silence_is_not_paid_again_and_the_refusal_of_the_repeat_releases_nothing(
    trusting: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a while the provider's own status queries cannot find it, so it is sent again; the provider has seen it."""
    await trusting.script("ack-lost-no-callback", count=1)
    payout_id = await trusting.request()
    with monkeypatch.context() as blind:
        blind.setattr(trusting.sandbox.world, "order", lambda **_: None)
        await quarters(trusting, 4)
    refused = await trusting.state(payout_id)

    await quarters(trusting, 8)

    assert refused == "UNKNOWN"
    seen = await trusting.seen(payout_id)
    assert [one.fate.value for one in seen] == ["paid", "refused"]
    assert await trusting.state(payout_id) == "SETTLED"
    assert await trusting.balance(FLOAT) == trusting.float_opening - AMOUNT


async def test_it_is_sent_again_once_and_then_a_person_is_asked(trusting: Rig) -> None:
    await trusting.script("internal-server-error", count=9)
    payout_id = await trusting.request()

    await quarters(trusting, 12)

    assert len(await trusting.seen(payout_id)) == 2
    assert await trusting.state(payout_id) == "UNKNOWN"
    assert await trusting.balance(UNKNOWN) == AMOUNT
    assert await trusting.reviews() == [("submit-unknown", payout_id)]


async def test_a_rail_that_is_not_trusted_to_refuse_repeats_is_never_sent_one(fresh_engine: AsyncEngine) -> None:
    async with open_rig(fresh_engine) as rig:
        payout_id = await rig.request(msisdn=NEVER_ARRIVED)

        await quarters(rig, 12)

        assert len(await rig.seen(payout_id)) == 1
        assert await rig.state(payout_id) == "UNKNOWN"


@pytest.mark.parametrize("gate", ["before", "after"])
async def test_a_crash_around_the_second_call_makes_it_again_and_pays_once(trusting: Rig, gate: str) -> None:
    await behaves(trusting, "internal-server-error", then="success")
    payout_id = await trusting.request()
    await trusting.work_until_quiet()
    for seconds in (61, 241, 1501):
        trusting.clock.advance(seconds=seconds)
        await trusting.dispatcher.step()
    door = getattr(trusting.rail, gate)
    door.shut()
    step = asyncio.create_task(trusting.dispatcher.step())
    await door.reached.wait()
    await cut_off(step)
    door.open()

    trusting.clock.advance(seconds=LEASE_SECONDS)
    await trusting.another_dispatcher().step()
    await quarters(trusting, 2)

    fates = [one.fate.value for one in await trusting.seen(payout_id)]
    assert fates == (["not reached", "paid"] if gate == "before" else ["not reached", "paid", "refused"])
    assert await trusting.state(payout_id) == "SETTLED"


def test_only_the_version_that_refuses_repeats_can_be_trusted_to() -> None:
    with pytest.raises(TextInvalid):
        DarajaAccess(
            base_url="https://x",
            initiator_name="u",
            certificate=b"",
            shortcode="600584",
            api_version="v1",
            resubmits=True,
        )
