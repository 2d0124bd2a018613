"""What the books take on disk: bytes per entry, heap and indexes, table by table."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction

KEYS = "idempotency_keys"

_SIZES = text("""
SELECT relation.relname AS name, pg_table_size(relation.oid) AS heap, pg_indexes_size(relation.oid) AS indexes,
       (SELECT count(*) FROM journal_entries) AS entries
FROM pg_class AS relation
WHERE relation.relnamespace = 'public'::regnamespace
  AND relation.relname IN ('journal_entries', 'postings', 'idempotency_keys', 'account_balances', 'account_days')
ORDER BY pg_total_relation_size(relation.oid) DESC
""")


@dataclass(frozen=True, slots=True)
class TableSize:
    """Bytes per entry in the books."""

    name: str
    heap: float
    indexes: float


async def table_sizes(engine: AsyncEngine) -> list[TableSize]:
    """Of every table that posting writes, the largest first."""
    async with transaction(engine) as connection:
        rows = (await connection.execute(_SIZES)).all()
    return [TableSize(row.name, row.heap / row.entries, row.indexes / row.entries) for row in rows]
