"""A database searched row by row as its superuser reads it, before it is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from sqlalchemy import URL

from ledger.database import conninfo
from tests.canary.birds import Canaries
from tests.canary.watch import sentence

# Tables that are not empty, and those of their columns that are sealed: bytes that are neither hashes nor what partners
# are told. A column that is new is taken to be sealed.
_COLUMNS = """
SELECT relname, coalesce(array_agg(attname::text ORDER BY attnum) FILTER (WHERE atttypid = 'bytea'::regtype
    AND attname NOT IN ('payload', 'payee', 'payee_index') AND attname NOT LIKE '%hash'), '{}')
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(pg_class.oid) > 0
GROUP BY 1 ORDER BY 1
"""
_ROWS = sql.SQL("SELECT {name}, NULL, t::text FROM {table} AS t")
# PostgreSQL's escape form of random bytes is full of backslashes, and that of text has none.
_READABLE = sql.SQL(
    "SELECT {name}, {column_name}, '' FROM {table} AS t WHERE length({column}) > 0 "
    "AND position('\\' IN encode({column}, 'escape')) = 0"
)
_BYTES = re.compile(r"\\x((?:[0-9a-f]{2})+)")


def search_database(url: URL, canaries: Canaries) -> list[str]:
    """One sentence for each table that shows a canary, or plain text where ciphertext must be."""
    with psycopg.connect(conninfo(url), autocommit=True) as session:
        tables = tuple((name, tuple(sealed)) for name, sealed in session.execute(_COLUMNS))
        return list(_leaks(session, tables, canaries)) if tables else []


def _leaks(
    session: psycopg.Connection[TupleRow], tables: tuple[tuple[str, tuple[str, ...]], ...], canaries: Canaries
) -> Iterator[str]:
    rows: dict[str, list[str]] = {}
    readable: dict[tuple[str, str], None] = {}
    for table, column, row in session.execute(_everything(tables)):
        if column is None:
            rows.setdefault(table, []).append(row)
        else:
            readable[table, column] = None
    for table, texts in rows.items():
        # With the bytes in them as the characters they are.
        text = _BYTES.sub(lambda found: bytes.fromhex(found[1]).decode("latin-1"), "\n".join(texts))
        if leaks := canaries.in_row(text):
            yield sentence(f"table {table} of a dump", text, leaks)
    for table, column in readable:
        yield f"table {table} of a dump holds plain text in {column}, which is to be sealed"


@cache
def _everything(tables: tuple[tuple[str, tuple[str, ...]], ...]) -> sql.Composed:
    """One question for all: every row as text, and a line for each sealed value that can be read."""
    parts = []
    for table, sealed in tables:
        names = {"name": sql.Literal(table), "table": sql.Identifier(table)}
        parts.append(_ROWS.format(**names))
        parts += [_READABLE.format(**names, column=sql.Identifier(one), column_name=sql.Literal(one)) for one in sealed]
    return sql.SQL(" UNION ALL ").join(parts)
