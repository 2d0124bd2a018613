"""Sealing in tests: books with entries, sealed by a key of their own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.proof.keys import SealKey
from ledger.proof.sealing import BEGINNING, RACING_CONSTRAINTS, EntrySealer, Reached, Sealed
from tests.builders import NOW, Books

KEY_BYTES = bytes([7] * 32)
KEY = SealKey(KEY_BYTES)
SEALER = EntrySealer(KEY)


async def seal(books: Books, *, reached: Reached = BEGINNING, limit: int = 1000, now: datetime = NOW) -> Sealed:
    """One step of a sealer, committed."""

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
