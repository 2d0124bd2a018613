"""A message that breaks the very code that judges it: parked after three tries, and nobody else waits (scenario 23)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from adapters.inbound import RETRY_AFTER, TRIES_MAX
from adapters.provider import PayoutRail
from tests.adapters.test_inbound import reference_of, submitted
from tests.journeys.messages import result
from tests.journeys.rig import Rig

POISON = b'{"Result": "poison"}'


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


class BreakingRail:
    """The real rail, with a bug that one message meets."""

    def __init__(self, rail: object) -> None:
        self._rail = rail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rail, name)

    def read_payout_callback(self, kind: str, raw: bytes) -> Any:
        """Breaks on the message."""
        if raw == POISON:
            raise RecursionError("a bug of the adapter")
        return self.__getattr__("read_payout_callback")(kind, raw)


async def test_a_message_that_breaks_its_judge_is_parked_after_three_tries_and_delays_no_other(rig: Rig) -> None:
    poisoned, sound = await submitted(rig, count=2)
    broken = cast(PayoutRail, BreakingRail(rig.rail))
    inbound = replace(rig.application, rails={"daraja": broken}).inbound()
    await rig.call_back(poisoned, POISON)
    await rig.call_back(sound, result(await reference_of(rig, sound)))

    waiting = []
    for _ in range(TRIES_MAX):
        await inbound.step(limit=10)
        waiting.append(([word for word, _ in await rig.verdicts()], await rig.reviews()))
        rig.clock.advance(seconds=RETRY_AFTER.total_seconds())
    await inbound.step(limit=10)

    assert waiting[:-1] == [([None, "applied"], [])] * (TRIES_MAX - 1)
    assert await rig.verdicts() == [("poison", poisoned), ("applied", sound)]
    assert await rig.reviews() == [("poison-message", poisoned)]
    assert await rig.state(poisoned) == "SUBMITTED"
