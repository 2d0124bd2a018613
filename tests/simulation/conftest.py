"""Fixtures: `lived` lives histories through on a server of the module's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
import uvloop

from tests.simulation.options import Options
from tests.simulation.outcome import Arena, Outcome
from tests.simulation.postgres import simulation_server
from tests.simulation.run import live, open_arena

Lived: TypeAlias = Callable[[Iterable[Options], str], list[Outcome]]


@pytest.fixture(scope="module")
def lived() -> Iterator[Lived]:
    """lived(options, bug) gives what became of each history; with a bug, up to the first that catches it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()

        async def enter() -> Arena:
            return await stack.enter_async_context(open_arena(await stack.enter_async_context(simulation_server())))

        arena = runner.run(enter())

        async def live_all(histories: Iterable[Options], bug: str) -> list[Outcome]:
            outcomes: list[Outcome] = []
            for options in histories:
                outcomes.append(await live(arena, options, bug=bug))
                if bug and outcomes[-1].violations:
                    break
            return outcomes

        yield lambda histories, bug: runner.run(live_all(histories, bug))
        runner.run(stack.aclose())
