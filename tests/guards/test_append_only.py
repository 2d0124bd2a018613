"""History stays as it was written: nobody updates, deletes or truncates it. Rows that may change are never deleted."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import sql

from tests.fix_database import Database
from tests.guards.intended import APPEND_ONLY, KEPT
from tests.guards.stage import Connection, Stage, refusal, session

RESTRICT, DENIED = "23001", "42501"
GUARDED = sorted(APPEND_ONLY | set(KEPT))
CHANGES: dict[str, LiteralString] = {
    "UPDATE": "UPDATE {table} SET {column} = {column}",
    "UPDATE of no row": "UPDATE {table} SET {column} = {column} WHERE false",
    "UPSERT": "INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table} "
    "ON CONFLICT ({key}) DO UPDATE SET {column} = EXCLUDED.{column}",
    "MERGE": "MERGE INTO {table} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN UPDATE SET {column} = t.{column}",
}
REMOVALS: dict[str, LiteralString] = {
    "DELETE": "DELETE FROM {table}",
    "DELETE of no row": "DELETE FROM {table} WHERE false",
    "MERGE": "MERGE INTO {table} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
}


def statement(connection: Connection, table: str, template: LiteralString) -> sql.Composed:
    """The template for this table, its primary key and its last column."""
    query = (
        "SELECT attname::text, coalesce(attnum = ANY(indkey), false) FROM pg_attribute "
        "LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    columns = connection.execute(query, (table,)).fetchall()
    return sql.SQL(template).format(
        table=sql.Identifier(table),
        column=sql.Identifier(columns[-1][0]),
        key=sql.SQL(", ").join(sql.Identifier(name) for name, is_key in columns if is_key),
    )


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
def test_an_append_only_table_changes_for_nobody(app: Connection, owner: Connection, stage: Stage, table: str) -> None:
    for template in (*CHANGES.values(), *REMOVALS.values()):
        change = statement(owner, table, template)

        with refusal(owner, RESTRICT, f"{table}_are_append_only"):
            owner.execute(change)
        with refusal(app, DENIED, None):
            app.execute(change)


@pytest.mark.parametrize("table", sorted(KEPT))
def test_a_kept_table_loses_no_row(app: Connection, owner: Connection, stage: Stage, table: str) -> None:
    for template in REMOVALS.values():
        removal = statement(owner, table, template)

        with refusal(owner, RESTRICT, f"{table}_are_kept"):
            owner.execute(removal)
        with refusal(app, DENIED, None):
            app.execute(removal)


@pytest.mark.parametrize("table", sorted(KEPT))
def test_the_application_changes_no_column_but_its_own(app: Connection, owner: Connection, table: str) -> None:
    query = "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    fixed = {row[0] for row in owner.execute(query, (table,))} - set(KEPT[table].split())

    for column in fixed:
        names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
        with refusal(app, DENIED, None):
            app.execute(sql.SQL("UPDATE {table} SET {column} = {column} WHERE false").format(**names))


@pytest.mark.parametrize("role", ["reader", "migrator"])
@pytest.mark.parametrize("table", GUARDED)
def test_the_reader_and_a_migrator_that_is_not_the_owner_change_nothing(
    database: Database, owner: Connection, table: str, role: str
) -> None:
    with session(database, role) as connection:
        for template in (*CHANGES.values(), *REMOVALS.values()):
            with refusal(connection, DENIED, None):
                connection.execute(statement(owner, table, template))
        with refusal(connection, DENIED, None):
            connection.execute(sql.SQL("INSERT INTO {} DEFAULT VALUES").format(sql.Identifier(table)))


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
def test_without_its_triggers_the_owner_would_change_it(owner: Connection, stage: Stage, table: str) -> None:
    """So the tests above can fail. The other guards of the table are dropped with them."""
    query = "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal"
    for row in owner.execute(query, (table,)).fetchall():
        owner.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(row[0]), sql.Identifier(table)))

    for template in CHANGES.values():
        with owner.transaction(force_rollback=True):
            owner.execute(statement(owner, table, template))


def test_without_its_triggers_the_owner_would_delete_history(owner: Connection, stage: Stage) -> None:
    for table in GUARDED:
        owner.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))

    owner.execute("DELETE FROM postings WHERE ledger_id = %s", (stage.ledger_id,))
    owner.execute("DELETE FROM account_balances WHERE ledger_id = %s", (stage.ledger_id,))
    owner.execute("TRUNCATE currencies CASCADE")

    assert owner.execute("SELECT count(*) FROM ledgers").fetchone() == (0,)
