"""The callback benchmark: how long a provider waits for its answer, which comes when the raw message is committed."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.sandbox.credentials import make_certificate
from api.settings import Settings
from api.wiring import open_application
from ledger.database import transaction
from tests.benchmarks.load import closed_loop, paced
from tests.benchmarks.machine import machine_facts, server_facts
from tests.benchmarks.measuring import Measured, Plan, Sample, Variant, interleave, runs_of
from tests.benchmarks.processes import own_directory, serving
from tests.journeys.messages import result
from tests.ledger.payouts.shop import open_shop

PACES = (20, 60)
IN_FLIGHT = (1, 16)
SHORTCODE = "600584"
CALL_SECONDS_MAX = 30.0

FULL = Plan(rounds=7, seconds=5.0, warmup_seconds=1.0)
QUICK = Plan(rounds=1, seconds=0.5, warmup_seconds=0.2)

# For the worker alone, which has nothing to call for.
_CREDENTIALS = {
    f"daraja_{name}": "unused" for name in ("consumer_key", "consumer_secret", "initiator_name", "initiator_password")
}
_STORED = text("SELECT count(*), count(*) FILTER (WHERE judged_at IS NOT NULL) FROM inbox")


@dataclass(slots=True)
class Tally:
    """Callbacks answered with the provider's acknowledgement, stored, and judged by the end."""

    answered: int = 0
    stored: int = 0
    judged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run found."""

    plan: Plan
    echo: Variant
    paced: Mapping[int, Variant]
    closed: Mapping[int, Variant]
    by_name: Mapping[str, Measured]
    tally: Tally
    facts: Mapping[str, str]

    def of(self, variant: Variant) -> Measured:
        """The rounds of a variant."""
        return self.by_name[variant.name]


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that calls back about payments of a ledger that nobody asked for: stored and answered like any."""

    http: httpx.AsyncClient
    ledger_id: int
    tally: Tally = field(default_factory=Tally)

    async def call_back(self) -> None:
        """One result, on a path of its own."""
        place = f"/callbacks/{self.ledger_id}/daraja/result/{secrets.token_hex(32)}"
        answer = await self.http.post(place, content=result(f"dft-{secrets.token_hex(6)}"))
        answer.raise_for_status()
        self.tally.answered += 1

    async def echo(self) -> None:
        """The same server's health check: one question to the database, nothing written."""
        (await self.http.get("/healthz")).raise_for_status()

    def paced(self, per_second: int) -> Variant:
        """Callbacks at an even pace, whether or not those before were answered."""

        async def run(seconds: float) -> Sample:
            count, started = max(1, round(per_second * seconds)), perf_counter()
            call_seconds = await paced(self.call_back, per_second=per_second, count=count)
            return Sample(items=count, seconds=perf_counter() - started, call_seconds=call_seconds)

        return Variant(f"callbacks, {per_second} a second", run)

    def closed(self, in_flight: int) -> Variant:
        """Callbacks as fast as they are answered."""
        return _closed(f"callbacks, {in_flight} in flight", self.call_back, in_flight)

    def echoes(self) -> Variant:
        """Health checks, one after another."""
        return _closed("health checks, 1 in flight", self.echo, 1)


def _closed(name: str, call: Callable[[], Awaitable[None]], in_flight: int) -> Variant:
    async def run(seconds: float) -> Sample:
        return await closed_loop(call, in_flight=in_flight, seconds=seconds)

    return Variant(name, run)


async def measure(plan: Plan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Runs everything on a database of its own, with a process for the edge and one for the worker, which judges what
    was stored meanwhile. `starting` hears how many runs come, `told` of each."""
    async with AsyncExitStack() as stack:
        told("starting PostgreSQL, the callback edge and the worker")
        directory = stack.enter_context(own_directory())
        settings = Settings(database_url=None, data_directory=directory)
        application = await stack.enter_async_context(open_application(settings, name="benchmarks"))
        facts = {**machine_facts(directory), **await server_facts(application.engine)}
        shop = await stack.enter_async_context(open_shop(application.engine))
        given = _settings(directory)
        _, address = await stack.enter_async_context(serving("http", settings=given, told_by="callbacks"))
        await stack.enter_async_context(serving("worker", settings=given | _CREDENTIALS, told_by="database"))
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=address, trust_env=False, timeout=CALL_SECONDS_MAX, limits=limits)
        )
        provider = Provider(http, shop.ledger.id)
        echo, paces = provider.echoes(), {number: provider.paced(number) for number in PACES}
        closed = {number: provider.closed(number) for number in IN_FLIGHT}
        in_turn = [echo, *closed.values(), *paces.values()]
        starting(runs_of(in_turn, plan=plan))
        by_name = await interleave(in_turn, plan=plan, told=told, meter=dict)
        await _count(application.engine, provider.tally)
        return Results(
            plan=plan, echo=echo, paced=paces, closed=closed, by_name=by_name, tally=provider.tally, facts=facts
        )


def _settings(directory: Path) -> dict[str, str]:
    """A rail that is never called: the edge only has to know it."""
    certificate = directory / "certificate.pem"
    certificate.write_text(make_certificate(datetime.now(UTC)).pem)
    return {
        "data_directory": str(directory),
        "http_listen": "127.0.0.1:0",
        "public_url": "http://127.0.0.1:9",
        "daraja_base_url": "http://127.0.0.1:9",
        "daraja_certificate": str(certificate),
        "daraja_shortcode": SHORTCODE,
        "balance_query_seconds": "0",
    }


async def _count(engine: AsyncEngine, tally: Tally) -> None:
    async with transaction(engine) as connection:
        tally.stored, tally.judged = (await connection.execute(_STORED)).one()
