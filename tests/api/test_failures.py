"""What a caller learns when something breaks, and what the log does not."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial

import grpc
import pytest
import structlog.testing
from daftari.v1 import journal_pb2 as pb
from daftari.v1.journal_pb2_grpc import JournalQueryServiceStub, add_JournalQueryServiceServicer_to_server
from google.rpc import error_details_pb2
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

import ledger.errors
from api.authentication import Authenticator
from api.conversion.refusals import CODES, item_error, status_of
from api.core import Core, open_core
from api.failures import InternalFailure, known_refusal
from api.interceptors import Door
from api.server import GrpcServer, Service
from api.services.journal_queries import JournalQueries
from ledger.database import connect, transaction
from ledger.errors import Category, CommitUnknown, DatabaseUnavailable, LedgerError, Overloaded
from ledger.gather import Limits
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.decide import Posted, PostRequest
from tests.builders import BANK, WALLET
from tests.builders import transfer as ledger_transfer
from tests.fix_api import OPERATOR, Api, WithKey, start_api
from tests.wire import items, refusal, transfer

CANARY = "canary 254712345678"


class Breaking(JournalQueries):
    """Breaks whatever it is asked."""

    def __init__(self, core: Core, break_: Callable[[], Exception]) -> None:
        super().__init__(core)
        self._break = break_

    async def GetLedger(self, request: pb.GetLedgerRequest, context: object) -> pb.GetLedgerResponse:
        raise self._break()

    async def GetEntry(self, request: pb.GetEntryRequest, context: object) -> pb.GetEntryResponse:
        async with transaction(self._core.engine) as connection:
            await connection.execute(text("INSERT INTO ledgers (code) VALUES (:code)"), {"code": CANARY})
        return pb.GetEntryResponse()


@pytest.fixture
async def breaking(api: Api) -> AsyncIterator[Callable[[Callable[[], Exception]], object]]:
    """Starts a server whose GetLedger raises; gives the stub."""
    async with AsyncExitStack() as stack:

        async def start(break_: Callable[[], Exception]) -> JournalQueryServiceStub:
            add = partial(add_JournalQueryServiceServicer_to_server, Breaking(api.core, break_))
            return await serve(api, stack, Service("daftari.v1.JournalQueryService", add))

        yield start


async def serve(api: Api, stack: AsyncExitStack, service: Service) -> JournalQueryServiceStub:
    monotonic = api.clock.monotonic
    server = GrpcServer(
        [service], door=Door(Authenticator(api.keys.authenticate, monotonic=monotonic), monotonic=monotonic)
    )
    port = await server.start("127.0.0.1:0", tls=None)
    stack.push_async_callback(server.stop, grace_seconds=0)
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[WithKey(OPERATOR)])
    await stack.enter_async_context(channel)
    return JournalQueryServiceStub(channel)
