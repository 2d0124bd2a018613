"""The gRPC surface for tests: a server on a port of its own, real PostgreSQL behind it, callers kept in memory.

Fixtures:
    api         Api, the journal's services on `engine`, with books of the test's own and an operator's client
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub, JournalQueryServiceStub
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.admission import CALLS_MAX
from api.authentication import Authenticator
from api.caller import Caller
from api.core import Core, open_core
from api.interceptors import Door
from api.permissions import Permission
from api.server import GrpcServer
from api.services.journal import journal_services
from ledger.database import transaction
from ledger.errors import NotAuthenticated
from ledger.gather import DEFAULT_LIMITS, Limits
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from tests.builders import NOW, Books, open_books

if TYPE_CHECKING:
    from daftari.v1.journal_pb2_grpc import JournalCommandServiceAsyncStub, JournalQueryServiceAsyncStub

EVERYTHING = frozenset(permission.value for permission in Permission)
OPERATOR, READER, BOUND, FOREIGN = "key-of-operator", "key-of-reader", "key-of-bound", "key-of-foreign"


_FOOTPRINT = """
SELECT (SELECT count(*) FROM journal_entries WHERE ledger_id = :ledger),
       (SELECT count(*) FROM postings WHERE ledger_id = :ledger),
       (SELECT count(*) FROM idempotency_keys WHERE ledger_id = :ledger),
       (SELECT count(*) FROM reversal_links WHERE ledger_id = :ledger),
       (SELECT count(*) FROM accounts WHERE ledger_id = :ledger),
       (SELECT coalesce(sum(version), 0) FROM account_balances WHERE ledger_id = :ledger),
       (SELECT coalesce(sum(debits + credits), 0) FROM account_days WHERE ledger_id = :ledger)
"""


_HOLD = """
SELECT 1 FROM account_balances AS balance
JOIN accounts AS account ON account.ledger_id = balance.ledger_id AND account.id = balance.account_id
WHERE balance.ledger_id = :ledger AND account.path = :path AND account.currency = 'KES' FOR UPDATE OF balance
"""
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


class Clock:
    """The wall clock stands at `now` until moved; the monotonic one runs, and can be pushed ahead."""

    def __init__(self) -> None:
        self.now = NOW
        self.ahead_seconds = 0.0

    def wall(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_seconds


class Keys:
    """Callers by key, and how often each key was asked for."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}
        self.asked: list[str] = []

    async def authenticate(self, key: str) -> Caller:
        self.asked.append(key)
        if key not in self.callers:
            raise NotAuthenticated("the API key is missing or not valid")
        return self.callers[key]

    def add(self, key: str, *, ledger_id: int | None, permissions: frozenset[str] = EVERYTHING) -> None:
        self.callers[key] = Caller(
            client_id=1000 + len(self.callers),
            name=key,
            ledger_id=ledger_id,
            partner_id=None,
            permissions=permissions,
        )


class WithKey(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the key to every call with one answer."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_with_key(client_call_details, self._key), request)


class StreamWithKey(grpc.aio.UnaryStreamClientInterceptor):
    """Adds the key to every call that is answered by a stream."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_with_key(client_call_details, self._key), request)


def _with_key(details: Any, key: str) -> Any:
    metadata = grpc.aio.Metadata(*(details.metadata or ()), ("authorization", f"Bearer {key}"))
    return details._replace(metadata=metadata)


@dataclass(frozen=True, slots=True)
class Client:
    """The stubs of one caller."""

    channel: grpc.aio.Channel
    commands: JournalCommandServiceAsyncStub
    queries: JournalQueryServiceAsyncStub


@dataclass(slots=True)
class Api:
    """A running server, the books it serves and the operator's stubs."""

    port: int
    books: Books
    foreign_books: Books
    core: Core
    keys: Keys
    clock: Clock
    server: GrpcServer
    _stack: AsyncExitStack
    _clients: dict[str | None, Client] = field(default_factory=dict)

    @property
    def ledger(self) -> str:
        """The code of the test's books."""
        return self.books.ledger.code

    @property
    def commands(self) -> JournalCommandServiceAsyncStub:
        """As the operator."""
        return self._clients[OPERATOR].commands

    @property
    def queries(self) -> JournalQueryServiceAsyncStub:
        """As the operator."""
        return self._clients[OPERATOR].queries

    async def client(self, key: str | None) -> Client:
        """The stubs of the key's holder; None sends no key."""
        if key not in self._clients:
            interceptors = [WithKey(key)] if key is not None else []
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", interceptors=interceptors)
            await self._stack.enter_async_context(channel)
            self._clients[key] = Client(channel, JournalCommandServiceStub(channel), JournalQueryServiceStub(channel))
        return self._clients[key]

    async def footprint(self) -> tuple[int, ...]:
        """Counts of everything the test's books hold: equal before and after means that nothing was written."""
        query = text(_FOOTPRINT)
        async with transaction(self.books.engine) as connection:
            row = (await connection.execute(query, {"ledger": self.books.ledger.id})).one()
        return tuple(int(count) for count in row)

    @asynccontextmanager
    async def held(self, path: str) -> AsyncIterator[None]:
        """While this lasts, whoever posts to the KES account of that path waits."""
        async with transaction(self.books.engine) as connection:
            await connection.execute(text(_HOLD), {"ledger": self.books.ledger.id, "path": path})
            yield

    async def until_somebody_waits(self) -> None:
        """Returns when some session of the database waits for a lock."""
        waiting = 0
        async with asyncio.timeout(10):
            while waiting == 0:
                async with transaction(self.books.engine) as connection:
                    waiting = (await connection.execute(text(_WAITING))).scalar_one()

    def allow(self, key: str, permissions: frozenset[str]) -> None:
        """Changes what a key may do; the server learns it when its memory of the key runs out."""
        self.keys.callers[key] = replace(self.keys.callers[key], permissions=permissions)


async def start_api(
    engine: AsyncEngine, stack: AsyncExitStack, *, limits: Limits = DEFAULT_LIMITS, calls_max: int = CALLS_MAX
) -> Api:
    """A server with the four keys known, closed with the stack."""
    clock, keys = Clock(), Keys()
    books, foreign = await open_books(engine), await open_books(engine)
    keys.add(OPERATOR, ledger_id=None)
    keys.add(READER, ledger_id=None, permissions=frozenset({Permission.JOURNAL_READ.value}))
    keys.add(BOUND, ledger_id=books.ledger.id)
    keys.add(FOREIGN, ledger_id=foreign.ledger.id)
    core = open_core(
        engine,
        directory=AccountDirectory(),
        ids=IdSource(random.SystemRandom()),
        now=clock.wall,
        monotonic=clock.monotonic,
        limits=limits,
    )
    authenticator = Authenticator(keys.authenticate, monotonic=clock.monotonic)
    door = Door(authenticator, monotonic=clock.monotonic, calls_max=calls_max)
    server = GrpcServer(journal_services(core), door=door)
    port = await server.start("127.0.0.1:0", tls=None)
    stack.push_async_callback(core.poster.close)
    stack.push_async_callback(server.stop, grace_seconds=0)
    api = Api(port, books, foreign, core, keys, clock, server, stack)
    await api.client(OPERATOR)
    return api


@pytest.fixture
async def api(engine: AsyncEngine) -> AsyncIterator[Api]:
    """The journal's services on the shared database, with books of this test's own."""

    async with AsyncExitStack() as stack:
        yield await start_api(engine, stack)
