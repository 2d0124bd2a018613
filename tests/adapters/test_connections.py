"""The transport below httpx against a server that does to a connection what a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from adapters.connections import BUFFER_BYTES_MAX, HEAD_BYTES_MAX, KeepLimits, KeptConnections
from tests.adapters.daraja.scripted_server import Received, ScriptedServer, hang, raw, raw_then_close, reply

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """Plays on loopback."""
    server = ScriptedServer()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def http(server: ScriptedServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client over the transport, with two connections at most."""
    async with client_of(server) as client:
        yield client


def client_of(server: ScriptedServer, *, idle_seconds: float = 60.0) -> httpx.AsyncClient:
    limits = KeepLimits(connections_max=2, idle_seconds=idle_seconds)
    transport = KeptConnections(limits=limits, tls=ssl.create_default_context())
    return httpx.AsyncClient(transport=transport, base_url=server.url, timeout=httpx.Timeout(5, pool=0.05))


async def test_a_connection_serves_one_exchange_after_another(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    server.on("/", reply(200, b"{}"))

    answers = [await http.post("/", content=b"x" * size) for size in (0, 1, 70_000)]

    assert [(one.status_code, one.content) for one in answers] == [(200, b"{}")] * 3
    assert [len(one.body) for one in server.received] == [0, 1, 70_000]
    assert server.connections_made == 1


async def test_an_idle_connection_is_dropped_in_time(server: ScriptedServer) -> None:
    server.on("/", reply(200, b"{}"))

    async with client_of(server, idle_seconds=0.0) as http:
        for _ in range(2):
            await http.post("/")
            await asyncio.sleep(0.01)

    assert server.connections_made == 2


async def test_no_more_connections_than_allowed(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    server.on("/hangs", hang)
    server.on("/", reply(200, b"{}"))
    hanging = [asyncio.create_task(http.post("/hangs")) for _ in range(2)]
    while len(server.received) < 2:  # noqa: ASYNC110  (the server sets no event)
        await asyncio.sleep(0.01)

    with pytest.raises(httpx.PoolTimeout):
        await http.post("/")
    for one in hanging:
        one.cancel()
    await asyncio.wait(hanging)

    assert (await http.post("/")).status_code == 200


async def test_calls_at_once_are_spread_and_each_gets_its_own_answer(server: ScriptedServer) -> None:
    server.on("/", reply(200, b"{}"))
    limits = KeepLimits(connections_max=10, idle_seconds=60.0)
    transport = KeptConnections(limits=limits, tls=ssl.create_default_context())

    async with httpx.AsyncClient(transport=transport, base_url=server.url, timeout=5) as http:
        for _ in range(3):
            answers = await asyncio.gather(*(http.post("/") for _ in range(10)))

    assert {one.status_code for one in answers} == {200}
    assert 4 <= server.connections_made <= 10


async def test_no_connection_is_told_apart_from_no_answer(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    await server.close()

    with pytest.raises(httpx.ConnectError):
        await http.post("/")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * (HEAD_BYTES_MAX + 1),
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2_000,
    ],
)
async def test_what_is_no_whole_response_is_an_answer_that_did_not_come(
    server: ScriptedServer, http: httpx.AsyncClient, answer: bytes
) -> None:
    server.on("/", raw_then_close(answer))

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await http.post("/")

    server.on("/", reply(200, b"{}"))
    assert (await http.post("/")).status_code == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX-After: 1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
)
async def test_a_response_ends_as_its_head_says(server: ScriptedServer, http: httpx.AsyncClient, answer: bytes) -> None:
    server.on("/", raw_then_close(answer))

    got = await http.post("/")

    assert (got.status_code, got.content, got.headers.get("X-After")) == (200, b"ok", None)


async def test_a_second_response_is_nobodys(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    other = b"HTTP/1.1 500 No\r\nContent-Length: 5\r\nX-Other: 1\r\n\r\nother"
    server.on("/", raw(OK + other), raw(OK))

    answers = [await http.post("/") for _ in range(2)]

    assert [(one.status_code, one.content, "X-Other" in one.headers) for one in answers] == [(200, b"ok", False)] * 2
    assert server.connections_made == 2


async def test_what_an_idle_connection_says_unasked_ends_it(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    async def later(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    server.on("/", later, raw(OK))

    first = await http.post("/")
    await asyncio.sleep(0.1)
    second = await http.post("/")

    assert (first.status_code, second.status_code, server.connections_made) == (200, 200, 2)


async def test_a_large_body_is_taken_as_it_is_read(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    body = b"x" * (64 * BUFFER_BYTES_MAX)
    server.on("/", reply(200, body))

    async with http.stream("POST", "/") as response:
        await asyncio.sleep(0.05)
        parts = [part async for part in response.aiter_raw()]

    assert b"".join(parts) == body
    assert len(parts) > 1


async def test_a_header_that_ends_its_line_is_never_sent(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        await http.post("/", headers={b"X-Name": b"one\r\nX-Other: two"})

    assert (server.received, server.connections_made) == ([], 0)


async def test_a_caller_who_leaves_takes_its_connection_along_and_its_place_is_free(
    server: ScriptedServer, http: httpx.AsyncClient
) -> None:
    server.on("/", hang, hang, reply(200, b"{}"))
    for number in (1, 2):
        leaving = asyncio.create_task(http.post("/"))
        while len(server.received) < number:  # noqa: ASYNC110  (the server sets no event)
            await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.wait([leaving])

    assert (await http.post("/")).status_code == 200
    assert server.connections_made == 3
