"""Gathered reads: one query for all who ask at once, each with its own answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.reading import GatheredReads
from tests.builders import open_books


class Reads:
    """A read that squares what is even, finds nothing else, and can be held up."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.reading = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def read(self, connection: AsyncConnection, _ledger_id: int, ids: Sequence[int]) -> Mapping[int, int]:
        self.asked.append(list(ids))
        self.reading.set()
        await connection.execute(text("SELECT 1"))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {identifier: identifier**2 for identifier in ids if identifier % 2 == 0}


async def test_who_asks_at_once_is_answered_by_one_query(engine: AsyncEngine) -> None:
    ledger, reads = (await open_books(engine)).ledger, Reads()
    gathered = GatheredReads(engine, reads.read, monotonic=time.monotonic)

    answers = await asyncio.gather(*(gathered.find(ledger, ids) for ids in ([2], [3, 4], [2, 6], [])))

    assert answers == [{2: 4}, {4: 16}, {2: 4, 6: 36}, {}]
    assert reads.asked == [[2, 3, 4, 6]]


async def test_who_leaves_disturbs_neither_the_query_nor_the_others(engine: AsyncEngine) -> None:
    ledger, reads = (await open_books(engine)).ledger, Reads()
    gathered = GatheredReads(engine, reads.read, monotonic=time.monotonic)
    reads.gate.clear()
    leaves, stays = [asyncio.create_task(gathered.find(ledger, [identifier])) for identifier in (2, 4)]
    await reads.reading.wait()

    leaves.cancel()
    await asyncio.wait([leaves])
    reads.gate.set()

    assert await stays == {4: 16}
    assert reads.asked == [[2, 4]]


async def test_what_the_query_raises_reaches_who_asked(engine: AsyncEngine) -> None:
    ledger, reads = (await open_books(engine)).ledger, Reads()
    gathered = GatheredReads(engine, reads.read, monotonic=time.monotonic)
    reads.error = ValueError("no such luck")

    with pytest.raises(ValueError, match="no such luck"):
        await gathered.find(ledger, [2])
