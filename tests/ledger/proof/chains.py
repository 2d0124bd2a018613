"""Sealing in tests: books with entries, sealed by a key of their own."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.proof.keys import SealKey
from ledger.proof.sealing import BEGINNING, RACING_CONSTRAINTS, EntrySealer, Reached, Sealed
from tests.builders import NOW, Books

KEY_BYTES = bytes([7] * 32)
KEY = SealKey(KEY_BYTES)
SEALER = EntrySealer(KEY)

_OVERTAKEN = """
SELECT NOT EXISTS (
    SELECT FROM journal_entries WHERE ledger_id = %s
    AND xid >= pg_snapshot_xmin(pg_current_snapshot()) AND xid < pg_snapshot_xmax(pg_current_snapshot()))
"""


async def overtaken(books: Books) -> None:
    """Waits until whatever was begun before the newest entry has ended: other tests may share the server."""
    async with asyncio.timeout(60):
        while True:
            async with books.reading() as connection:
                row = await (await (await driver(connection)).execute(_OVERTAKEN, (books.ledger.id,))).fetchone()
            if row is not None and row[0]:
                return
            await asyncio.sleep(0.02)


async def seal(
    books: Books, *, reached: Reached = BEGINNING, limit: int = 1000, now: datetime = NOW, at_once: bool = False
) -> Sealed:
    """One step of a sealer, committed; once nothing older than the newest entry runs, if not `at_once`."""
    if not at_once:
        await overtaken(books)

    async def command(connection: AsyncConnection) -> Sealed:
        session = await driver(connection)
        return await SEALER.seal(session, ledger=books.ledger, reached=reached, now=now, limit=limit)

    return await run(books.engine, command, again_on=RACING_CONSTRAINTS)


async def seal_all(books: Books, *, limit: int = 1000, now: datetime = NOW) -> int:
    """Steps until nothing is left; of how many entries."""
    done = await seal(books, limit=limit, now=now)
    count = done.count
    while done.count:
        done = await seal(books, reached=done.reached, limit=limit, now=now)
        count += done.count
    return count


async def positions(books: Books) -> list[tuple[int, int]]:
    """Position and entry of every seal, in order."""
    async with books.reading() as connection:
        session = await driver(connection)
        query = "SELECT position, entry_id FROM entry_seals WHERE ledger_id = %s ORDER BY position"
        return [(row[0], row[1]) for row in await (await session.execute(query, (books.ledger.id,))).fetchall()]
