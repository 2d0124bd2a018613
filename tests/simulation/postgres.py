"""Real PostgreSQL under a history: connections that pass points at COMMIT, break there, and outlive the processes.

A server for the whole run, without fsync: it is never killed here. A history truncates every table before it begins.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

import psycopg
from psycopg import sql, waiting
from psycopg.abc import PQGen
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
Answer = TypeVar("Answer")
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "track_activities": "off",
    "track_counts": "off",
    "update_process_title": "off",
}
_ROLLBACK = "ROLLBACK"
_GONE = "server closed the connection unexpectedly"


@dataclass(slots=True)
class Watch:
    """What happens at the COMMITs of the history under way."""

    stage: Stage | None = None
    cut: Cut = lambda: None
    commits: int = 0
    # Whether one task at a time speaks to the database: it may stand still for every answer then, and spare the loop.
    at_a_time: bool = False
    # Whether a ROLLBACK goes past psycopg, which would have the server forget what is prepared all the same: what lies
    # on the shelf would then decide which transactions are run again, and which ids they draw.
    keeps_prepared: bool = False


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
        # They live for thousands of histories: a statement is planned once, and never again.
        made = await super().connect(*arguments, **options, prepare_threshold=0)
        made.prepared_max = None
        return made

    async def wait(self, gen: PQGen[Answer], *given: Any, **named: Any) -> Answer:
        """For the server's answer."""
        if self.watch.at_a_time:
            return waiting.wait(gen, self.pgconn.socket, *given, **named)
        return await super().wait(gen, *given, **named)

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
            await self.rollback()
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
                await self.rollback()
            self.shelf.append(self)
        self.broken = True

    async def rollback(self) -> None:
        """ROLLBACK alone: psycopg would have the server forget all that it prepared, which outlasts a transaction."""
        self._deferred = []
        if self.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            if self.watch.keeps_prepared:
                self.pgconn.exec_(_ROLLBACK.encode())
            else:
                await self.execute(_ROLLBACK, prepare=False)

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
    nobody but a superuser can, and by functions of its own, which plan their statements once."""

    def __init__(self, database: Database) -> None:
        self.session = psycopg.connect(conninfo(database.admin), autocommit=True)
        self.session.execute("SET session_replication_role = replica")
        found = self.session.execute(
            "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
            "ORDER BY 1"
        )
        # What holds rows already is the schema's own: the edges of state tables, the currencies.
        self._tables = [name for (name,) in found.fetchall() if not self._has_rows(name)]
        self._layouts = set[str]()
        self._cleaned = 0
        self._make("ground", "clean", [sql.SQL("DELETE FROM {}").format(_public(name)) for name in self._tables])

    def _has_rows(self, name: str) -> bool:
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(_public(name))
        row = self.session.execute(query).fetchone()
        return row is not None and bool(row[0])

    def clean(self) -> None:
        """Nothing is left of the history before. Deleting is quicker than truncating until the dead rows are many."""
        if self._cleaned % 100 == 0:
            names = sql.SQL(", ").join(_public(name) for name in self._tables)
            self.session.execute(sql.SQL("TRUNCATE {}").format(names))
        else:
            self.session.execute("SELECT ground.clean()")
        self._cleaned += 1

    def remember(self, layout: str) -> None:
        """Keeps what every table holds now under a name."""
        filled = [name for name in self._tables if self._has_rows(name)]
        copy = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE TABLE {}")
        self._make(layout, "lay_out", [copy.format(_public(name), sql.Identifier(layout, name)) for name in filled])
        for name in filled:
            keep = sql.SQL("CREATE TABLE {} AS TABLE {}").format(sql.Identifier(layout, name), _public(name))
            self.session.execute(keep)
        self._layouts.add(layout)

    def lay_out(self, layout: str) -> bool:
        """Fills the tables as they were remembered; False where nothing was."""
        if layout in self._layouts:
            self.session.execute(sql.SQL("SELECT {}()").format(sql.Identifier(layout, "lay_out")))
        return layout in self._layouts

    def _make(self, schema: str, name: str, statements: Sequence[sql.Composed]) -> None:
        """A function that carries the statements out, in a schema of its own."""
        body = sql.SQL("BEGIN {} END").format(sql.SQL(" ").join([one + sql.SQL(";") for one in statements]))
        self.session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        made = sql.SQL("CREATE FUNCTION {}() RETURNS void LANGUAGE plpgsql AS {}")
        self.session.execute(made.format(sql.Identifier(schema, name), body.as_string(self.session)))

    def close(self) -> None:
        """Ends the session."""
        self.session.close()


def _public(table: str) -> sql.Identifier:
    return sql.Identifier("public", table)
