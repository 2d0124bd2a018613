"""A worker that dies before its claim is committed leaves everything to the next one (scenario 3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from ledger.database import conninfo
from tests.adapters.test_dispatch import attempts, cut_off
from tests.fix_database import Database
from tests.journeys.rig import Rig
from tests.ledger.payouts.test_races import until_waiting


@asynccontextmanager
async def attempts_held(database: Database) -> AsyncIterator[None]:
    """Nobody can write down an attempt meanwhile."""
    async with await psycopg.AsyncConnection.connect(conninfo(database.admin)) as session:
        await session.execute("LOCK TABLE attempts IN SHARE MODE")
        yield


async def test_a_worker_killed_between_the_reserve_and_the_call_is_followed_by_one_that_makes_one_call(
    rig: Rig, fresh_database: Database
) -> None:
    ids = await rig.request_many(5)
    async with attempts_held(fresh_database):
        step = asyncio.create_task(rig.dispatcher.step())
        await until_waiting(rig, 1)
        await cut_off(step)
    left_behind = {await rig.state(one) for one in ids}, [await attempts(rig, one) for one in ids]

    await rig.another_dispatcher().step()
    await rig.work_until_quiet()

    assert left_behind == ({"RESERVED"}, [[]] * 5)
    assert [len(await rig.seen(one)) for one in ids] == [1] * 5
    assert {await rig.state(one) for one in ids} == {"SETTLED"}
