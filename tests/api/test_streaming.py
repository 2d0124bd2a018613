"""Long answers are read ahead of whoever takes them, and not held open for whoever takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from api.streaming import ahead
from ledger.errors import TooLate


class Source:
    """Five numbers, or as many as come before `fails_at`; `ended` is set when no more will be read."""

    def __init__(self, *, fails_at: int = -1) -> None:
        self.ended, self.fails_at = asyncio.Event(), fails_at
        self.taken: list[int] = []

    async def parts(self) -> AsyncGenerator[int, None]:
        """One by one."""
        try:
            for number in range(5):
                if number == self.fails_at:
                    raise RuntimeError(number)
                yield number
        finally:
            self.ended.set()

    async def take_all(self, parts: AsyncGenerator[int, None]) -> None:
        """Into `taken`."""
        async for one in parts:
            self.taken.append(one)


async def test_every_part_comes_once_and_in_order() -> None:
    source = Source()

    await source.take_all(ahead(source.parts()))

    assert source.taken == [0, 1, 2, 3, 4]


async def test_what_fails_fails_after_what_was_read() -> None:
    source = Source(fails_at=3)

    with pytest.raises(RuntimeError):
        await source.take_all(ahead(source.parts()))

    assert source.taken == [0, 1, 2]


async def test_a_caller_who_takes_nothing_ends_the_reading() -> None:
    source = Source()
    parts = ahead(source.parts(), seconds_max=0)
    first = await anext(parts)
    await source.ended.wait()

    with pytest.raises(TooLate):
        await source.take_all(parts)

    assert [first, *source.taken] == [0]


async def test_a_caller_who_leaves_ends_the_reading() -> None:
    source = Source()
    parts = ahead(source.parts())
    await anext(parts)

    await parts.aclose()

    assert source.ended.is_set()
