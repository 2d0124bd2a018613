"""Load: callers in closed loops, each waiting for its answer before it calls again. Counts and times; knows no RPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

from tests.benchmarks.measuring import Sample

Work = TypeVar("Work")


async def closed_loop(
    call: Callable[[], Awaitable[None]], *, in_flight: int, seconds: float, items_per_call: int = 1
) -> Sample:
    """`in_flight` callers for so many seconds; the time ends with the last answer."""
    call_seconds: list[float] = []
    started = perf_counter()
    until = started + seconds

    async def caller() -> None:
        before = perf_counter()
        while before < until:
            await call()
            after = perf_counter()
            call_seconds.append(after - before)
            before = after

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    elapsed = perf_counter() - started
    return Sample(items=len(call_seconds) * items_per_call, seconds=elapsed, call_seconds=call_seconds)


async def one_after_another(
    prepare: Callable[[], Awaitable[Work]],
    call: Callable[[Work], Awaitable[None]],
    *,
    seconds: float,
    items_per_call: int,
) -> Sample:
    """One caller whose work is made ready outside of the time that counts, until so many seconds of it have passed."""
    call_seconds: list[float] = []
    while sum(call_seconds) < seconds:
        work = await prepare()
        before = perf_counter()
        await call(work)
        call_seconds.append(perf_counter() - before)
    return Sample(items=len(call_seconds) * items_per_call, seconds=sum(call_seconds), call_seconds=call_seconds)


async def paced(call: Callable[[], Awaitable[None]], *, per_second: float, count: int) -> list[float]:
    """`count` calls begun at an even pace whether or not those before have ended; how long each took, in seconds, from
    the moment it was to begin, so that a caller who falls behind hides nothing."""
    call_seconds: list[float] = []
    started = perf_counter()

    async def one(due: float) -> None:
        await call()
        call_seconds.append(perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            due = started + number / per_second
            await asyncio.sleep(max(0.0, due - perf_counter()))
            group.create_task(one(due))
    return call_seconds
