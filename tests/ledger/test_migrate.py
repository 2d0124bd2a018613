"""Migrations run as the owner, one process at a time, whole or not at all, and wait for no lock for long."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from ledger import migrate
from ledger.database import conninfo
from tests.fix_database import Database
from tests.fix_embedded import until

ROOT = Path(__file__).parents[2]

REVISION = '''
from alembic import op

revision = "{number:04}"
down_revision = {before}
branch_labels = None
depends_on = None

def upgrade():
    op.execute("""{statement}""")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A migrations folder with the real environment and no revision."""
    shutil.copy(ROOT / "migrations" / "env.py", tmp_path)
    (tmp_path / "versions").mkdir()
    return tmp_path


def add(folder: Path, number: int, statement: str) -> None:
    """Adds the numbered revision, which executes `statement`."""
    before = repr(f"{number - 1:04}") if number > 1 else None
    text = REVISION.format(number=number, before=before, statement=statement)
    (folder / "versions" / f"{number:04}_step.py").write_text(text)


def tables(database: Database) -> dict[str, str]:
    """Table names and their owners."""
    with psycopg.connect(conninfo(database.admin)) as admin:
        rows = admin.execute("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'")
        return dict(rows.fetchall())


def test_the_shipped_migrations_lead_to_the_head(database: Database) -> None:
    assert migrate.current(database.migrator) == migrate.head()


def test_everything_made_belongs_to_the_owner(unmigrated_database: Database, folder: Path) -> None:
    add(folder, 1, "CREATE TABLE first ()")
    before = migrate.current(unmigrated_database.migrator)

    migrate.upgrade(unmigrated_database.migrator, folder=folder)

    assert before is None
    assert tables(unmigrated_database) == {"first": "daftari_owner", "alembic_version": "daftari_owner"}


def test_a_second_upgrade_applies_only_what_is_new_and_says_nothing(
    unmigrated_database: Database, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    add(folder, 1, "CREATE TABLE first ()")
    migrate.upgrade(unmigrated_database.migrator, folder=folder)
    add(folder, 2, "CREATE TABLE second ()")

    migrate.upgrade(unmigrated_database.migrator, folder=folder)
    migrate.upgrade(unmigrated_database.migrator, folder=folder)

    assert migrate.current(unmigrated_database.app) == migrate.head(folder=folder) == "0002"
    assert capfd.readouterr() == ("", "")


def test_a_migration_that_fails_leaves_nothing_and_keeps_those_before_it(
    unmigrated_database: Database, folder: Path
) -> None:
    add(folder, 1, "CREATE TABLE first ()")
    add(folder, 2, "CREATE TABLE second (); SELECT 1 / 0")

    with pytest.raises(DBAPIError, match="division by zero"):
        migrate.upgrade(unmigrated_database.migrator, folder=folder)

    assert set(tables(unmigrated_database)) == {"first", "alembic_version"}
    assert migrate.current(unmigrated_database.migrator) == "0001"


async def test_two_processes_take_turns(unmigrated_database: Database, folder: Path) -> None:
    add(folder, 1, "CREATE TABLE first (); SELECT pg_sleep(0.5)")
    program = "import sys; from pathlib import Path; from ledger import migrate; "
    program += "migrate.upgrade(sys.argv[1], folder=Path(sys.argv[2]))"
    url = unmigrated_database.migrator.render_as_string(hide_password=False)

    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, url, str(folder), cwd=ROOT)
        for _ in range(3)
    ]
    exit_codes = [await process.wait() for process in processes]

    assert exit_codes == [0, 0, 0]
    assert migrate.current(unmigrated_database.migrator) == "0001"


async def test_a_lock_that_is_held_is_given_way_to_and_tried_again(unmigrated_database: Database, folder: Path) -> None:
    add(folder, 1, "CREATE TABLE first ()")
    migrate.upgrade(unmigrated_database.migrator, folder=folder)
    add(folder, 2, "ALTER TABLE first ADD COLUMN number int")
    waits = "SELECT count(*) FROM pg_locks WHERE relation = 'first'::regclass AND NOT granted"

    with (
        psycopg.connect(conninfo(unmigrated_database.owner)) as holder,
        psycopg.connect(conninfo(unmigrated_database.admin), autocommit=True) as watcher,
    ):
        holder.execute("LOCK TABLE first IN ACCESS SHARE MODE")
        upgrade = asyncio.create_task(asyncio.to_thread(migrate.upgrade, unmigrated_database.migrator, folder=folder))
        await until(lambda: watcher.execute(waits.encode()).fetchone() == (1,))
        await until(lambda: watcher.execute(waits.encode()).fetchone() == (0,))
        gave_way = not upgrade.done()
        holder.rollback()
        await upgrade

    assert gave_way
    assert migrate.current(unmigrated_database.migrator) == "0002"


def test_a_folder_with_a_percent_sign_is_found(tmp_path: Path) -> None:
    odd = tmp_path / "100%"
    (odd / "versions").mkdir(parents=True)
    add(odd, 1, "SELECT 1")

    assert migrate.head(folder=odd) == "0001"
