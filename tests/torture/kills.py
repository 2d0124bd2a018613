"""kill -9 of real processes at random moments, over and over: the long form of tests/journeys/test_kill.py."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from adapters.sandbox.magic import magic_msisdn
from tests.fix_database import Database
from tests.journeys.processes import running
from tests.journeys.scene import Scene
from tests.journeys.test_kill import MSISDNS, check_entries, check_payouts, slow_commits_down

# Left out is what names a payout by the gateway's id alone: after a kill it waits for minutes before it is judged.
_TOLD_BY_OUR_REFERENCE = [one for one in MSISDNS if one != magic_msisdn("419")]


@dataclass(frozen=True, slots=True)
class KillsTold:
    """Processes killed, requests answered, times a caller found nobody, and answers whose first try had been carried
    out unheard. What is wrong is raised as an AssertionError."""

    kills: int
    answered: int
    interrupted: int
    replayed: int


async def kill_while_posting(
    scene: Scene, database: Database, *, kills: int, seed: int, tell: Callable[[int], None]
) -> KillsTold:
    """The whole service, under 16 posting clients."""
    chance = random.Random(seed)
    await slow_commits_down(database)
    clients, service = scene.posting_clients(clients=16, seed=seed), scene.service()
    async with running(service), clients.calling():
        for _ in range(kills):
            service.prepare()
            await clients.progress(chance.randint(20, 120))
            await asyncio.sleep(chance.uniform(0, 0.05))
            await service.kill()
            await service.start()
            tell(1)
    await check_entries(scene, clients)
    return KillsTold(kills, len(clients.acknowledged), clients.interrupted, clients.replayed)


async def kill_while_paying(
    scene: Scene, database: Database, *, kills: int, seed: int, tell: Callable[[int], None]
) -> KillsTold:
    """Worker, callback edge and gRPC in turn, each a process of its own, under payouts over a rail that misbehaves."""
    chance = random.Random(seed)
    clients = scene.payout_clients(clients=4, seed=seed, msisdns=_TOLD_BY_OUR_REFERENCE)
    roles = [scene.service(role) for role in ("worker", "http", "grpc")]
    async with running(*roles):
        async with clients.calling():
            for _ in range(kills):
                role = chance.choices(roles, weights=(2, 1, 1))[0]
                role.prepare()
                await clients.progress(chance.randint(10, 30))
                await asyncio.sleep(chance.uniform(0, 0.4))
                await role.kill()
                await role.start()
                tell(1)
        await scene.until_quiet()
        assert [await role.stop() for role in roles] == [0, 0, 0]
    await check_payouts(scene, clients)
    return KillsTold(kills, len(clients.acknowledged), clients.interrupted, clients.replayed)
