"""Real PostgreSQL under a history: connections that pass points at COMMIT, break there, and outlive the processes.

A server for the whole run, without fsync: it is never killed here. A history truncates every table before it begins.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import psycopg
from psycopg import sql
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import migrate, provision
from ledger.database import connect, conninfo
from ledger.embedded import EmbeddedServer
from ledger.embedded_directory import Address
from ledger.session import Session
from tests.fix_database import Database, Postgres, passwords_from
from tests.simulation.actors import AFTER_COMMIT, BEFORE_COMMIT, Stage

# How a COMMIT ends: None as it should, "lost" before it arrived, "unheard" after it was carried out.
Cut: TypeAlias = Callable[[], str | None]
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
_GONE = "server closed the connection unexpectedly"


@dataclass(slots=True)
class Watch:
    """What happens at the COMMITs of the history under way."""

    stage: Stage | None = None
    cut: Cut = lambda: None
    commits: int = 0


class WatchedConnection(Session):
    """A connection of some process of ours. Closing it puts it on the shelf for the next one: a history is not about
    the handshake."""

    watch: ClassVar[Watch]
    shelf: ClassVar[list[WatchedConnection]]
    broken = False

    @classmethod
    async def connect(cls, *arguments: Any, **options: Any) -> Any:
        """From the shelf where one lies there."""
        if cls.shelf:
            shelved = cls.shelf.pop()
            shelved.broken = False
            return shelved
        return await super().connect(*arguments, **options)

    @property
    def closed(self) -> bool:
        """Broken for its process, though the connection underneath is whole."""
        return self.broken or super().closed

    async def commit(self) -> None:
        """COMMIT between two points, with what may befall it on the way."""
        watch = self.watch
        if watch.stage is None or self.info.transaction_status is psycopg.pq.TransactionStatus.IDLE:
            await super().commit()
            return
        await watch.stage.point(BEFORE_COMMIT, may_wait=False)
        fate = watch.cut()
        if fate == "lost":
            await super().rollback()
            self._break()
        await super().commit()
        watch.commits += 1
        if fate == "unheard":
            self._break()
        await watch.stage.point(AFTER_COMMIT)

    async def close(self) -> None:
        """Undoes what was not committed, and goes back to the shelf."""
        if not super().closed:
            if self.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
                await super().rollback()
            self.shelf.append(self)
        self.broken = True

    def _break(self) -> None:
        self.broken = True
        raise psycopg.OperationalError(_GONE)


class Engines:
    """The engines of our processes, by name. They outlive histories, since making one takes longer than a history has;
    what a process knows is in its connections and its parts, and those do not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, AsyncEngine] = {}
        self.watch = Watch()
        names = {"watch": self.watch, "shelf": []}
        self._connector: type[WatchedConnection] = type("ArenaConnection", (WatchedConnection,), names)

    def of(self, process: str) -> AsyncEngine:
        """The engine of the process of this name."""
        if process not in self._known:
            self._known[process] = connect(
                self._database.app, pool_size=8, application_name=process, connector=self._connector
            )
        return self._known[process]


@asynccontextmanager
async def simulation_server() -> AsyncIterator[Postgres]:
    """A provisioned server for a run, and its migrated template."""
    directory = Path(tempfile.mkdtemp(prefix="daftari-simulation-"))
    server = EmbeddedServer(directory, settings=_FAST)
    await server.start()
    try:
        yield await asyncio.to_thread(_prepare, server.url())
    finally:
        await server.stop()
        shutil.rmtree(directory)


def _prepare(admin: URL) -> Postgres:
    passwords = passwords_from(Address(Path(), admin.password or ""))
    postgres = Postgres(admin, passwords, "daftari_simulation")
    asyncio.run(provision.provision(admin, database=postgres.template, passwords=passwords))
    migrate.upgrade(postgres.database(postgres.template).migrator)
    return postgres


class Ground:
    """A database between histories: emptied, and laid out again as it was when the first history of its kind began. As
    nobody but a superuser can."""

    def __init__(self, database: Database) -> None:
        self.session = psycopg.connect(conninfo(database.admin), autocommit=True)
        self.session.execute("SET session_replication_role = replica")
        found = self.session.execute(
            "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
            "ORDER BY 1"
        )
        # What holds rows already is the schema's own: the edges of state tables, the currencies.
        self._tables = [name for (name,) in found.fetchall() if not self._has_rows(name)]
        self._layouts: dict[str, list[str]] = {}
        self._cleaned = 0

    def _has_rows(self, name: str) -> bool:
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(name))
        row = self.session.execute(query).fetchone()
        return row is not None and bool(row[0])

    def clean(self) -> None:
        """Nothing is left of the history before. Deleting is quicker than truncating until the dead rows are many."""
        names = [sql.Identifier(name) for name in self._tables]
        if self._cleaned % 100 == 0:
            self.session.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))
        else:
            self.session.execute(sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(name) for name in names))
        self._cleaned += 1

    def remember(self, layout: str) -> None:
        """Keeps what every table holds now under a name."""
        self.session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(layout)))
        self._layouts[layout] = []
        for name in self._tables:
            places = (sql.Identifier(layout, name), sql.Identifier("public", name))
            cursor = self.session.execute(sql.SQL("CREATE TABLE {} AS TABLE {}").format(*places))
            if cursor.rowcount:
                self._layouts[layout].append(name)

    def lay_out(self, layout: str) -> bool:
        """Fills the tables as they were remembered; False where nothing was."""
        copy = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE TABLE {}")
        copies = [
            copy.format(sql.Identifier("public", name), sql.Identifier(layout, name))
            for name in self._layouts.get(layout, [])
        ]
        if copies:
            self.session.execute(sql.SQL("; ").join(copies))
        return bool(copies)

    def close(self) -> None:
        """Ends the session."""
        self.session.close()
