"""Exchanges of a session: several statements in one round trip, and the last one together with COMMIT."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.errors import CheckViolation, DivisionByZero, InvalidSqlStatementName, UniqueViolation
from psycopg.pq import TransactionStatus
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import conninfo, run_session, session_transaction
from ledger.session import Session, Statement
from tests.fix_database import Database

NUMBER = Statement("SELECT %(number)s::bigint, %(text)s::text")
DIVIDE = Statement("SELECT 1 / %(by)s::integer")
ADD = Statement("INSERT INTO slots VALUES (%(number)s::integer)")
SLOTS = Statement("SELECT number FROM slots ORDER BY number")


@pytest.fixture
def slots(fresh_database: Database) -> Database:
    """A database with a table that takes positive numbers, each once."""
    with psycopg.connect(conninfo(fresh_database.owner)) as owner:
        owner.execute("CREATE TABLE slots (number int PRIMARY KEY CHECK (number > 0))")
        owner.execute("GRANT SELECT, INSERT ON slots TO daftari_app")
    return fresh_database


async def numbers(engine: AsyncEngine) -> list[int]:
    async with session_transaction(engine) as session:
        [rows] = await session.exchange(SLOTS.asked({}))
        return [row[0] for row in rows]


async def test_each_statement_of_an_exchange_has_its_own_rows_in_order(engine: AsyncEngine) -> None:
    async with session_transaction(engine) as session:
        answers = await session.exchange(
            NUMBER.asked({"number": 1, "text": "one"}),
            DIVIDE.asked({"by": 1}),
            NUMBER.asked({"number": 2, "text": None}),
        )

    assert answers == [[(1, "one")], [(1,)], [(2, None)]]


async def test_an_exchange_begins_a_transaction_where_none_is_under_way(engine: AsyncEngine) -> None:
    async with session_transaction(engine) as session:
        await session.exchange(DIVIDE.asked({"by": 1}))
        status = session.info.transaction_status

    assert status is TransactionStatus.INTRANS
    assert session.info.transaction_status is TransactionStatus.IDLE


async def test_the_first_statement_that_fails_is_the_error_and_nothing_is_kept(
    slots: Database, fresh_engine: AsyncEngine
) -> None:
    with pytest.raises(DivisionByZero):
        async with session_transaction(fresh_engine) as session:
            await session.exchange(ADD.asked({"number": 1}), DIVIDE.asked({"by": 0}), ADD.asked({"number": 1}))

    assert await numbers(fresh_engine) == []


async def test_what_is_deferred_is_committed(slots: Database, fresh_engine: AsyncEngine) -> None:
    async with session_transaction(fresh_engine) as session:
        await session.exchange(ADD.asked({"number": 1}))
        session.defer(ADD.asked({"number": 2}))

    assert await numbers(fresh_engine) == [1, 2]


async def test_commit_raises_what_the_deferred_statement_would_and_nothing_is_kept(
    slots: Database, fresh_engine: AsyncEngine
) -> None:
    async def add(session: Session) -> None:
        await session.exchange(ADD.asked({"number": 1}))
        session.defer(ADD.asked({"number": -2}))

    with pytest.raises(CheckViolation):
        await run_session(fresh_engine, add)

    assert await numbers(fresh_engine) == []


async def test_nothing_is_sent_behind_what_is_deferred(slots: Database, fresh_engine: AsyncEngine) -> None:
    async with session_transaction(fresh_engine) as session:
        session.defer(ADD.asked({"number": 1}))
        with pytest.raises(AssertionError):
            await session.exchange(SLOTS.asked({}))


async def test_what_was_deferred_before_a_rollback_is_never_sent(slots: Database, fresh_engine: AsyncEngine) -> None:
    async with session_transaction(fresh_engine) as session:
        await session.exchange(ADD.asked({"number": 1}))
        session.defer(ADD.asked({"number": 2}))
        await session.rollback()

    assert await numbers(fresh_engine) == []


async def test_a_race_lost_at_commit_is_run_again(slots: Database, fresh_engine: AsyncEngine) -> None:
    tries: list[int] = []

    async def add(session: Session) -> None:
        tries.append(len(tries))
        await session.exchange(SLOTS.asked({}))
        session.defer(ADD.asked({"number": 1 if len(tries) == 2 else 7}))

    await run_session(fresh_engine, add)
    tries.clear()
    async with session_transaction(fresh_engine) as session:
        await session.exchange(ADD.asked({"number": 8}))

    with pytest.raises(UniqueViolation):
        await run_session(fresh_engine, lambda one: _add_at_commit(one, 8))
    await run_session(fresh_engine, add, again_on=frozenset({"slots_pkey"}))

    assert tries == [0, 1]
    assert await numbers(fresh_engine) == [1, 7, 8]


async def _add_at_commit(session: Session, number: int) -> None:
    session.defer(ADD.asked({"number": number}))


async def test_statements_that_the_server_forgot_are_prepared_anew(engine: AsyncEngine) -> None:
    calls: list[int] = []

    async def ask(session: Session) -> list[object]:
        calls.append(len(calls))
        [rows] = await session.exchange(DIVIDE.asked({"by": 1}))
        return list(rows)

    async with session_transaction(engine) as session:
        await session.exchange(DIVIDE.asked({"by": 1}))
        await session.execute("DEALLOCATE ALL")
        with pytest.raises(InvalidSqlStatementName):
            await session.exchange(DIVIDE.asked({"by": 1}))
        await session.rollback()
    answer = await run_session(engine, ask)

    assert answer == [(1,)]


async def test_a_session_whose_caller_leaves_in_the_middle_is_whole_or_replaced(engine: AsyncEngine) -> None:
    sleep = Statement("SELECT pg_sleep(60)")

    async def ask(session: Session) -> None:
        await session.exchange(sleep.asked({}))

    asking = asyncio.create_task(run_session(engine, ask))
    await asyncio.sleep(0.2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    async with session_transaction(engine) as session:
        answers = await session.exchange(DIVIDE.asked({"by": 1}))
    assert answers == [[(1,)]]


async def test_a_session_that_the_server_ends_in_the_middle_is_closed(engine: AsyncEngine) -> None:
    end = Statement("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(psycopg.OperationalError):
        async with session_transaction(engine) as session:
            await session.exchange(end.asked({}))

    assert session.closed


async def test_texts_come_back_as_they_went(engine: AsyncEngine) -> None:
    texts = [None, "", " ", "NULL", "{}", "it's", '"', "\\", "\n", "\x85", "é😀"]

    async with session_transaction(engine) as session:
        answers = await session.exchange(*(NUMBER.asked({"number": None, "text": text}) for text in texts))

    assert answers == [[(None, text)] for text in texts]
