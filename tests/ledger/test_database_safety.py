"""The service starts on no server that could lose money, and each refusal says what to do."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from ledger import migrate
from ledger.database import connect, conninfo, transaction
from ledger.database_safety import Facts, check_safety, judge
from ledger.embedded import EmbeddedServer
from ledger.errors import UnsafeDatabase
from tests.fix_database import Database

SAFE = Facts(
    fsync="on",
    full_page_writes="on",
    synchronous_commit="on",
    standby_names="",
    in_recovery=False,
    encoding="UTF8",
    version=15,
    role="daftari_app",
    is_authenticated=True,
    is_superuser=False,
    bypasses_row_security=False,
    owner=None,
    migration="0001",
)


async def check(url: URL, *, migration_head: str | None = None) -> None:
    """check_safety in a session of its own."""
    engine = connect(url, pool_size=1, application_name="tests")
    try:
        async with transaction(engine) as connection:
            await check_safety(connection, migration_head=migration_head or migrate.head())
    finally:
        await engine.dispose()


def administer(database: Database, statement: str) -> None:
    with psycopg.connect(conninfo(database.admin), autocommit=True) as admin:
        admin.execute(statement.encode())


async def test_a_provisioned_and_migrated_database_is_safe(database: Database) -> None:
    await check(database.app)


@pytest.mark.parametrize("whose", ["ROLE daftari_app IN DATABASE", "DATABASE"])
async def test_asynchronous_commit_is_refused_wherever_it_was_set(fresh_database: Database, whose: str) -> None:
    administer(fresh_database, f"ALTER {whose} {fresh_database.name} SET synchronous_commit = off")

    with pytest.raises(UnsafeDatabase, match=r"synchronous_commit is off: .* ALTER ROLE or ALTER DATABASE"):
        await check(fresh_database.app)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_a_server_that_does_not_write_through_is_refused(server_data: Path, setting: str) -> None:
    server = EmbeddedServer(server_data, settings={setting: "off"})
    await server.start()

    with pytest.raises(UnsafeDatabase, match=f"{setting} is off: .* Set it on in postgresql.conf") as caught:
        await check(server.url())
    await server.stop()

    assert caught.value.facts == {"setting": setting}


async def test_commits_that_do_not_wait_for_the_standby_are_refused(server_data: Path) -> None:
    """The standby that takes over would lack what the primary acknowledged (scenario 15)."""
    settings = {"synchronous_standby_names": "standby", "synchronous_commit": "local"}
    server = EmbeddedServer(server_data, settings=settings)
    await server.start()

    with pytest.raises(UnsafeDatabase, match=r"a failover would lose entries .* Set synchronous_commit on"):
        await check(server.url())
    await server.stop()


async def test_a_standby_is_refused(server_data: Path) -> None:
    marker = server_data / "cluster" / "standby.signal"
    marker.touch()
    shutil.chown(marker, (server_data / "cluster").stat().st_uid)
    server = EmbeddedServer(server_data)
    await server.start()

    with pytest.raises(UnsafeDatabase, match="is a standby, which takes no entries"):
        await check(server.url())
    await server.stop()


async def test_a_server_that_asks_for_no_password_is_refused(server_data: Path) -> None:
    (server_data / "cluster" / "pg_hba.conf").write_text("local all all trust\n")
    server = EmbeddedServer(server_data)
    await server.start()

    with pytest.raises(UnsafeDatabase, match=r"at its word \(trust\): have pg_hba.conf ask for scram-sha-256"):
        await check(server.url())
    await server.stop()


async def test_a_superuser_is_refused(database: Database) -> None:
    with pytest.raises(UnsafeDatabase, match=r"is a superuser, .* connect as daftari_app"):
        await check(database.admin)


async def test_a_role_that_can_become_the_owner_is_refused(database: Database) -> None:
    with pytest.raises(UnsafeDatabase, match="daftari_migrator is, or can become, daftari_owner"):
        await check(database.migrator)


async def test_a_role_that_owns_a_single_table_is_refused(fresh_database: Database) -> None:
    administer(fresh_database, "CREATE TABLE stray (); ALTER TABLE stray OWNER TO daftari_reader")

    with pytest.raises(UnsafeDatabase, match="daftari_reader is, or can become, daftari_reader, the owner"):
        await check(fresh_database.reader)


async def test_a_schema_at_another_migration_is_refused(database: Database) -> None:
    with pytest.raises(
        UnsafeDatabase, match=f"at migration {migrate.head()} and .* needs 9999: run `daftari database migrate`"
    ):
        await check(database.app, migration_head="9999")


async def test_a_database_that_was_never_migrated_is_refused(unmigrated_database: Database) -> None:
    with pytest.raises(UnsafeDatabase, match=r"at migration none and .* run `daftari database migrate`"):
        await check(unmigrated_database.app)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (replace(SAFE, version=14), "the server is PostgreSQL 14: use 15 or later"),
        (replace(SAFE, encoding="SQL_ASCII"), "encoding is SQL_ASCII: create one with ENCODING 'UTF8'"),
        (replace(SAFE, bypasses_row_security=True), "daftari_app has BYPASSRLS: connect as daftari_app"),
    ],
)
def test_other_unsafe_facts_are_refused(facts: Facts, sentence: str) -> None:
    judge(SAFE, migration_head="0001")

    with pytest.raises(UnsafeDatabase, match=sentence):
        judge(facts, migration_head="0001")
