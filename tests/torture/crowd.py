"""Threads that start at one moment, each with an event loop and connections of its own while the crowd lives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import connect

Result = TypeVar("Result")
Command: TypeAlias = Callable[[AsyncEngine], Awaitable[Result]]

_SECONDS_MAX = 60
_CONNECTIONS = 2


class Crowd:
    """`size` threads."""

    def __init__(self, url: URL, *, size: int) -> None:
        self.size = size
        self._url = url
        self._barrier = threading.Barrier(size)
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(max_workers=size)

    def at_once(self, commands: Sequence[Command[Result]]) -> list[Result]:
        """One command per thread, all begun at the same moment; their answers in order. The first error is raised."""
        assert len(commands) == self.size
        futures = [self._threads.submit(self._begin, command) for command in commands]
        return [future.result(_SECONDS_MAX) for future in futures]

    def close(self) -> None:
        """Gives everything back."""
        self.at_once([self._leave] * self.size)
        self._threads.shutdown()

    def _begin(self, command: Command[Result]) -> Result:
        # Nobody passes before every thread holds one command, so each thread takes exactly one.
        if not hasattr(self._own, "runner"):
            self._own.runner = asyncio.Runner()
            self._own.engine = connect(self._url, pool_size=_CONNECTIONS, application_name="tests-crowd")
        self._barrier.wait(_SECONDS_MAX)
        runner: asyncio.Runner = self._own.runner

        async def carry_out() -> Result:
            return await command(self._own.engine)

        result = runner.run(carry_out())
        if command == self._leave:
            runner.close()
        return result

    async def _leave(self, engine: AsyncEngine) -> None:
        await engine.dispose()


@contextmanager
def gathered(url: URL, *, size: int) -> Iterator[Crowd]:
    """A crowd on the database of the URL."""
    crowd = Crowd(url, size=size)
    try:
        yield crowd
    finally:
        crowd.close()
