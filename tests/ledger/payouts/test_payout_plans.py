"""What payouts read: every row by its key, in any plan, also in one that was made while the tables were empty."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import driver, transaction
from ledger.journal.entry import Source
from ledger.outcomes import record
from ledger.payouts.outcome import Report
from ledger.payouts.request import Requested, request_payouts
from tests.ledger.payouts.roads import settled
from tests.ledger.payouts.shop import LIMITS, PARTY_KEYS, Shop, open_shop

SMALL, SETS, FEW = 20, 25, 4
ROWS_MAX = 30
READ = text("""
SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows_read FROM pg_stat_xact_user_tables
WHERE relname IN ('payouts', 'payout_events', 'journal_entries', 'postings', 'idempotency_keys', 'account_balances')
""")


async def rows_read(connection: AsyncConnection) -> dict[str, int]:
    """By this transaction so far, by table."""
    return {row.relname: row.rows_read for row in await connection.execute(READ)}


async def live_through(connection: AsyncConnection, shop: Shop, count: int) -> None:
    """So many payouts requested and settled, as two sets, in a transaction that the caller ends."""
    session = await driver(connection)
    verdicts = await request_payouts(
        session,
        ledger=shop.ledger,
        requests=[shop.draft(shillings=10) for _ in range(count)],
        limits=LIMITS,
        party_keys=PARTY_KEYS,
        directory=shop.directory,
        ids=shop.ids,
        now=shop.now(),
    )
    ids = [one.payout_id for one in verdicts if isinstance(one, Requested)]
    assert len(ids) == count
    reports = [
        Report(payout_id=one, outcome=settled(one, shillings=10), source=Source.CALLBACK, actor="tests") for one in ids
    ]
    await record(session, ledger=shop.ledger, reports=reports, directory=shop.directory, ids=shop.ids, now=shop.now())


async def test_a_set_of_payouts_reads_a_few_rows_each_though_its_plans_were_made_for_empty_tables(
    fresh_engine: AsyncEngine,
) -> None:
    async with open_shop(fresh_engine) as shop, transaction(fresh_engine) as connection:
        for _ in range(SETS):  # on one session, whose plans are soon those that it keeps
            await live_through(connection, shop, SMALL)
        before = await rows_read(connection)
        await live_through(connection, shop, FEW)
        after = await rows_read(connection)

    read = {name: (after[name] - before[name]) / FEW for name in after}
    assert {name: count for name, count in read.items() if count > ROWS_MAX} == {}
