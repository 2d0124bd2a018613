"""`kill -9` of PostgreSQL while clients post: what was acknowledged is there, once; the books agree (scenario 14)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import migrate, provision
from ledger.database import connect
from ledger.embedded import EmbeddedServer, Restarted
from ledger.errors import LedgerError
from ledger.journal.decide import Posted, PostRequest, Replayed
from ledger.journal.verify import verify
from tests.builders import BANK, WALLET, Books, key, open_books, transfer
from tests.fix_database import passwords_from

CRASHES, CLIENTS, AMOUNT = 2, 8, 100
DATABASE = "daftari"
_STORED = "SELECT reference, id FROM journal_entries WHERE ledger_id = :ledger"


@pytest.fixture
async def crashing_engine(embedded_server: EmbeddedServer) -> AsyncIterator[AsyncEngine]:
    """The application's engine on a migrated database of a server that may be killed."""
    passwords = passwords_from(embedded_server.address)
    await provision.provision(embedded_server.url(), database=DATABASE, passwords=passwords)
    await asyncio.to_thread(migrate.upgrade, embedded_server.url(role=provision.MIGRATOR, database=DATABASE))
    url = embedded_server.url(role=provision.APPLICATION, database=DATABASE)
    engine = connect(url, pool_size=CLIENTS, application_name="tests")
    yield engine
    await engine.dispose()


@dataclass(slots=True)
class Client:
    """Posts one entry after the other, each until it is acknowledged, however often the server dies."""

    books: Books
    name: str
    acknowledged: dict[str, int] = field(default_factory=dict)
    unheard: int = 0

    async def post(self, until: asyncio.Event) -> None:
        """Goes on until told to stop."""
        while not until.is_set():
            request_id = f"{self.name}-{len(self.acknowledged)}"
            self.acknowledged[request_id] = await self._acknowledged(request_id)

    async def _acknowledged(self, request_id: str) -> int:
        request = PostRequest(transfer(BANK, WALLET, AMOUNT, reference=request_id), self.name, key(request_id))
        while True:
            try:
                (verdict,) = await self.books.try_post(request)
            except (LedgerError, DBAPIError, psycopg.Error):
                self.unheard += 1
                await asyncio.sleep(0.2)  # the server has better things to do
                continue
            assert isinstance(verdict, Posted | Replayed), verdict
            return verdict.entry_id


async def test_two_crashes_of_the_server_lose_and_double_no_acknowledged_entry(
    embedded_server: EmbeddedServer, crashing_engine: AsyncEngine
) -> None:
    books = await open_books(crashing_engine)
    clients = [Client(books, f"client-{number}") for number in range(CLIENTS)]
    events: asyncio.Queue[object] = asyncio.Queue()
    supervision = asyncio.create_task(embedded_server.supervise(report=events.put_nowait))
    enough = asyncio.Event()
    posting = [asyncio.create_task(client.post(enough)) for client in clients]

    restarts = [await crash(embedded_server, clients, events) for _ in range(CRASHES)]
    enough.set()
    await asyncio.gather(*posting)
    async with books.reading() as connection:
        report = await verify(connection, ledger_id=books.ledger.id)
        stored = (await connection.execute(text(_STORED), {"ledger": books.ledger.id})).all()
    await crashing_engine.dispose()
    await embedded_server.stop()
    await supervision

    acknowledged = {one: entry_id for client in clients for one, entry_id in client.acknowledged.items()}
    assert restarts == [Restarted(exit_code=-signal.SIGKILL, tries=1)] * CRASHES
    assert sum(client.unheard for client in clients) >= CRASHES
    assert report.differences == ()
    assert sorted(map(tuple, stored)) == sorted(acknowledged.items())


async def crash(server: EmbeddedServer, clients: list[Client], events: asyncio.Queue[object]) -> object:
    """Kills the server once some more entries are acknowledged, and returns how it came back."""
    wanted = sum(len(client.acknowledged) for client in clients) + 2 * CLIENTS
    async with asyncio.timeout(30):
        while sum(len(client.acknowledged) for client in clients) < wanted:  # noqa: ASYNC110  (clients set no Event)
            await asyncio.sleep(0.01)
        os.kill(server.process_id or 0, signal.SIGKILL)
        return await events.get()
