"""Load that does not wait for answers: calls begun at a pace whatever became of those before, and what became of them.

A call's bytes are a template with its number filled in, so that the client's share of the machine stays small.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from google.protobuf.message import Message

from tests.benchmarks.lean_grpc import DEADLINE_EXCEEDED, NOT_TAKEN, Answer, Connection, open_connection

# Ten characters of a request that stand for its number.
NUMBER = "@@@@@@@@@@"
CONNECTIONS = 4
_TICK_SECONDS = 0.002
_OK, _RESOURCE_EXHAUSTED = 0, 8
_RETRY_INFO = b"google.rpc.RetryInfo"


class Ending(enum.Enum):
    """What became of a call."""

    DONE = "done"
    REFUSED = "refused with RetryInfo"
    BARE = "refused without RetryInfo"
    NOT_TAKEN = "not taken by the connection"
    LATE = "deadline passed"
    OTHER = "other errors"


_ENDINGS = {DEADLINE_EXCEEDED: Ending.LATE, NOT_TAKEN: Ending.NOT_TAKEN}


@dataclass(slots=True)
class Second:
    """One second of a flood: calls begun in it, calls that ended in it, and how long those took that were done."""

    begun: int = 0
    ended: Counter[Ending] = field(default_factory=Counter)
    done_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What is called: "/package.Service/Method", with a request in which NUMBER stands for a fresh number. Each call
    carries `items`, whose request ids begin with `prefix`; `all_done` judges the message of an answer that is OK."""

    name: str
    path: str
    template: Message
    prefix: str
    items: int = 1
    metadata: Mapping[str, str]
    all_done: Callable[[bytes], bool] = bool


class Target:
    """One method, called with fresh bytes over several connections in turn."""

    def __init__(self, method: Method, connections: list[Connection]) -> None:
        self.method = method
        self._connections = connections
        self._next = itertools.cycle(connections)
        self._numbers = itertools.count()
        plain = method.template.SerializeToString()
        self._places = plain.count(NUMBER.encode())
        self._bytes = plain.replace(b"%", b"%%").replace(NUMBER.encode(), b"%010d")

    def begin(self, heard: Callable[[float, Ending], None]) -> None:
        """One call; `heard` gets when it began and how it ended. flush() sends it."""
        request = self._bytes % tuple(itertools.islice(self._numbers, self._places))
        next(self._next).begin(request, lambda began, answer: heard(began, self._ending(answer)))

    def flush(self) -> None:
        """Sends what was begun, gives up what is late."""
        for connection in self._connections:
            connection.flush()

    async def call(self) -> Ending:
        """One call, waited for while somebody flushes."""
        ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.begin(lambda _, ending: None if ended.done() else ended.set_result(ending))
        self.flush()
        return await ended

    def _ending(self, answer: Answer) -> Ending:
        if answer.status == _OK:
            return Ending.DONE if self.method.all_done(answer.message) else Ending.LATE
        if answer.status == _RESOURCE_EXHAUSTED:
            return Ending.REFUSED if _RETRY_INFO in answer.trailers else Ending.BARE
        return _ENDINGS.get(answer.status, Ending.OTHER)


@asynccontextmanager
async def open_target(address: str, method: Method, *, call_seconds_max: float) -> AsyncIterator[Target]:
    """The method at "host:port"; every call has that deadline."""
    connections = [
        await open_connection(address, method.path, metadata=method.metadata, seconds_max=call_seconds_max)
        for _ in range(CONNECTIONS)
    ]
    target = Target(method, connections)

    async def flushing() -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            target.flush()

    ticking = asyncio.create_task(flushing())
    try:
        yield target
    finally:
        ticking.cancel()
        for connection in connections:
            connection.close()


async def flood(target: Target, *, per_second: float, seconds: float, call_seconds_max: float) -> list[Second]:
    """Second by second until the last answer: so many calls a second for so long. Where this process cannot keep the
    pace it begins as many as it can; `begun` tells."""
    counted = [Second() for _ in range(int(seconds + call_seconds_max) + 2)]
    started = perf_counter()
    under_way, all_heard = 0, asyncio.Event()

    def second_of(moment: float) -> Second:
        return counted[min(int(moment - started), len(counted) - 1)]

    def heard(began: float, ending: Ending) -> None:
        nonlocal under_way
        under_way -= 1
        if under_way == 0:
            all_heard.set()
        ended = perf_counter()
        second = second_of(ended)
        second.ended[ending] += 1
        if ending is Ending.DONE:
            second.done_seconds.append(ended - began)

    begun = 0
    while (now := perf_counter()) - started < seconds:
        due = int((now - started) * per_second) + 1
        second_of(now).begun += due - begun
        under_way += due - begun
        all_heard.clear()
        for _ in range(due - begun):
            target.begin(heard)
        begun = due
        target.flush()
        await asyncio.sleep(_TICK_SECONDS)
    if under_way:
        await all_heard.wait()
    return counted
