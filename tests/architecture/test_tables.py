"""ledger/tables.py is the schema on one page: its keys are the database's. Columns and types: see test_migrations."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import TupleRow
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import tables
from ledger.database import conninfo, transaction
from tests.fix_database import Database

TABLES = sorted(tables.metadata.tables.values(), key=lambda table: table.name)


def keys_made(connection: psycopg.Connection[TupleRow]) -> dict[str, list[str]]:
    """The primary key's columns of every table the database has, in their order."""
    rows = connection.execute(
        "SELECT conrelid::regclass::text, array_agg(attname::text ORDER BY array_position(conkey, attnum)) "
        "FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY(conkey) "
        "WHERE contype = 'p' AND connamespace = 'public'::regnamespace GROUP BY 1"
    )
    return dict(rows)


def test_every_table_has_the_primary_key_it_is_given_in_the_database(database: Database) -> None:
    with psycopg.connect(conninfo(database.admin)) as admin:
        made = keys_made(admin)

    written = {table.name: sorted(column.name for column in table.primary_key) for table in TABLES}
    assert written == {name: sorted(columns) for name, columns in made.items() if name in written}


def test_every_key_of_a_ledgers_data_begins_with_the_ledger(database: Database) -> None:
    with psycopg.connect(conninfo(database.admin)) as admin:
        made = keys_made(admin)

    for table in TABLES:
        if "ledger_id" in table.columns and table.columns["ledger_id"].primary_key:
            assert made[table.name][0] == "ledger_id", table.name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_every_column_can_be_asked_for_by_its_name(engine: AsyncEngine, table: Table) -> None:
    async with transaction(engine) as connection:
        found = await connection.execute(select(table).limit(1))

    assert list(found.keys()) == [column.name for column in table.columns]
