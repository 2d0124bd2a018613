"""Books with a short story in them, and ways to change them around the guards.

A superuser with triggers off does it, in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import connect
from ledger.ids import encode
from ledger.journal.accounts import find_account
from ledger.journal.entry import Subject
from ledger.journal.verify import Difference, verify
from tests.builders import BANK, FEES, PRINTED, PRINTED_CONTRA, WALLET, Books, open_books, transfer
from tests.fix_database import Database


@dataclass(frozen=True, slots=True)
class Story:
    """Books with an original of 500, a reversal of 200 of it, and an entry on memorandum accounts."""

    books: Books
    original_id: int
    reversal_id: int
    memo_id: int
    fees_id: int

    @property
    def names(self) -> dict[str, int]:
        """What statements call the ids."""
        ids = {"original": self.original_id, "reversal": self.reversal_id, "memo": self.memo_id}
        return {"ledger": self.books.ledger.id, "fees": self.fees_id, **ids}

    @property
    def places(self) -> dict[str, str]:
        """What differences call the entries."""
        return {name: encode("ent", entry_id) for name, entry_id in self.names.items()}


async def tell(engine: AsyncEngine) -> Story:
    books = await open_books(engine)
    original = await books.post(transfer(BANK, WALLET, 500, subject=Subject("order", "1")))
    reversal = await books.reverse(original.entry_id, lines={1: 200, 2: 200})
    memo = await books.post(transfer(PRINTED, PRINTED_CONTRA, 70))
    fees_id = await account_id(books, FEES)
    return Story(books, original.entry_id, reversal.entry_id, memo.entry_id, fees_id)


async def account_id(books: Books, path: str) -> int:
    async with books.reading() as connection:
        return (await find_account(connection, ledger_id=books.ledger.id, path=path, currency="KES")).id


@asynccontextmanager
async def tampering(database: Database) -> AsyncIterator[AsyncConnection]:
    """A superuser's transaction with triggers and foreign keys off; nothing of it stays."""
    admin = connect(database.admin, pool_size=1, application_name="tests")
    async with admin.connect() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection
        await connection.rollback()
    await admin.dispose()


async def found_after(database: Database, story: Story, *statements: str) -> tuple[Difference, ...]:
    async with tampering(database) as connection:
        for statement in statements:
            done = await connection.execute(
                text(statement), {name: story.names[name] for name in used(statement, story)}
            )
            assert done.rowcount > 0, statement
        report = await verify(connection, ledger_id=story.books.ledger.id)
    assert report.differences_total == len(report.differences)
    return report.differences


def used(statement: str, story: Story) -> list[str]:
    return [name for name in story.names if f":{name}" in statement]
