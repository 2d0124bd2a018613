"""The shipped migrations: one line of them, forward only, named by effect, making what the code reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import make_url

from ledger import migrate, tables
from ledger.database import conninfo
from tests.fix_database import Database

MIGRATIONS = Path(__file__).parents[2] / "migrations"
NAME = re.compile(r"(\d{4})_[a-z][a-z0-9_]*")

# Tables that no query of the service names: Alembic's own, and one that only its guard reads.
NOT_QUERIED = {"alembic_version", "payout_edges", "receipt_moves", "loan_moves", "prompt_edges", "return_edges"}
# Types that SQLAlchemy does not know, and what ledger.tables calls them.
KNOWN_AS = {"xid8": "text"}
# How a column's type is written, whatever the driver.
DIALECT = make_url("postgresql+psycopg://").get_dialect()()

# Everything of a schema that has a definition, as text: columns, constraints, indexes, triggers, functions, privileges.
SCHEMA = """
SELECT 'column', format('%s.%s', table_name, column_name), concat_ws(' ', udt_name, is_nullable, column_default)
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, concat(pg_get_triggerdef(oid), tgenabled)
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', oid::regprocedure::text, concat(pg_get_functiondef(oid), proacl)
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'privileges', relname, concat(relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace
ORDER BY 1, 2
"""


def revisions() -> list[Script]:
    """The shipped revisions, oldest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return list(ScriptDirectory.from_config(config).walk_revisions())[::-1]


def schema(database: Database) -> list[tuple[str, str, str]]:
    """What the database is made of, sorted."""
    with psycopg.connect(conninfo(database.admin)) as admin:
        return admin.execute(SCHEMA).fetchall()


def columns_made(database: Database) -> dict[str, dict[str, str]]:
    """Every table's columns with their types in SQL, as the database has them."""
    with psycopg.connect(conninfo(database.admin)) as admin:
        rows = admin.execute(
            "SELECT relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute JOIN pg_class "
            "ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND attnum > 0 AND NOT attisdropped"
        ).fetchall()
    made: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        if table not in NOT_QUERIED:
            made.setdefault(table, {})[column] = KNOWN_AS.get(kind) or kind
    return made


def columns_written() -> dict[str, dict[str, str]]:
    """The same, as ledger.tables has them."""
    return {
        name: {column.name: column.type.compile(DIALECT).lower() for column in table.columns}
        for name, table in tables.metadata.tables.items()
    }


def scripts_run() -> Iterator[str]:
    """The names that revisions hand to migrations.sql.run()."""
    for path in (MIGRATIONS / "versions").glob("[0-9]*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "sql.run":
                yield from (str(one.value) for one in node.args if isinstance(one, ast.Constant))


def test_revisions_form_one_line_numbered_without_a_gap() -> None:
    found = [(one.revision, one.down_revision) for one in revisions()]
    numbers = [f"{number:04}" for number in range(1, len(found) + 1)]

    assert found == list(zip(numbers, [None, *numbers[:-1]], strict=True))


def test_revisions_are_named_by_their_number_and_effect() -> None:
    for one in revisions():
        matched = NAME.fullmatch(Path(one.path).stem)

        assert matched is not None, f"{one.path}: name it NNNN_effect"
        assert matched[1] == one.revision


def test_every_revision_goes_forward_only_and_says_what_it_makes() -> None:
    for one in revisions():
        assert not hasattr(one.module, "downgrade"), f"{one.path}: a mistake is put right by the next revision"
        assert one.doc, f"{one.path} opens with no docstring"


def test_every_sql_file_is_run_by_exactly_one_revision() -> None:
    shipped = sorted(path.stem for path in (MIGRATIONS / "sql").glob("*.sql"))

    assert sorted(scripts_run()) == shipped


def test_an_empty_database_is_brought_to_the_head(unmigrated_database: Database) -> None:
    before = migrate.current(unmigrated_database.migrator)

    migrate.upgrade(unmigrated_database.migrator)

    assert before is None
    assert migrate.current(unmigrated_database.app) == migrate.head() == revisions()[-1].revision


def test_a_second_upgrade_changes_nothing(fresh_database: Database) -> None:
    before = schema(fresh_database)

    migrate.upgrade(fresh_database.migrator)

    assert before
    assert schema(fresh_database) == before


def test_the_page_of_tables_is_the_schema(database: Database) -> None:
    """ledger/tables.py is written by hand: it names every table and column of the database, no other, with its type."""
    assert columns_written() == columns_made(database)
