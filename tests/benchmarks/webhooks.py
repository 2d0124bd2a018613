"""The webhook benchmark (scenario 25): how late a partner is told while the receivers of others hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

from api.settings import Settings
from api.wiring import open_application
from tests.benchmarks.load import paced
from tests.benchmarks.machine import machine_facts, server_facts
from tests.benchmarks.measuring import Measured, Plan, Sample, Variant, interleave, runs_of
from tests.benchmarks.partners import Partner, Receivers, open_partners, open_receivers
from tests.benchmarks.processes import own_directory, serving

OTHERS = 8
EVENTS_PER_SECOND, OTHERS_EVENTS_PER_SECOND = 12.0, 0.5
HANGING = (0, 1, OTHERS - 1)

FULL = Plan(rounds=7, seconds=10.0, warmup_seconds=3.0)
QUICK = Plan(rounds=1, seconds=1.0, warmup_seconds=0.5)


@dataclass(slots=True)
class Tally:
    """Events of the partner whose receiver answers."""

    made: int = 0
    arrived: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run found: by how many receivers hang."""

    plan: Plan
    variants: Mapping[int, Variant]
    by_name: Mapping[str, Measured]
    tally: Tally
    facts: Mapping[str, str]

    def of(self, hanging: int) -> Measured:
        """The rounds with so many receivers hanging."""
        return self.by_name[self.variants[hanging].name]


@dataclass(slots=True)
class Telling:
    """One partner whose receiver answers, others of whose receivers some hang."""

    watched: Partner
    others: list[Partner]
    receivers: Receivers
    tally: Tally = field(default_factory=Tally)
    _rounds: count[int] = field(default_factory=count)

    def variant(self, hanging: int) -> Variant:
        """A round with so many receivers hanging."""

        async def run(seconds: float) -> Sample:
            return await self._round(hanging, seconds)

        return Variant(f"{hanging} of {len(self.others)} receivers hang", run)

    async def _round(self, hanging: int, seconds: float) -> Sample:
        """What waits at receivers that hang is left behind with their endpoints, so that every round starts alike."""
        number = next(self._rounds)
        paths = [f"/hooks/{number}/{place}" for place in range(len(self.others))]
        for path, other in zip(paths, self.others, strict=True):
            await other.open_endpoint(self.receivers.url(path))
        self.receivers.let_go()
        self.receivers.hanging.update(paths[:hanging])
        events, events_of_others = round(EVENTS_PER_SECOND * seconds), round(OTHERS_EVENTS_PER_SECOND * seconds)
        await self.watched.stock(events)
        for other in self.others:
            await other.stock(events_of_others)
        started = perf_counter()
        await asyncio.gather(
            paced(self.watched.event, per_second=EVENTS_PER_SECOND, count=events),
            *(paced(one.event, per_second=OTHERS_EVENTS_PER_SECOND, count=events_of_others) for one in self.others),
        )
        late = await self._lateness(events)
        return Sample(items=events, seconds=perf_counter() - started, call_seconds=late)

    async def _lateness(self, events: int) -> list[float]:
        """Seconds from each event to its arrival, once all have arrived."""
        made, arrived = await self.watched.deliveries(events), self.receivers.arrived
        self.tally.made += events
        await self.receivers.receiver.until(lambda: all(one.event_id in arrived for one in made))
        self.tally.arrived += len(made)
        return [arrived[one.event_id] - one.created_at.timestamp() for one in made]


async def measure(plan: Plan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Runs everything on a database of its own, with one worker process of the shipped settings. `starting` hears how
    many runs come, `told` of each."""
    async with AsyncExitStack() as stack:
        told("starting PostgreSQL and the worker")
        directory = stack.enter_context(own_directory())
        settings = Settings(database_url=None, data_directory=directory)
        application = await stack.enter_async_context(open_application(settings, name="benchmarks"))
        facts = {**machine_facts(directory), **await server_facts(application.engine)}
        watched, *others = await stack.enter_async_context(open_partners(application, count=1 + OTHERS))
        receivers = await stack.enter_async_context(open_receivers())
        telling = Telling(watched, others, receivers)
        await watched.open_endpoint(receivers.url("/hooks/watched"))
        given = {
            "data_directory": str(directory),
            "public_url": "http://127.0.0.1:9",  # no provider calls back
            "webhook_allow_loopback": "true",
        }
        await stack.enter_async_context(serving("worker", settings=given, told_by="database"))
        variants = {number: telling.variant(number) for number in HANGING}
        in_turn = list(variants.values())
        starting(runs_of(in_turn, plan=plan))
        by_name = await interleave(in_turn, plan=plan, told=told, meter=dict)
        return Results(plan=plan, variants=variants, by_name=by_name, tally=telling.tally, facts=facts)
