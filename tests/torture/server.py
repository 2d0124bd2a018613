"""A PostgreSQL of one's own that may be crashed: three ways to do it, and how it comes back."""

from __future__ import annotations

import asyncio
import enum
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg

from ledger import migrate, provision
from ledger.database import conninfo
from ledger.embedded import EmbeddedServer, Event, Restarted
from ledger.embedded_directory import Address
from tests.fix_database import Postgres, passwords_from

APPLICATION = "tests-crashes"
_SECONDS_MAX = 60
_BUSY = "SELECT pid FROM pg_stat_activity WHERE application_name = %s ORDER BY state = 'active' DESC, random() LIMIT 1"


class Crash(enum.Enum):
    """What happens to the server. None of them lets it finish anything."""

    STOPPED_AT_ONCE = "pg_ctl stop -m immediate"
    POSTMASTER_KILLED = "kill -9 of the postmaster"
    BACKEND_KILLED = "kill -9 of a backend"


class CrashingServer:
    """A provisioned server and its migrated template; `settings` overrule those of the product."""

    def __init__(self, directory: Path, *, settings: Mapping[str, str]) -> None:
        self._server = EmbeddedServer(directory, settings=settings)
        self._restarted = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> Postgres:
        """Starts it, makes the template where there is none, and brings it back whenever it dies."""
        await self._server.start()
        self._supervisor = asyncio.create_task(self._server.supervise(report=self._note))
        return await asyncio.to_thread(self._prepare)

    async def stop(self) -> None:
        """Fast shutdown."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        await self._server.stop()

    async def crash(self, crash: Crash) -> None:
        """Returns once it answers again."""
        self._restarted.clear()
        postmaster = self._server.process_id
        assert postmaster is not None
        if crash is Crash.BACKEND_KILLED:
            await self._kill_a_backend()
        else:
            how = signal.SIGQUIT if crash is Crash.STOPPED_AT_ONCE else signal.SIGKILL
            os.kill(postmaster, how)
            async with asyncio.timeout(_SECONDS_MAX):
                await self._restarted.wait()
        await self._answers()

    async def _kill_a_backend(self) -> None:
        """Its siblings may hold what it was about to write, so the postmaster ends all of them and recovers."""
        admin = await psycopg.AsyncConnection.connect(conninfo(self._server.url()), autocommit=True)
        row = await (await admin.execute(_BUSY, (APPLICATION,))).fetchone()
        assert row is not None, "nobody is connected"
        os.kill(row[0], signal.SIGKILL)
        # Our own session is ended with the others: that it is shows that the crash was seen.
        async with asyncio.timeout(_SECONDS_MAX):
            with suppress(psycopg.Error):
                while True:
                    await admin.execute("SELECT pg_sleep(0.01)")
        await admin.close()

    async def _answers(self) -> None:
        async with asyncio.timeout(_SECONDS_MAX):
            while True:
                try:
                    session = await psycopg.AsyncConnection.connect(conninfo(self._server.url()))
                except psycopg.OperationalError:
                    await asyncio.sleep(0.01)
                else:
                    await session.close()
                    return

    def _note(self, event: Event) -> None:
        if isinstance(event, Restarted):
            self._restarted.set()

    def _prepare(self) -> Postgres:
        passwords = passwords_from(Address(Path(), self._server.url().password or ""))
        postgres = Postgres(self._server.url(), passwords, "daftari_torture")
        asyncio.run(provision.provision(postgres.admin, database=postgres.template, passwords=passwords))
        migrate.upgrade(postgres.database(postgres.template).migrator)
        return postgres


@asynccontextmanager
async def server_directory() -> AsyncIterator[Path]:
    """Where servers may live one after the other."""
    directory = Path(tempfile.mkdtemp(prefix="daftari-torture-"))
    try:
        yield directory
    finally:
        await asyncio.to_thread(shutil.rmtree, directory)
