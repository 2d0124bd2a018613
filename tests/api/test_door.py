"""The door: keys, permissions, scope, request ids and deadlines, for every RPC of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from daftari.v1 import journal_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from api.authentication import REMEMBERED_SECONDS, Authenticator
from api.interceptors import Door
from api.permissions import PERMISSIONS
from tests.builders import WALLET
from tests.fix_api import FOREIGN, OPERATOR, READER, Api, Client, WithKey
from tests.wire import Refusal, refusal, refusal_in, transfer

SERVICES = pb.DESCRIPTOR.services_by_name.values()
UNARY = {method.name: method for service in SERVICES for method in service.methods if not method.server_streaming}
OF_ONE_LEDGER = [name for name in UNARY if name not in ("CreateLedger", "ListLedgers")]


def empty_request(name: str, *, ledger: str = "") -> Any:
    """The RPC's request with nothing but the ledger's code."""
    request: Any = GetMessageClass(UNARY[name].input_type)()
    if ledger:
        request.ledger = ledger
    return request


async def call(client: Client, name: str, request: Message, **options: Any) -> Any:
    stub = client.commands if hasattr(client.commands, name) else client.queries
    return await getattr(stub, name)(request, **options)


async def stream_refusal(client: Client, metadata: tuple[tuple[str, str], ...] = ()) -> Refusal:
    async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
        yield pb.StreamEntriesRequest()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.commands.StreamEntries(requests(), metadata=metadata).read()
    return refusal_in(caught.value)


@pytest.mark.parametrize("name", UNARY)
async def test_every_rpc_refuses_a_missing_and_an_unknown_key_alike(api: Api, name: str) -> None:
    nobody, stranger = await api.client(None), await api.client("no-such-key")

    missing = await refusal(call(nobody, name, empty_request(name)))
    unknown = await refusal(call(stranger, name, empty_request(name)))

    assert (missing.code, missing.reason) == (grpc.StatusCode.UNAUTHENTICATED, "NOT_AUTHENTICATED")
    assert (unknown.code, unknown.reason) == (missing.code, missing.reason)
    assert "no-such-key" not in unknown.message


async def test_a_stream_refuses_a_missing_key(api: Api) -> None:
    told = await stream_refusal(await api.client(None))

    assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("name", UNARY)
async def test_every_rpc_refuses_a_key_without_its_permission(api: Api, name: str) -> None:
    (method,) = [method for method in PERMISSIONS if method.endswith(f"/{name}")]
    needed = PERMISSIONS[method].value
    api.allow(OPERATOR, api.keys.callers[OPERATOR].permissions - {needed})

    told = await refusal(call(await api.client(OPERATOR), name, empty_request(name)))

    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DENIED")
    assert told.metadata == {"permission": needed}


async def test_a_reader_reads_and_posts_nothing(api: Api) -> None:
    reader = await api.client(READER)
    before = await api.footprint()

    await reader.queries.GetLedger(pb.GetLedgerRequest(ledger=api.ledger))
    told = await refusal(
        reader.commands.PostEntry(pb.PostEntryRequest(ledger=api.ledger, request_id="1", entry=transfer(1)))
    )

    assert told.code is grpc.StatusCode.PERMISSION_DENIED
    assert await api.footprint() == before


@pytest.mark.parametrize("name", OF_ONE_LEDGER)
async def test_every_rpc_tells_a_foreign_ledger_like_one_that_is_not_there(api: Api, name: str) -> None:
    stranger = await api.client(FOREIGN)
    absent = "test-0000000000000000"

    hidden = await refusal(call(stranger, name, empty_request(name, ledger=api.ledger)))
    missing = await refusal(call(stranger, name, empty_request(name, ledger=absent)))

    assert (hidden.code, hidden.reason) == (grpc.StatusCode.NOT_FOUND, "LEDGER_NOT_FOUND")
    assert (missing.code, missing.reason, missing.field) == (hidden.code, hidden.reason, hidden.field)
    assert missing.message == hidden.message.replace(api.ledger, absent)


@pytest.mark.parametrize(
    "metadata",
    [("authorization", f"Bearer {OPERATOR}"), ("authorization", f"bearer  {OPERATOR} "), ("x-api-key", OPERATOR)],
    ids=["Bearer", "bearer", "x-api-key"],
)
async def test_a_key_comes_as_bearer_or_as_x_api_key(api: Api, metadata: tuple[str, str]) -> None:
    nobody = await api.client(None)

    answer = await nobody.queries.GetLedger(pb.GetLedgerRequest(ledger=api.ledger), metadata=(metadata,))

    assert answer.ledger.code == api.ledger


@pytest.mark.parametrize("value", [OPERATOR, f"Basic {OPERATOR}", "Bearer ", "Bearer", ""])
async def test_an_authorization_of_another_kind_is_no_key(api: Api, value: str) -> None:
    nobody = await api.client(None)

    told = await refusal(
        nobody.queries.GetLedger(pb.GetLedgerRequest(ledger=api.ledger), metadata=(("authorization", value),))
    )

    assert told.code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_key_is_asked_for_once_however_many_call(api: Api) -> None:
    request = pb.GetLedgerRequest(ledger=api.ledger)

    await asyncio.gather(*[call(await api.client(READER), "GetLedger", request) for _ in range(20)])
    await call(await api.client(READER), "GetLedger", request)

    assert api.keys.asked.count(READER) == 1


async def test_a_revoked_key_is_refused_when_its_memory_runs_out(api: Api) -> None:
    reader = await api.client(READER)
    request = pb.GetLedgerRequest(ledger=api.ledger)
    await reader.queries.GetLedger(request)
    del api.keys.callers[READER]

    await reader.queries.GetLedger(request)
    api.clock.ahead_seconds += REMEMBERED_SECONDS
    told = await refusal(reader.queries.GetLedger(request))

    assert told.code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_refused_key_is_not_remembered(api: Api) -> None:
    newcomer = await api.client("key-of-newcomer")
    request = pb.GetLedgerRequest(ledger=api.ledger)
    await refusal(newcomer.queries.GetLedger(request))

    api.keys.add("key-of-newcomer", ledger_id=None)

    assert (await newcomer.queries.GetLedger(request)).ledger.code == api.ledger


async def test_the_request_id_is_echoed_on_success_and_on_refusal(api: Api) -> None:
    metadata = (("x-request-id", "trace-42"),)
    answered = api.queries.GetLedger(pb.GetLedgerRequest(ledger=api.ledger), metadata=metadata)

    await answered
    told = await refusal(api.queries.GetLedger(pb.GetLedgerRequest(ledger="none"), metadata=metadata))

    assert ("x-request-id", "trace-42") in list(await answered.trailing_metadata())
    assert told.request_id == "trace-42"


@pytest.mark.parametrize("hostile", ["a b", "x" * 65, "{}", ""])
async def test_a_request_id_that_is_not_plain_is_replaced(api: Api, hostile: str) -> None:
    metadata = (("x-request-id", hostile),)

    told = await refusal(api.queries.GetLedger(pb.GetLedgerRequest(ledger="none"), metadata=metadata))

    assert told.request_id not in ("", hostile)


async def test_headers_over_the_limit_are_refused(api: Api) -> None:
    metadata = tuple((f"x-padding-{number}", "x" * 4_000) for number in range(5))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.queries.GetLedger(pb.GetLedgerRequest(ledger=api.ledger), metadata=metadata)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_entry_whose_deadline_passes_in_the_queue_is_never_posted(api: Api) -> None:
    first = pb.PostEntryRequest(ledger=api.ledger, request_id="first", entry=transfer(1))
    late = pb.PostEntryRequest(ledger=api.ledger, request_id="late", entry=transfer(2))
    last = pb.PostEntryRequest(ledger=api.ledger, request_id="last", entry=transfer(4))

    async with api.held(WALLET):
        under_way = asyncio.ensure_future(call(await api.client(OPERATOR), "PostEntry", first))
        await api.until_somebody_waits()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.commands.PostEntry(late, timeout=0.3)
    await under_way
    await api.commands.PostEntry(last)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    balance = await api.queries.GetBalance(pb.GetBalanceRequest(ledger=api.ledger, path=WALLET, currency="KES"))
    assert balance.balance.minor_units == 1 + 4


async def test_a_method_without_a_declared_permission_is_denied_to_everybody(api: Api) -> None:
    server = grpc.aio.server(interceptors=[door_of(api)])
    undeclared: dict[str, Any] = {"Anything": grpc.unary_unary_rpc_method_handler(never)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("daftari.v1.Undeclared", undeclared)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[WithKey(OPERATOR)]) as channel:
        anything: Any = channel.unary_unary("/daftari.v1.Undeclared/Anything")
        told = await refusal(anything(b""))
    await server.stop(0)

    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DENIED")


def door_of(api: Api) -> Door:
    monotonic = api.clock.monotonic
    return Door(Authenticator(api.keys.authenticate, monotonic=monotonic), monotonic=monotonic)


async def never(request: object, context: object) -> bytes:
    raise AssertionError("this must not be reached")


class ExpiredContext:
    """gRPC's side of a call whose deadline passed on the way; no client library lets one send such a call."""

    def __init__(self) -> None:
        self._trailing: tuple[tuple[str, str | bytes], ...] = ()

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {OPERATOR}"),)

    def time_remaining(self) -> float:
        return 0.0

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
        self._trailing = metadata

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._trailing

    async def abort(self, code: grpc.StatusCode, details: str, trailing: object) -> None:
        raise grpc.aio.AbortError(code, details)


async def test_a_call_whose_deadline_has_passed_is_refused_before_any_work(api: Api) -> None:
    class Details:
        method = "/daftari.v1.JournalQueryService/GetLedger"
        invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()

    async def continuation(details: object) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.unary_unary_rpc_method_handler(never)

    handler = await door_of(api).intercept_service(continuation, Details())
    assert handler is not None
    guarded: Any = handler.unary_unary

    with pytest.raises(grpc.aio.AbortError) as caught:
        await guarded(b"", ExpiredContext())

    assert caught.value.args[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    assert api.keys.asked == []
