"""The memory benchmark: what the service holds while it posts, set after set, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ledger.journal.verify import VerifyReport
from tests.benchmarks.entries import Transfers, account_specs
from tests.benchmarks.machine import machine_facts, resident_megabytes, server_facts
from tests.benchmarks.over_grpc import OverGrpc
from tests.benchmarks.rig import Rig, open_rig

IN_FLIGHT = 2
QUICK, FULL = 5_000, 1_000_000
_REST_SECONDS = 3.0
_LOOKS = 40


@dataclass(frozen=True, slots=True)
class Results:
    """Resident megabytes of the service as (entries posted, megabytes), and once more after a rest; the seconds that
    posting took."""

    samples: Sequence[tuple[int, float]]
    rested: float
    seconds: float
    books: VerifyReport
    facts: Mapping[str, str]


async def measure(entries: int, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Posts at least so many entries, a thousand a call, and looks at the service again and again."""
    told("starting PostgreSQL and the service")
    async with open_rig(account_specs()) as rig:
        application = rig.application
        facts = {**machine_facts(application.settings.data_directory), **await server_facts(application.engine)}
        await rig.analyze()
        starting(_LOOKS)
        bulk = OverGrpc(rig, Transfers("memory")).bulk(in_flight=IN_FLIGHT)
        samples, posted, seconds = [(0, _megabytes(rig))], 0, 0.0
        while posted < entries:
            if posted >= entries * len(samples) / _LOOKS:
                samples.append((posted, _megabytes(rig)))
                told(f"posting {entries:,} entries")
            sample = await bulk.run(0.1)
            posted, seconds = posted + sample.items, seconds + sample.seconds
        samples.append((posted, _megabytes(rig)))
        await asyncio.sleep(_REST_SECONDS)
        return Results(samples, _megabytes(rig), seconds, await rig.verified(), facts)


def _megabytes(rig: Rig) -> float:
    return resident_megabytes(rig.server.pid) or 0.0
