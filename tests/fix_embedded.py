"""Embedded PostgreSQL servers for tests that kill, spoil or misconfigure one of their own.

Fixtures:
    open_directory    an empty directory that every user can pass through, as pytest's own is not
    server_data       the directory of a server that ran once and was stopped, for this test alone
    embedded_server   EmbeddedServer, running on `server_data`
    idle_server       EmbeddedServer that runs for the whole session: look at it and leave it as it is
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ledger.database import conninfo
from ledger.embedded import EmbeddedServer

# A PostgreSQL installed on the system, the oldest if there are several; None when there is none.
SYSTEM_BINARIES = min(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def new_directory() -> Iterator[Path]:
    """An empty directory that every user can pass through, removed afterwards."""
    place = Path(tempfile.mkdtemp(prefix="daftari-embedded-"))
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """See above."""
    with new_directory() as place:
        yield place


@pytest.fixture(scope="session")
def _made_once() -> Iterator[Path]:
    with new_directory() as place:
        server = EmbeddedServer(place / "data")
        asyncio.run(server.start())
        asyncio.run(server.stop())
        yield place / "data"


@pytest.fixture
def server_data(_made_once: Path, open_directory: Path) -> Path:
    """See above."""
    subprocess.run(["cp", "-a", str(_made_once), str(open_directory / "data")], check=True)
    return open_directory / "data"


@pytest.fixture(scope="session")
def idle_server(_made_once: Path) -> Iterator[EmbeddedServer]:
    """See above."""
    with new_directory() as place:
        subprocess.run(["cp", "-a", str(_made_once), str(place / "data")], check=True)
        server = EmbeddedServer(place / "data")
        asyncio.run(server.start())
        yield server
        asyncio.run(server.stop())


@pytest.fixture
async def embedded_server(server_data: Path) -> AsyncIterator[EmbeddedServer]:
    """See above."""
    server = EmbeddedServer(server_data)
    await server.start()
    yield server
    await server.stop()


def run(server: EmbeddedServer, statement: str) -> None:
    """Executes a statement as the superuser."""
    with psycopg.connect(conninfo(server.url()), autocommit=True) as session:
        session.execute(statement.encode())


def ask(server: EmbeddedServer, question: str) -> str:
    """The one value that a query by the superuser answers, as text."""
    with psycopg.connect(conninfo(server.url()), autocommit=True) as session:
        row = session.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that happens in another process. Fails after a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  (another process sets no Event)
            await asyncio.sleep(0.01)
