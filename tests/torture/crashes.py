"""PostgreSQL crashes under load: what was acknowledged is in the books after recovery, once. And the control, on a
server that acknowledges before it has written, which must lose: without it the first would prove nothing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.failures import known_refusal
from ledger.database import connect, conninfo, transaction
from ledger.database_safety import check_safety
from ledger.errors import Category, LedgerError, UnsafeDatabase
from ledger.journal.decide import Posted, PostRequest, Replayed
from ledger.migrate import head
from tests.builders import BANK, WALLET, Books, key, open_books, transfer
from tests.fix_database import Database
from tests.torture.callers import until
from tests.torture.plain import read_books
from tests.torture.server import APPLICATION, Crash, CrashingServer

CALLERS = 6
SOUND: Mapping[str, str] = {"autovacuum": "off"}
# Acknowledged before it is written, and written as late as can be.
CARELESS: Mapping[str, str] = {**SOUND, "synchronous_commit": "off", "wal_writer_delay": "10s"}
_WAIT_SECONDS_MAX = 60
_AGAIN = frozenset({Category.UNAVAILABLE, Category.RESOURCE_EXHAUSTED})
_STORED = "SELECT reference FROM journal_entries WHERE reference = ANY(%s)"


@dataclass(slots=True)
class Load:
    """Callers that post one after the other, each again until it is answered. `acknowledged` has the entry that each
    reference was answered with; `unheard` counts the answers to posts that had been committed and not heard of."""

    books: Books
    acknowledged: dict[str, int] = field(default_factory=dict)
    unheard: int = 0
    _finishing: bool = False

    @asynccontextmanager
    async def posting(self) -> AsyncIterator[None]:
        """They post throughout the block; then each waits for its last answer."""
        async with asyncio.TaskGroup() as group:
            for caller in range(CALLERS):
                group.create_task(self._call(caller))
            yield
            self._finishing = True

    async def _call(self, caller: int) -> None:
        for number in count():
            if self._finishing:
                return
            reference = f"{caller}-{number}"
            entry = transfer(BANK, WALLET, 1 + number % 9, reference=reference)
            await self._post(PostRequest(entry, "tests", key(reference)), reference)

    async def _post(self, request: PostRequest, reference: str) -> None:
        while True:
            try:
                (verdict,) = await self.books.try_post(request)
            except (LedgerError, SQLAlchemyError, psycopg.Error) as error:
                refusal = known_refusal(error)
                if refusal is None or refusal.category not in _AGAIN:
                    raise
                await asyncio.sleep(0.01)
            else:
                assert isinstance(verdict, Posted | Replayed), verdict
                self.unheard += isinstance(verdict, Replayed)
                self.acknowledged[reference] = verdict.entry_id
                return


@dataclass(frozen=True, slots=True)
class CrashesTold:
    """Crashes by kind, posts acknowledged, committed without a word to the caller, lost, and what else was wrong."""

    crashes: Counter[Crash]
    acknowledged: int
    unheard: int
    lost: int
    faults: list[str]


async def crash_and_recover(
    directory: Path,
    *,
    settings: Mapping[str, str],
    crashes: int,
    seed: int,
    kinds: Sequence[Crash] = tuple(Crash),
    tell: Callable[[int], None] = lambda _: None,
) -> CrashesTold:
    """So many crashes in turn, under load, on a server with these settings; `tell` hears of each."""
    server = CrashingServer(directory, settings=settings)
    postgres = await server.start()
    try:
        return await _under_load(
            server, postgres.database(postgres.template), list(islice(cycle(kinds), crashes)), seed, tell
        )
    finally:
        await server.stop()


async def is_refused(directory: Path, *, settings: Mapping[str, str]) -> bool:
    """Whether the product refuses to serve on such a server."""
    server = CrashingServer(directory, settings=settings)
    postgres = await server.start()
    engine = connect(postgres.database(postgres.template).app, pool_size=1, application_name=APPLICATION)
    try:
        async with transaction(engine) as connection:
            await check_safety(connection, migration_head=head())
    except UnsafeDatabase as refusal:
        return refusal.facts.get("setting") == "synchronous_commit"
    finally:
        await engine.dispose()
        await server.stop()
    return False


async def _under_load(
    server: CrashingServer, database: Database, plan: Sequence[Crash], seed: int, tell: Callable[[int], None]
) -> CrashesTold:
    engine = connect(database.app, pool_size=CALLERS, application_name=APPLICATION)
    try:
        load, lost = await _crash_all(server, database, engine, plan, random.Random(seed), tell)
    finally:
        await engine.dispose()
    books = read_books(database.admin)
    faults = books.faults()
    faults += [f"{len(set(books.entries) - set(load.acknowledged))} entries that nobody posted"] * bool(
        set(books.entries) - set(load.acknowledged)
    )
    lost |= set(load.acknowledged) - set(books.entries)
    return CrashesTold(Counter(plan), len(load.acknowledged), load.unheard, len(lost), faults)


async def _crash_all(
    server: CrashingServer,
    database: Database,
    engine: AsyncEngine,
    plan: Sequence[Crash],
    chance: random.Random,
    tell: Callable[[int], None],
) -> tuple[Load, set[str]]:
    load, lost, looked_at = Load(await open_books(engine)), set[str](), 0
    _write_all(database)
    async with load.posting():
        for crash in plan:
            goal = len(load.acknowledged) + chance.randint(5, 40)
            await until(lambda goal=goal: len(load.acknowledged) >= goal, seconds_max=_WAIT_SECONDS_MAX)
            await asyncio.sleep(chance.uniform(0, 0.02))
            heard = list(load.acknowledged)
            await server.crash(crash)
            lost |= set(heard[looked_at:]) - _stored(database, heard[looked_at:])
            looked_at = len(heard)
            tell(1)
    return load, lost


def _write_all(database: Database) -> None:
    """The accounts outlive even a server that loses what it acknowledged."""
    with psycopg.connect(conninfo(database.admin), autocommit=True) as session:
        session.execute("CHECKPOINT")


def _stored(database: Database, references: Sequence[str]) -> set[str]:
    with psycopg.connect(conninfo(database.admin)) as session:
        return {reference for (reference,) in session.execute(_STORED, (list(references),))}
