"""What is measured: an embedded PostgreSQL of its own with its shipped settings, books, a key, and `daftari serve` as a
process of its own. This process is the client, so load and service never share an interpreter.
"""

from __future__ import annotations

import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import grpc.aio
import psycopg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from api.administration import create_key
from api.profile import DATABASE
from api.settings import Settings
from api.wiring import Application, open_application
from ledger import provision
from ledger.database import conninfo, run, transaction
from ledger.embedded_directory import reachable_directory, running_address
from ledger.journal import accounts, books
from ledger.journal.accounts import AccountSpec
from ledger.journal.books import Ledger
from ledger.journal.verify import VerifyReport, verify
from tests.benchmarks import machine
from tests.benchmarks.processes import own_directory, serving

LEDGER = "benchmark"
SERVICE, POSTGRESQL, CLIENT = "service", "PostgreSQL", "client"


@dataclass(frozen=True, slots=True)
class Rig:
    """The running parts. `owner_url` may create tables beside the journal's; more channels may go to `address`."""

    application: Application
    ledger: Ledger
    channel: grpc.aio.Channel
    server: Process
    address: str
    owner_url: URL
    key: str = field(repr=False)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call that needs a key carries."""
        return (("authorization", f"Bearer {self.key}"),)

    async def analyze(self) -> None:
        """Brings the planner's statistics up to date, as autovacuum would within a minute."""
        async with await psycopg.AsyncConnection.connect(conninfo(self.owner_url), autocommit=True) as owner:
            await owner.execute("ANALYZE")

    def processor_seconds(self) -> Mapping[str, float]:
        """What each part has used so far."""
        directory = reachable_directory(self.application.settings.data_directory / "postgres")
        postmaster = int((directory / "cluster" / "postmaster.pid").read_text().split()[0])
        return {
            SERVICE: machine.processor_seconds(self.server.pid),
            POSTGRESQL: machine.processor_seconds_of_children(postmaster),
            CLIENT: time.process_time(),
        }

    async def verified(self) -> VerifyReport:
        """The books, rebuilt from their postings and compared."""
        async with transaction(self.application.engine) as connection:
            return await verify(connection, ledger_id=self.ledger.id)


@asynccontextmanager
async def open_rig(
    specs: Sequence[AccountSpec], *, serving_with: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Rig]:
    """Everything started, with the accounts opened; stopped and removed at the end. `serving_with` are settings of the
    service beside the shipped ones."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(own_directory())
        settings = Settings(database_url=None, data_directory=directory, grpc_listen="127.0.0.1:0")
        application = await stack.enter_async_context(open_application(settings, name="benchmarks"))
        ledger = await _open_books(application, specs)
        key = await create_key(
            application, name="benchmarks", ledger_code=LEDGER, partner_code="", permissions=None, days=1
        )
        listening = {"data_directory": str(directory), "grpc_listen": settings.grpc_listen, **serving_with}
        server, address = await stack.enter_async_context(serving("grpc", settings=listening, told_by="gRPC"))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        yield Rig(application, ledger, channel, server, address, _owner_url(directory), key)


async def _open_books(application: Application, specs: Sequence[AccountSpec]) -> Ledger:
    async def command(connection: AsyncConnection) -> Ledger:
        now = application.now()
        ledger = await books.create_ledger(
            connection, code=LEDGER, name="Benchmark", base_currency="KES", time_zone="Africa/Nairobi", now=now
        )
        for first in range(0, len(specs), accounts.ACCOUNTS_PER_CALL_MAX):
            part = specs[first : first + accounts.ACCOUNTS_PER_CALL_MAX]
            await accounts.open_accounts(connection, ledger_id=ledger.id, specs=part, ids=application.ids, now=now)
        return ledger

    return await run(application.engine, command)


def _owner_url(directory: Path) -> URL:
    address = running_address(reachable_directory(directory / "postgres"))
    assert address is not None, "this process runs the server"
    url = address.url(role=provision.MIGRATOR, database=DATABASE)
    return url.update_query_dict({"options": f"-c role={provision.OWNER}"})
