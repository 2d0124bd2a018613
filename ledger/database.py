"""The engine, and what a transaction is: its limits, when it is run again, and what we know when COMMIT breaks.

Nothing inside a transaction commits. Whether a server may hold money at all is database_safety's question.
"""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ledger.errors import CommitUnknown, Overloaded
from ledger.session import Session

Driver: TypeAlias = Session
Result = TypeVar("Result")

TRIES_MAX = 8
POOL_WAIT_SECONDS_MAX = 10.0

# What a session starts with. A statement that waits longer than this has lost its caller already.
_SESSION = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
    "default_transaction_isolation": "read\\ committed",
    "search_path": "public,pg_temp",  # pg_temp last: a temporary table never stands in for one of ours
}

# Contention: the server undid the transaction because of another one, so running it again may well succeed.
_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED, _LOCK_NOT_AVAILABLE = "40001", "40P01", "55P03"
_CONTENTION = frozenset({_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED, _LOCK_NOT_AVAILABLE})
_UNIQUE_VIOLATION = "23505"
# A session's prepared statements are gone, which it learns only now: nothing was done, and it prepares them anew.
_STATEMENT_FORGOTTEN = "26000"


def connect(
    url: str | URL,
    *,
    pool_size: int,
    application_name: str,
    connector: type[Session] = Session,
) -> AsyncEngine:
    """An engine of at most `pool_size` connections of the driver's class `connector`, opened as needed. `postgresql://`
    URLs are taken as they are."""
    target = driver_url(url)
    settings = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    given = " ".join(target.normalized_query.get("options", ()))
    engine = create_async_engine(
        target,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS_MAX,
        hide_parameters=True,  # an error's text may be logged; what a statement carried may not
        connect_args={
            "options": f"{settings} {given}".strip(),
            "application_name": application_name,
            "async_creator_fn": connector.connect,
            "client_encoding": "utf8",
            "connect_timeout": 10,
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_dead_connection)
    return engine


def driver_url(url: str | URL) -> URL:
    """The URL for psycopg 3, whichever of PostgreSQL's scheme names it came with."""
    return make_url(url).set(drivername="postgresql+psycopg")


def conninfo(url: str | URL) -> str:
    """The URL in libpq's own form, password included: psycopg.connect takes it."""
    target = make_url(url)
    named = target.translate_connect_args(username="user", database="dbname")
    return make_conninfo(**named, **{name: ",".join(values) for name, values in target.normalized_query.items()})


def _refuse_dead_connection(connection: Any, _record: object, _proxy: object) -> None:
    """Tells the pool to open another when the server left meanwhile. Costs no round trip: nothing is to be read from an
    idle connection unless the server said goodbye, or something rare that a new connection does not miss."""
    session = connection.driver_connection
    if session.closed:
        raise DisconnectionError("the connection is closed")
    readable = select.poll()
    readable.register(session.pgconn.socket, select.POLLIN)
    if readable.poll(0):
        raise DisconnectionError("the server closed the connection")


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One READ COMMITTED transaction: committed at the end, rolled back when the block raises.

    Raises CommitUnknown when the connection broke during COMMIT; any other error means that nothing was done. Whoever
    cancels the task during COMMIT does not know either.
    """
    async with engine.connect() as connection:
        await connection.begin()
        yield connection
        await _commit(await driver(connection), connection.commit)


@asynccontextmanager
async def session_transaction(engine: AsyncEngine) -> AsyncIterator[Session]:
    """The same for commands that speak to the driver alone, without what SQLAlchemy does for a statement of its own."""
    async with engine.connect() as connection:
        session = await driver(connection)
        yield session
        await _commit(session, session.commit)


async def _commit(session: Session, commit: Callable[[], Awaitable[None]]) -> None:
    try:
        await commit()
    except (DBAPIError, psycopg.Error) as error:
        # A server that says no to COMMIT and lives has rolled back. One that is gone may have committed first.
        if session.closed:
            raise CommitUnknown(
                "the connection broke during COMMIT and the outcome is unknown: repeat with the same request id"
            ) from error
        raise


async def run(
    engine: AsyncEngine,
    function: Callable[[AsyncConnection], Awaitable[Result]],
    *,
    again_on: frozenset[str] = frozenset(),
) -> Result:
    """`function` in one transaction; the whole is run again, at most TRIES_MAX times, when the server undid it because
    of a concurrent one. `again_on` names unique constraints whose violation means just that: a racing insert won.

    Raises Overloaded when contention outlasts the tries, CommitUnknown as transaction() does, and else what was raised.
    """

    async def once() -> Result:
        async with transaction(engine) as connection:
            return await function(connection)

    return await _tried(once, again_on)


async def run_session(
    engine: AsyncEngine, function: Callable[[Session], Awaitable[Result]], *, again_on: frozenset[str] = frozenset()
) -> Result:
    """run() for a function that speaks to the driver alone."""

    async def once() -> Result:
        async with session_transaction(engine) as session:
            return await function(session)

    return await _tried(once, again_on)


async def _tried(once: Callable[[], Awaitable[Result]], again_on: frozenset[str]) -> Result:
    try:
        try:
            return await once()
        except (DBAPIError, psycopg.Error) as error:
            if not _is_worth_again(error, again_on):
                raise
        return await _tried_again(once, again_on)
    except (DBAPIError, psycopg.Error) as error:
        if sqlstate(error) in _CONTENTION:
            raise Overloaded("others hold what this needs and nothing was done: try again later") from error
        raise


async def _tried_again(once: Callable[[], Awaitable[Result]], again_on: frozenset[str]) -> Result:
    """The tries after the first, which is by far most often the only one."""
    retrying = AsyncRetrying(
        stop=stop_after_attempt(TRIES_MAX - 1),
        wait=wait_random_exponential(multiplier=0.01, max=0.5),
        retry=retry_if_exception(lambda error: _is_worth_again(error, again_on)),
        reraise=True,
    )
    return await retrying(once)


def _is_worth_again(error: BaseException, again_on: frozenset[str]) -> bool:
    state, constraint = sqlstate(error), violated_constraint(error) or ""
    # Ids are chosen here and clash once in a long while between processes: with others the same work goes through.
    is_race = constraint in again_on or constraint.endswith("_pkey")
    return state in _CONTENTION or state == _STATEMENT_FORGOTTEN or (state == _UNIQUE_VIOLATION and is_race)


def sqlstate(error: BaseException) -> str | None:
    """The five characters by which PostgreSQL names an error; None for what is not PostgreSQL's."""
    cause = _driver_error(error)
    return cause.sqlstate if cause else None


def violated_constraint(error: BaseException) -> str | None:
    """The name of the constraint an error is about, if it is about one."""
    cause = _driver_error(error)
    return cause.diag.constraint_name if cause else None


def _driver_error(error: BaseException) -> psycopg.Error | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause if isinstance(cause, psycopg.Error) else None


async def driver(connection: AsyncConnection) -> Driver:
    """The psycopg connection underneath, in the same transaction, for the hot path."""
    pooled = await connection.get_raw_connection()
    session = pooled.driver_connection
    assert isinstance(session, Session)
    return session
