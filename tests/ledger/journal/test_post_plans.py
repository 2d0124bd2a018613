"""What posting reads: every row by its key, in any plan, also in one that was made while the books were empty."""

from __future__ import annotations

import itertools

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import conninfo, driver, transaction
from ledger.journal.decide import PostRequest
from ledger.journal.post import post_entries
from tests.builders import BANK, NOW, WALLET, Books, key, open_books, transfer
from tests.fix_database import Database

SMALL, LARGE = 20, 320
READ = text("""
SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows_read
FROM pg_stat_xact_user_tables
WHERE relname IN ('accounts', 'account_balances', 'journal_entries', 'postings', 'idempotency_keys')
""")


async def rows_read(connection: AsyncConnection) -> dict[str, int]:
    """By this transaction so far, by table."""
    return {row.relname: row.rows_read for row in await connection.execute(READ)}


async def post_in(connection: AsyncConnection, books: Books, requests: list[PostRequest]) -> None:
    """Posts in a transaction that the caller ends."""
    await post_entries(
        await driver(connection),
        ledger=books.ledger,
        requests=requests,
        directory=books.directory,
        ids=books.ids,
        now=NOW,
    )


async def test_a_set_reads_a_few_rows_per_line_though_its_plans_were_made_for_empty_books(
    fresh_database: Database, fresh_engine: AsyncEngine
) -> None:
    books = await open_books(fresh_engine)
    with psycopg.connect(conninfo(fresh_database.owner), autocommit=True) as owner:
        owner.execute("ANALYZE")
    numbered = (PostRequest(transfer(BANK, WALLET, 1), "tests", key(f"key-{one}")) for one in itertools.count())

    async with transaction(fresh_engine) as connection:
        for _ in range(LARGE // SMALL):  # on one session, whose plans are soon those that it keeps
            await post_in(connection, books, list(itertools.islice(numbered, SMALL)))
        before = await rows_read(connection)
        await post_in(connection, books, list(itertools.islice(numbered, LARGE)))
        after = await rows_read(connection)

    read = {name: (after[name] - before[name]) / LARGE for name in after}
    assert {name: count for name, count in read.items() if count > 20} == {}
