"""The transport below httpx against a server that does to a connection what a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from adapters.connections import HEAD_BYTES_MAX, KeepLimits, KeptConnections, PeerLeft
from tests.adapters.daraja.scripted_server import ScriptedServer, hang, raw, raw_then_close, reply, reset

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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        OK,
    ],
    ids=["after a word on the way", "in chunks", "of a known length"],
)
async def test_an_answer_is_read_in_every_form_and_its_connection_kept(
    server: ScriptedServer, http: httpx.AsyncClient, answer: bytes
) -> None:
    server.on("/", raw(answer))

    contents = [(await http.post("/")).content for _ in range(2)]

    assert contents == [b"ok", b"ok"]
    assert server.connections_made == 1


async def test_a_body_without_a_length_ends_with_its_connection(
    server: ScriptedServer, http: httpx.AsyncClient
) -> None:
    server.on("/", raw_then_close(b"HTTP/1.1 200 OK\r\n\r\nok"))

    contents = [(await http.post("/")).content for _ in range(2)]

    assert contents == [b"ok", b"ok"]
    assert server.connections_made == 2


async def test_an_answer_of_two_lengths_is_read_in_chunks_and_the_last_on_its_connection(
    server: ScriptedServer, http: httpx.AsyncClient
) -> None:
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    server.on("/", raw(two))

    contents = [(await http.post("/")).content for _ in range(2)]

    assert contents == [b"ok", b"ok"]
    assert server.connections_made == 2


async def test_a_body_that_is_cut_off_is_an_error(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    server.on("/", raw_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"))

    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/")


async def test_what_came_unasked_is_never_the_next_answer(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    server.on("/", raw(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"), reply(200, b"true"))

    first = await http.post("/")
    second = await http.post("/")

    assert (first.content, second.content) == (b"ok", b"true")
    assert server.connections_made == 2


async def test_a_peer_that_leaves_a_kept_connection_is_told_apart(
    server: ScriptedServer, http: httpx.AsyncClient
) -> None:
    server.on("/", reply(200, b"{}"), reset, reset)
    await http.post("/")

    with pytest.raises(PeerLeft):
        await http.post("/")
    with pytest.raises(httpx.TransportError) as fresh:
        await http.post("/")

    assert not isinstance(fresh.value, PeerLeft)
    assert len(server.received) == 3


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


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_BYTES_MAX + 1),
        b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n",
    ],
    ids=["another protocol", "a head without end", "an upgrade"],
)
async def test_what_is_no_answer_is_an_error(server: ScriptedServer, http: httpx.AsyncClient, answer: bytes) -> None:
    server.on("/", raw_then_close(answer))

    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/")


async def test_a_header_that_would_be_two_is_not_sent(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    server.on("/", reply(200, b"{}"))

    with pytest.raises(httpx.LocalProtocolError):
        await http.post("/", headers={"X-One": "1\r\nX-Two: 2"})

    assert server.received == []


async def test_no_connection_is_told_apart_from_no_answer(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    await server.close()

    with pytest.raises(httpx.ConnectError):
        await http.post("/")
