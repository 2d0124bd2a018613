"""Cooperative actors: of all tasks of a history one runs at a time, up to the next point where it may be interrupted.

A point is passed before and after every commit, send and receive. There the history may let the actor wait while
others go on, or let its whole process die. Who goes next is drawn from the seed, so a history can be lived through
again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

BEFORE_COMMIT, AFTER_COMMIT = "before commit", "after commit"
BEFORE_SEND, AFTER_SEND, AFTER_RECEIVE = "before send", "after send", "after receive"
POINTS = (BEFORE_COMMIT, AFTER_COMMIT, BEFORE_SEND, AFTER_SEND, AFTER_RECEIVE)

IDLE_SECONDS_MAX = 300


class Crash(BaseException):
    """The process dies here: nothing after this point happens. Not an Exception, so that no edge catches it."""


@dataclass(eq=False, slots=True)
class Actor:
    """One task under way, in a process, and where it waits (None while it runs)."""

    process: str
    name: str
    task: asyncio.Task[Any] | None = None
    waits_at: str | None = None
    gate: asyncio.Future[None] | None = None
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    died_at: str | None = None

    @property
    def work(self) -> str:
        """What kind of work it does."""
        return self.name.partition(" ")[0]

    @property
    def result(self) -> int:
        """How much it did; 0 where it waits, was cut off or failed."""
        task = self.task
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return 0
        found = task.result()
        return found if isinstance(found, int) else 0


current: ContextVar[Actor | None] = ContextVar("actor", default=None)


class Stage:
    """Starts actors and lets them go on, one at a time. `decide` draws what happens at a point: True is death."""

    def __init__(self, *, decide: Callable[[Actor, str], bool], may_wait: Callable[[], bool]) -> None:
        self._decide = decide
        self._may_wait = may_wait
        self.waiting: list[Actor] = []
        self.passed: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()

    async def start(self, process: str, name: str, work: Coroutine[Any, Any, Any]) -> Actor:
        """Runs an actor until it waits, ends or dies."""
        actor = Actor(process, name)

        async def play() -> Any:
            current.set(actor)
            return await work

        actor.task = asyncio.create_task(play())
        actor.task.add_done_callback(lambda _: actor.idle.set())
        await self._until_idle(actor)
        return actor

    async def go_on(self, actor: Actor) -> None:
        """Lets a waiting actor run until it waits again, ends or dies."""
        self.waiting.remove(actor)
        gate, actor.gate, actor.waits_at = actor.gate, None, None
        assert gate is not None, "it does not wait"
        actor.idle.clear()
        gate.set_result(None)
        await self._until_idle(actor)

    async def end(self, actor: Actor) -> None:
        """Cuts a waiting actor off; what it would have done does not happen."""
        self.waiting.remove(actor)
        assert actor.task is not None
        actor.task.cancel()
        await asyncio.wait([actor.task])

    async def point(self, name: str, *, may_wait: bool = True) -> None:
        """Where an actor may be made to wait, or die. Raises Crash. Work outside of any actor passes unharmed."""
        actor = current.get()
        if actor is None:
            return
        place = f"{actor.work}, {name}"
        self.passed[place] += 1
        if self._decide(actor, name):
            self.deaths[place] += 1
            actor.died_at = name
            raise Crash(f"{actor.process} dies {name}")
        if may_wait and self._may_wait():
            await self._wait(actor, name)

    async def _wait(self, actor: Actor, name: str) -> None:
        assert actor.gate is None, "one call at a time waits; histories with several at once let none wait"
        actor.gate = asyncio.get_running_loop().create_future()
        actor.waits_at = name
        self.waiting.append(actor)
        actor.idle.set()
        await actor.gate

    async def _until_idle(self, actor: Actor) -> None:
        # Real seconds: an actor that neither waits nor ends is a bug of the simulation or a deadlock of the product.
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            await actor.idle.wait()
