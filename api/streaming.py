"""Long answers: what they are read from is not held open by a caller who does not listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from ledger.errors import TooLate

_Part = TypeVar("_Part")
SILENCE_SECONDS_MAX = 20.0


async def ahead(
    parts: AsyncGenerator[_Part, None], *, seconds_max: float = SILENCE_SECONDS_MAX
) -> AsyncGenerator[_Part, None]:
    """The parts, read one ahead by a task of its own, which ends them where nobody takes one for so long. Raises
    TooLate then, after what was read."""
    read: asyncio.Queue[_Part] = asyncio.Queue(maxsize=1)

    async def read_ahead() -> None:
        async with aclosing(parts):
            async for part in parts:
                try:
                    async with asyncio.timeout(seconds_max):
                        await read.put(part)
                except TimeoutError:
                    raise TooLate("nothing was taken for too long, and the rest is not sent; ask again") from None

    reading = asyncio.create_task(read_ahead())
    try:
        while (part := await _next(read, reading)) is not None:
            yield part
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _next(read: asyncio.Queue[_Part], reading: asyncio.Task[None]) -> _Part | None:
    """The next part; None once there are no more, or never will be."""
    taking = asyncio.ensure_future(read.get())
    await asyncio.wait({taking, reading}, return_when=asyncio.FIRST_COMPLETED)
    if taking.done():
        return taking.result()
    taking.cancel()
    return None if read.empty() else read.get_nowait()
