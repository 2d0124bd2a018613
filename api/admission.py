"""How many calls a process takes at once. What comes beyond is refused before any work, and told when to come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from ledger.errors import Overloaded

CALLS_MAX = 512


class Admission:
    """Room for `calls_max` calls, each of which holds a place while `with admission:` lasts. A refused call costs next
    to nothing, one that waits its memory and, in the end, its deadline."""

    def __init__(self, *, calls_max: int) -> None:
        self._calls_max = calls_max
        self._under_way = 0

    def __enter__(self) -> None:
        """Raises Overloaded where there is no place."""
        if self._under_way >= self._calls_max:
            raise Overloaded("too many calls are under way; repeat with the same request_id in a moment")
        self._under_way += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._under_way -= 1


class Turn:
    """One at a time, for what takes a core for minutes."""

    def __init__(self) -> None:
        self._held = asyncio.Lock()

    def check(self) -> None:
        """Raises Overloaded where somebody has it."""
        if self._held.locked():
            raise _busy()

    @asynccontextmanager
    async def held(self, *, wait_seconds: float = 0) -> AsyncIterator[None]:
        """Holds it. Raises Overloaded where it does not come free in time."""
        try:
            async with asyncio.timeout(wait_seconds):
                await self._held.acquire()
        except TimeoutError:
            raise _busy() from None
        try:
            yield
        finally:
            self._held.release()


def _busy() -> Overloaded:
    return Overloaded("another statement is worked on, and nothing was done; repeat in a minute")
