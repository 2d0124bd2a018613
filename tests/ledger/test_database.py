"""Transactions against a real server: when they are run again, and what is known when COMMIT breaks."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import (
    TRIES_MAX,
    connect,
    conninfo,
    driver,
    run,
    run_session,
    sqlstate,
    transaction,
    violated_constraint,
)
from ledger.embedded import EmbeddedServer
from ledger.errors import CommitUnknown, Overloaded
from ledger.session import Session, Statement
from tests.fix_database import Database

SOCKET = ".s.PGSQL.5432"
SERIALIZATION_FAILURE = "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"


@pytest.fixture
def slots(fresh_database: Database) -> Database:
    """A database with a table of two rows that the application may change."""
    with psycopg.connect(conninfo(fresh_database.owner)) as owner:
        owner.execute(
            "CREATE TABLE slots (number int CONSTRAINT slots_number_is_unique PRIMARY KEY, held int DEFAULT 0, "
            "twin int CONSTRAINT slots_twin_exists REFERENCES slots DEFERRABLE INITIALLY DEFERRED)"
        )
        owner.execute("INSERT INTO slots (number) VALUES (1), (2)")
        owner.execute("GRANT SELECT, INSERT, UPDATE ON slots TO daftari_app")
    return fresh_database


async def numbers(engine: AsyncEngine) -> list[int]:
    async with transaction(engine) as connection:
        rows = await connection.execute(text("SELECT number FROM slots ORDER BY number"))
        return list(rows.scalars())


@dataclass(slots=True)
class Scripted:
    """Executes its statements in turn, one per call and the last for good; counts the calls."""

    statements: list[str]
    calls: int = 0

    async def __call__(self, connection: AsyncConnection) -> int:
        statement = self.statements[min(self.calls, len(self.statements) - 1)]
        self.calls += 1
        await connection.execute(text(statement))
        return self.calls


async def test_a_session_starts_with_our_limits(engine: AsyncEngine) -> None:
    names = (
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "TimeZone",
        "transaction_isolation",
        "search_path",
        "application_name",
    )

    async with transaction(engine) as connection:
        values = [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]

    assert values == ["10s", "5s", "30s", "UTC", "read committed", "public,pg_temp", "tests"]


async def test_the_driver_works_in_the_same_transaction(slots: Database, fresh_engine: AsyncEngine) -> None:
    seen: list[int] = []

    async def insert_and_refuse(connection: AsyncConnection) -> None:
        await (await driver(connection)).execute("INSERT INTO slots (number) VALUES (7)")
        seen.extend((await connection.execute(text("SELECT number FROM slots ORDER BY number"))).scalars())
        raise LookupError

    with pytest.raises(LookupError):
        await run(fresh_engine, insert_and_refuse)

    assert seen == [1, 2, 7]
    assert await numbers(fresh_engine) == [1, 2]


async def test_what_the_driver_wrote_is_committed(slots: Database, fresh_engine: AsyncEngine) -> None:
    async with transaction(fresh_engine) as connection:
        await (await driver(connection)).execute("INSERT INTO slots (number) VALUES (7)")

    assert await numbers(fresh_engine) == [1, 2, 7]


async def test_a_serialization_failure_runs_the_whole_again(engine: AsyncEngine) -> None:
    function = Scripted([SERIALIZATION_FAILURE, SERIALIZATION_FAILURE, "SELECT 1"])

    result = await run(engine, function)

    assert result == 3


async def test_contention_that_outlasts_the_tries_is_an_overload(engine: AsyncEngine) -> None:
    function = Scripted([SERIALIZATION_FAILURE])

    with pytest.raises(Overloaded, match="nothing was done: try again later"):
        await run(engine, function)

    assert function.calls == TRIES_MAX


async def test_two_that_wait_for_each_other_both_succeed(slots: Database) -> None:
    with psycopg.connect(conninfo(slots.admin), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE daftari_app IN DATABASE {slots.name} SET deadlock_timeout = '20ms'")
    engine = connect(slots.app, pool_size=2, application_name="tests")
    both_hold_one = asyncio.Barrier(2)

    async def take(connection: AsyncConnection, *, order: tuple[int, int]) -> None:
        for number in order:
            await connection.execute(text("UPDATE slots SET held = held + 1 WHERE number = :n"), {"n": number})
            with contextlib.suppress(asyncio.BrokenBarrierError):
                await both_hold_one.wait()
            await both_hold_one.abort()

    await asyncio.gather(
        run(engine, lambda connection: take(connection, order=(1, 2))),
        run(engine, lambda connection: take(connection, order=(2, 1))),
    )
    async with transaction(engine) as connection:
        held = list((await connection.execute(text("SELECT held FROM slots"))).scalars())
    await engine.dispose()

    assert held == [2, 2]


async def test_a_lock_that_is_held_too_long_is_waited_for_again(slots: Database, fresh_engine: AsyncEngine) -> None:
    function = Scripted(["SET LOCAL lock_timeout = '20ms'; UPDATE slots SET held = 1 WHERE number = 1", "SELECT 1"])

    async with transaction(fresh_engine) as holder:
        await holder.execute(text("UPDATE slots SET held = 9 WHERE number = 1"))
        result = await run(fresh_engine, function)

    assert result == 2


async def test_a_named_unique_constraint_runs_the_whole_again(slots: Database, fresh_engine: AsyncEngine) -> None:
    function = Scripted(["INSERT INTO slots (number) VALUES (1)", "INSERT INTO slots (number) VALUES (3)"])

    result = await run(fresh_engine, function, again_on=frozenset({"slots_number_is_unique"}))

    assert result == 2
    assert await numbers(fresh_engine) == [1, 2, 3]


async def test_any_other_unique_constraint_does_not(slots: Database, fresh_engine: AsyncEngine) -> None:
    function = Scripted(["INSERT INTO slots (number) VALUES (1)"])

    with pytest.raises(IntegrityError) as caught:
        await run(fresh_engine, function, again_on=frozenset({"another"}))

    assert function.calls == 1
    assert (sqlstate(caught.value), violated_constraint(caught.value)) == ("23505", "slots_number_is_unique")


async def test_the_drivers_own_errors_count_alike(slots: Database, fresh_engine: AsyncEngine) -> None:
    calls = 0

    async def insert(connection: AsyncConnection) -> None:
        nonlocal calls
        calls += 1
        await (await driver(connection)).execute("INSERT INTO slots (number) VALUES (%s)", (calls,))

    await run(fresh_engine, insert, again_on=frozenset({"slots_number_is_unique"}))

    assert calls == 3


async def test_an_error_of_ours_is_raised_at_once_and_undoes_everything(
    slots: Database, fresh_engine: AsyncEngine
) -> None:
    calls = 0

    async def insert_and_refuse(connection: AsyncConnection) -> None:
        nonlocal calls
        calls += 1
        await connection.execute(text("INSERT INTO slots (number) VALUES (7)"))
        raise LookupError

    with pytest.raises(LookupError):
        await run(fresh_engine, insert_and_refuse)

    assert calls == 1
    assert await numbers(fresh_engine) == [1, 2]


async def test_a_commit_that_the_server_refuses_is_known_to_be_undone(
    slots: Database, fresh_engine: AsyncEngine
) -> None:
    function = Scripted(["INSERT INTO slots (number, twin) VALUES (7, 99)"])

    with pytest.raises(IntegrityError, match="slots_twin_exists"):
        await run(fresh_engine, function)

    assert function.calls == 1
    assert await numbers(fresh_engine) == [1, 2]


class Cut(Enum):
    """Where the proxy below cuts the connection."""

    BEFORE_COMMIT_ARRIVES = "before"
    AFTER_COMMIT_IS_DONE = "after"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Stands between one client and the server, and cuts their connection when it sees COMMIT."""

    server: URL
    cut: Cut

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[URL]:
        """The URL that leads through the proxy."""
        done = asyncio.Event()

        async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
            server, to_server = await self.reach_server()
            await self.relay(client, to_client, server, to_server)
            for end in (to_client, to_server):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()
            done.set()

        with tempfile.TemporaryDirectory(prefix="daftari-") as directory:
            async with await asyncio.start_unix_server(serve, Path(directory) / SOCKET):
                yield URL.create(
                    self.server.drivername,
                    username=self.server.username,
                    password=self.server.password,
                    database=self.server.database,
                    query={"host": directory},
                )
                await done.wait()

    async def relay(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """The answers are read by one task alone, which passes them on or, after the cut, only looks for the COMMIT."""
        committed = asyncio.Event()
        is_cut = asyncio.Event()

        async def answers() -> None:
            while answer := await server.read(65536):
                if not is_cut.is_set():
                    to_client.write(answer)
                elif b"COMMIT\0" in answer:
                    committed.set()

        reading = asyncio.create_task(answers())
        while b"COMMIT" not in (request := await client.read(65536)):
            to_server.write(request)
        is_cut.set()
        if self.cut is Cut.AFTER_COMMIT_IS_DONE:
            to_server.write(request)
            await committed.wait()
        reading.cancel()

    async def reach_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.server.host:
            return await asyncio.open_connection(self.server.host, self.server.port)
        return await asyncio.open_unix_connection(Path(str(self.server.query["host"])) / SOCKET)


@pytest.mark.parametrize(
    ("cut", "written"), [(Cut.BEFORE_COMMIT_ARRIVES, [1, 2]), (Cut.AFTER_COMMIT_IS_DONE, [1, 2, 7])]
)
async def test_a_connection_cut_at_commit_is_an_unknown_outcome_and_never_run_again(
    slots: Database, fresh_engine: AsyncEngine, cut: Cut, written: list[int]
) -> None:
    function = Scripted(["INSERT INTO slots (number) VALUES (7)"])

    async with Proxy(slots.app, cut).listening() as url:
        engine = connect(url, pool_size=1, application_name="tests")
        with pytest.raises(CommitUnknown, match="repeat with the same request id"):
            await run(engine, function)
        await engine.dispose()

    assert function.calls == 1
    assert await numbers(fresh_engine) == written


@pytest.mark.parametrize(
    ("cut", "written"), [(Cut.BEFORE_COMMIT_ARRIVES, [1, 2]), (Cut.AFTER_COMMIT_IS_DONE, [1, 2, 7])]
)
async def test_a_connection_cut_at_a_commit_with_what_was_deferred_is_an_unknown_outcome_too(
    slots: Database, fresh_engine: AsyncEngine, cut: Cut, written: list[int]
) -> None:
    calls: list[Session] = []

    async def add(session: Session) -> None:
        calls.append(session)
        await session.exchange(Statement("SELECT 1").asked({}))
        session.defer(Statement("INSERT INTO slots (number) VALUES (7)").asked({}))

    async with Proxy(slots.app, cut).listening() as url:
        engine = connect(url, pool_size=1, application_name="tests")
        with pytest.raises(CommitUnknown, match="repeat with the same request id"):
            await run_session(engine, add)
        await engine.dispose()

    assert len(calls) == 1
    assert await numbers(fresh_engine) == written


async def test_a_connection_lost_before_commit_is_an_error_and_not_run_again(engine: AsyncEngine) -> None:
    function = Scripted(["SELECT pg_terminate_backend(pg_backend_pid())"])

    with pytest.raises(DBAPIError):
        await run(engine, function)

    assert function.calls == 1


async def test_the_pool_replaces_connections_that_the_server_closed(embedded_server: EmbeddedServer) -> None:
    engine = connect(embedded_server.url(), pool_size=2, application_name="tests")
    async with transaction(engine) as first, transaction(engine) as second:
        await asyncio.gather(first.execute(text("SELECT 1")), second.execute(text("SELECT 1")))
    await embedded_server.stop()
    await embedded_server.start()

    async with transaction(engine) as first, transaction(engine) as second:
        answers = [(await session.execute(text("SELECT 1"))).scalar_one() for session in (first, second)]
    await engine.dispose()

    assert answers == [1, 1]
