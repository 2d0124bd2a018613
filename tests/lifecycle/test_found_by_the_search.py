"""Orders of steps that the search found and the product took wrongly, lived again by real workers over a real rail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.errands import RETRY_SECONDS_MAX
from adapters.sandbox.magic import magic_msisdn
from adapters.submission import TRIES_BEFORE_REVIEW
from tests.adapters.test_dispatch import REFUSED
from tests.journeys.observed import Gate
from tests.journeys.rig import LEASE_SECONDS, Rig, open_rig
from tests.ledger.payouts.shop import UNKNOWN

AMOUNT = 150_000
RATE_LIMITED = magic_msisdn("309")


class HoldsTheFirst(Gate):
    """Stops the first that comes, until it is opened; lets the others pass."""

    def __init__(self) -> None:
        super().__init__()
        self.shut()

    async def passed(self) -> None:
        """See above."""
        if self.reached.is_set():
            return
        await super().passed()


@pytest.fixture
async def trusting(fresh_engine: AsyncEngine) -> AsyncIterator[Rig]:
    """Its rail is trusted to refuse a reference that it has seen."""
    async with open_rig(fresh_engine, resubmits=True) as opened:
        yield opened


async def held_back(rig: Rig) -> asyncio.Task[int]:
    """A worker whose first call was made, and that pauses before it records the answer."""
    rig.rail.after = HoldsTheFirst()
    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.after.reached.wait()
    return step


async def test_a_late_refusal_of_the_first_try_gives_nothing_back_once_the_payout_was_sent_again(
    trusting: Rig,
) -> None:
    """The second try may be on its way to the payee."""
    payout_id = await trusting.request(msisdn=REFUSED)
    paused = await held_back(trusting)
    await trusting.script("no-callback-paid", count=1)
    other = trusting.another_dispatcher()
    for seconds in (LEASE_SECONDS, 61, 241, 1501):
        trusting.clock.advance(seconds=seconds)
        await other.step()
    await other.step()
    sent = [one.fate.value for one in await trusting.seen(payout_id)]

    trusting.rail.after.open()
    await paused

    assert sent == ["not reached", "paid"]
    assert await trusting.state(payout_id) == "UNKNOWN"
    assert await trusting.balance(UNKNOWN) == AMOUNT


async def test_a_late_word_that_it_was_not_sent_is_no_case_of_a_payout_that_moved_on(rig: Rig) -> None:
    payout_id = await rig.request(msisdn=RATE_LIMITED)
    for _ in range(TRIES_BEFORE_REVIEW - 1):
        await rig.dispatcher.step()
        rig.clock.advance(seconds=RETRY_SECONDS_MAX)
    paused = await held_back(rig)
    rig.clock.advance(seconds=LEASE_SECONDS)
    await rig.another_dispatcher().step()

    rig.rail.after.open()
    await paused

    assert await rig.state(payout_id) == "UNKNOWN"
    assert await rig.reviews() == []
