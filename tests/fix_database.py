"""PostgreSQL for tests: one server per session, one migrated template, clones of it.

The server is the embedded one, or the one DAFTARI_DATABASE_URL names: there the URL of a superuser on a plain server.

Fixtures:
    database             Database, one clone shared by the whole session: tests keep apart by ledgers of their own
    fresh_database       Database, a clone for this test alone, dropped afterwards
    unmigrated_database  Database, provisioned and empty, for this test alone
    engine               AsyncEngine on `database` as the application role
    fresh_engine         AsyncEngine on `fresh_database` as the application role
    postgres             Postgres, the server itself: clone() and drop() for tests that need several databases
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import migrate, provision
from ledger.database import connect, conninfo
from ledger.embedded import EmbeddedServer
from ledger.embedded_directory import Address
from tests.fix_canary import WATCH, fail_on_leaks


@dataclass(frozen=True, slots=True)
class Database:
    """One migrated database, as each role sees it: ledger.database.connect(), or conninfo() for plain psycopg, take
    these URLs. `owner` logs in as the migrator and becomes the owner; `admin` is a superuser."""

    name: str
    app: URL
    reader: URL
    migrator: URL
    owner: URL
    admin: URL


@dataclass(frozen=True, slots=True)
class Postgres:
    """A provisioned server and the template that clones are made of."""

    admin: URL
    passwords: provision.Passwords = field(repr=False)
    template: str
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    def clone(self) -> Database:
        """A new database like the template. The caller drops it."""
        name = f"{self.template}_{next(self._numbers)}"
        asyncio.run(self._clone(name))
        return self.database(name)

    async def _clone(self, name: str) -> None:
        names = (sql.Identifier(name), sql.Identifier(self.template), sql.Identifier(provision.OWNER))
        async with provision.administration(self.admin) as admin:
            await admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*names))
        async with provision.administration(self.admin.set(database=name)) as admin:
            await provision.restrict_database(admin, database=name)  # a clone takes no privileges over

    def unmigrated(self) -> Database:
        """A new provisioned database without any table. The caller drops it."""
        name = f"{self.template}_{next(self._numbers)}"
        asyncio.run(provision.provision(self.admin, database=name, passwords=self.passwords))
        return self.database(name)

    def drop(self, name: str) -> None:
        """Drops a database whoever is connected to it. Fails if anything in it leaked."""
        try:
            fail_on_leaks(self.admin.set(database=name))
        finally:
            with psycopg.connect(conninfo(self.admin), autocommit=True) as admin:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def database(self, name: str) -> Database:
        """The URLs of a database of this server."""
        base = self.admin.set(database=name)
        migrator = base.set(username=provision.MIGRATOR, password=self.passwords.migrator)
        return Database(
            name=name,
            app=base.set(username=provision.APPLICATION, password=self.passwords.application),
            reader=base.set(username=provision.READER, password=self.passwords.reader),
            migrator=migrator,
            owner=migrator.update_query_dict({"options": f"-c role={provision.OWNER}"}),
            admin=base,
        )


def passwords_from(address: Address) -> provision.Passwords:
    """The passwords an address makes for the three roles."""
    roles = (provision.MIGRATOR, provision.APPLICATION, provision.READER)
    return provision.Passwords(*(address.password(role) for role in roles))


@pytest.fixture(scope="session")
def postgres_admin() -> Iterator[URL]:
    """The administrator's URL of the session's server."""
    given = os.environ.get("DAFTARI_DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    directory = Path(tempfile.mkdtemp(prefix="daftari-tests-"))
    server = EmbeddedServer(directory)
    asyncio.run(server.start())
    yield server.url()
    asyncio.run(server.stop())
    WATCH.hear("log of PostgreSQL", (directory / "server.log").read_text(errors="replace"))
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(postgres_admin: URL) -> Iterator[Postgres]:
    """The session's server, provisioned, with its migrated template."""
    # Derived from the administrator's, so that sessions sharing a server agree on the passwords of its roles.
    key = Address(Path(), postgres_admin.password or "")
    server = Postgres(postgres_admin, passwords_from(key), f"daftari_test_{os.getpid()}")
    asyncio.run(provision.provision(server.admin, database=server.template, passwords=server.passwords))
    migrate.upgrade(server.database(server.template).migrator)
    yield server
    server.drop(server.template)


@pytest.fixture(scope="session")
def database(postgres: Postgres) -> Iterator[Database]:
    """The database shared by the session's tests."""
    shared = postgres.clone()
    yield shared
    postgres.drop(shared.name)


@pytest.fixture
def fresh_database(postgres: Postgres) -> Iterator[Database]:
    """A database for one test."""
    own = postgres.clone()
    yield own
    postgres.drop(own.name)


@pytest.fixture
def unmigrated_database(postgres: Postgres) -> Iterator[Database]:
    """A provisioned database without any table, for one test."""
    own = postgres.unmigrated()
    yield own
    postgres.drop(own.name)


@pytest.fixture(scope="session")
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """The application's engine on the shared database."""
    shared = connect(database.app, pool_size=5, application_name="tests")
    yield shared
    await shared.dispose()


@pytest.fixture
async def fresh_engine(fresh_database: Database) -> AsyncIterator[AsyncEngine]:
    """The application's engine on this test's own database."""
    own = connect(fresh_database.app, pool_size=5, application_name="tests")
    yield own
    await own.dispose()
