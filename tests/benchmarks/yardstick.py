"""What this machine does at the time of a benchmark: the service's empty echo, and raw COPY. Every table stands beside
both, for a figure alone says more about the machine than about the ledger."""

from __future__ import annotations

from tests.benchmarks.entries import Transfers, account_specs
from tests.benchmarks.inside import Inside
from tests.benchmarks.over_grpc import OverGrpc
from tests.benchmarks.rig import open_rig

IN_FLIGHT, COPIED_SETS = 64, 20
_WARMUP_SECONDS, _SECONDS = 1.0, 4.0


async def yardstick() -> dict[str, str]:
    """The facts, from a PostgreSQL and a service of their own."""
    async with open_rig(account_specs()) as rig:
        echo = OverGrpc(rig, Transfers("yardstick")).echo(in_flight=IN_FLIGHT)
        async with Inside(rig, Transfers("copied")).raw_copy(sets=COPIED_SETS) as copied:
            for variant in (echo, copied):
                await variant.run(_WARMUP_SECONDS)
            echoes, copies = await echo.run(_SECONDS), await copied.run(_SECONDS)
    return {
        "just before": f"the service's empty echo, {IN_FLIGHT} in flight, {echoes.rate:,.0f} calls a second; "
        f"raw COPY of two-line entries without guards {copies.rate:,.0f} a second"
    }
