"""What a caller learns when something breaks, and what the log does not."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
import structlog.testing
from daftari.v1 import journal_pb2 as pb
from daftari.v1.journal_pb2_grpc import JournalQueryServiceStub, add_JournalQueryServiceServicer_to_server
from google.rpc import error_details_pb2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.authentication import Authenticator
from api.conversion.refusals import CODES, item_error, status_of
from api.core import Core, open_core
from api.failures import known_refusal
from api.interceptors import Door
from api.server import GrpcServer, Service
from api.services.journal_queries import JournalQueries
from ledger.database import connect, transaction, violated_constraint
from ledger.errors import Category, CommitUnknown, LedgerError, Overloaded
from ledger.gather import Limits
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.decide import Posted, PostRequest
from tests.builders import BANK, WALLET
from tests.builders import transfer as ledger_transfer
from tests.fix_api import OPERATOR, Api, WithKey, start_api
from tests.wire import items, refusal, transfer

if TYPE_CHECKING:
    from daftari.v1.journal_pb2_grpc import JournalQueryServiceAsyncStub

CANARY = "canary 254712345678"
NOWHERE = "postgresql://daftari_app:secret@127.0.0.1:1/daftari"


class Breaking(JournalQueries):
    """Breaks whatever it is asked: GetLedger by raising, GetEntry by a statement the database refuses."""

    def __init__(self, core: Core, make_error: Callable[[], Exception]) -> None:
        super().__init__(core)
        self._make_error = make_error

    async def GetLedger(  # noqa: N802  # gRPC's name
        self, request: pb.GetLedgerRequest, context: object
    ) -> pb.GetLedgerResponse:
        raise self._make_error()

    async def GetEntry(  # noqa: N802  # gRPC's name
        self, request: pb.GetEntryRequest, context: object
    ) -> pb.GetEntryResponse:
        async with transaction(self._core.engine) as connection:
            await connection.execute(text("INSERT INTO ledgers (code) VALUES (:code)"), {"code": CANARY})
        return pb.GetEntryResponse()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes at the end of the test what is pushed on it."""
    async with AsyncExitStack() as closing:
        yield closing


async def serve(api: Api, stack: AsyncExitStack, queries: JournalQueries) -> JournalQueryServiceAsyncStub:
    """A server of its own for the service, and the operator's stub."""
    monotonic = api.clock.monotonic
    door = Door(Authenticator(api.keys.authenticate, monotonic=monotonic), monotonic=monotonic)
    add = partial(add_JournalQueryServiceServicer_to_server, queries)
    server = GrpcServer([Service("daftari.v1.JournalQueryService", add)], door=door)
    port = await server.start("127.0.0.1:0", tls=None)
    stack.push_async_callback(server.stop, grace_seconds=0)
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[WithKey(OPERATOR)])
    await stack.enter_async_context(channel)
    return JournalQueryServiceStub(channel)


async def test_a_bug_is_told_by_a_number_alone_and_logged_without_what_it_carried(
    api: Api, stack: AsyncExitStack
) -> None:
    queries = await serve(api, stack, Breaking(api.core, lambda: RuntimeError(CANARY)))

    with structlog.testing.capture_logs() as logs:
        told = await refusal(queries.GetLedger(pb.GetLedgerRequest(ledger=CANARY)))

    (logged,) = [event for event in logs if event["event"] == "call.failed"]
    assert (told.code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_FAILURE")
    assert logged["error_id"] == told.metadata["error_id"]
    assert logged["error_id"] in told.message
    assert (logged["request_id"], logged["causes"]) == (told.request_id, ["RuntimeError"])
    assert "in GetLedger" in logged["trace"]
    assert CANARY not in repr(logs) + repr(told)


async def test_a_broken_guard_of_the_database_is_logged_by_its_name_without_its_row(
    api: Api, stack: AsyncExitStack
) -> None:
    queries = await serve(api, stack, Breaking(api.core, RuntimeError))

    with structlog.testing.capture_logs() as logs:
        told = await refusal(queries.GetEntry(pb.GetEntryRequest()))

    (logged,) = [event for event in logs if event["event"] == "call.failed"]
    assert told.code is grpc.StatusCode.INTERNAL
    assert any("23502" in cause for cause in logged["causes"])
    assert CANARY not in repr(logs) + repr(told)


async def test_an_unknown_commit_is_unavailable_and_says_to_repeat(api: Api, stack: AsyncExitStack) -> None:
    lost = CommitUnknown("the outcome is unknown: repeat with the same request id")
    queries = await serve(api, stack, Breaking(api.core, lambda: lost))

    told = await refusal(queries.GetLedger(pb.GetLedgerRequest(ledger=api.ledger)))

    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "COMMIT_UNKNOWN")
    assert "repeat with the same request id" in told.message


async def test_a_database_that_is_away_is_told_as_such(api: Api, stack: AsyncExitStack) -> None:
    engine = connect(NOWHERE, pool_size=1, application_name="tests")
    stack.push_async_callback(engine.dispose)
    queries = await serve(api, stack, JournalQueries(core_on(engine, api)))

    told = await refusal(queries.GetLedger(pb.GetLedgerRequest(ledger=api.ledger)))

    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert "secret" not in repr(told)


def core_on(engine: AsyncEngine, api: Api) -> Core:
    return open_core(
        engine,
        directory=AccountDirectory(),
        ids=IdSource(random.SystemRandom()),
        now=api.clock.wall,
        monotonic=api.clock.monotonic,
    )


def request_of(number: int, *, actor: str = "tests") -> PostRequest:
    return PostRequest(ledger_transfer(BANK, WALLET, number), actor)


async def test_a_database_that_is_away_fails_a_set_as_a_whole(api: Api, stack: AsyncExitStack) -> None:
    engine = connect(NOWHERE, pool_size=1, application_name="tests")
    stack.push_async_callback(engine.dispose)
    poster = core_on(engine, api).poster

    outcomes = await poster.submit_all(api.books.ledger, [request_of(1), request_of(2)], deadline=None)

    assert all(isinstance(outcome, BaseException) for outcome in outcomes)
    assert len(set(map(id, outcomes))) == 1, "one attempt for both"
    refused = known_refusal(outcomes[0]) if isinstance(outcomes[0], BaseException) else None
    assert refused is not None
    assert refused.reason == "DATABASE_UNAVAILABLE"


async def test_an_item_the_database_chokes_on_fails_alone(api: Api) -> None:
    poison = request_of(3, actor="x" * 101)  # no key may have such a name: a guard of the table says so
    requests = [request_of(1), request_of(2), poison, request_of(4)]

    outcomes = await api.core.poster.submit_all(api.books.ledger, requests, deadline=None)

    assert [isinstance(outcome, Posted) for outcome in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2], BaseException)
    assert violated_constraint(outcomes[2]) == "journal_entries_actor_is_named"
    assert (await api.footprint())[0] == 3


async def test_a_full_queue_is_told_with_a_time_to_come_back(engine: AsyncEngine, stack: AsyncExitStack) -> None:
    api = await start_api(engine, stack, limits=Limits(queue_max=3))
    before = await api.footprint()
    call = api.commands.PostEntries(pb.PostEntriesRequest(ledger=api.ledger, items=items([transfer(1)] * 4)))

    told = await refusal(call)

    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert told.has_retry_delay
    assert await api.footprint() == before


def every_error() -> Iterator[type[LedgerError]]:
    pending = [LedgerError]
    while pending:
        kind = pending.pop()
        yield kind
        pending += kind.__subclasses__()


def test_every_category_has_a_status_of_its_own_kind() -> None:
    assert set(CODES) == set(Category)
    assert grpc.StatusCode.OK not in CODES.values()


@pytest.mark.parametrize("kind", sorted(set(every_error()), key=str))
def test_every_refusal_can_be_told(kind: type[LedgerError]) -> None:
    refused = kind("what is wrong", field="entry.kind", account="liab.wallet.1", minor_units=5)

    status, item = status_of(refused), item_error(refused)

    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (kind.reason, "daftari")
    assert (item.reason, item.code, item.message) == (info.reason, status.code, status.message)
    assert dict(item.metadata) == dict(info.metadata) == {"account": "liab.wallet.1", "minor_units": "5"}
    names = [detail.type_url.rpartition(".")[2] for detail in status.details]
    assert names == ["ErrorInfo", "BadRequest"] + (["RetryInfo"] if kind is Overloaded else [])
