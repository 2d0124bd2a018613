"""The token ends while many workers call: one new token for all, and no refusal of it is taken for a payout's (38)."""

from __future__ import annotations

import asyncio

import httpx

from tests.journeys.rig import CALLS_MAX, Rig

DISPATCHERS, EXPIRIES = 1, 2


async def test_each_end_of_the_token_costs_one_new_one_and_fails_no_payout(rig: Rig) -> None:
    """Each payout is refused for its token once at most, by a gateway that was not asked to pay by that call."""
    dispatchers = [rig.another_dispatcher() for _ in range(DISPATCHERS)]
    await rig.request()
    await rig.work_until_quiet()
    world, ids = rig.sandbox.world, []
    first = world.tokens_issued

    issued = []
    for _ in range(EXPIRIES):
        await expire_token(rig)
        ids += await rig.request_many(DISPATCHERS * CALLS_MAX)
        await asyncio.gather(*(one.step() for one in dispatchers))
        issued.append(world.tokens_issued - first)
    await rig.work_until_quiet()

    assert issued == [1, 2]
    assert world.tokens_refused > 0
    assert {await rig.state(one) for one in ids} == {"SETTLED"}
    answers = await rig.rows("SELECT DISTINCT answer FROM attempts WHERE ledger_id = :ledger")
    assert answers == [("Acknowledged",)]


async def expire_token(rig: Rig) -> None:
    """As when another client of the app takes a token."""
    async with httpx.AsyncClient(base_url=rig.sandbox_url, trust_env=False) as control:
        (await control.post("/sandbox/tokens/expire")).raise_for_status()
