"""The transport below httpx against a server that does to a connection what a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from adapters.connections import KeepLimits, SpreadConnections
from tests.adapters.daraja.scripted_server import ScriptedServer, hang, reply

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
    transport = SpreadConnections(limits=limits, tls=ssl.create_default_context())
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
    transport = SpreadConnections(limits=limits, tls=ssl.create_default_context())

    async with httpx.AsyncClient(transport=transport, base_url=server.url, timeout=5) as http:
        for _ in range(3):
            answers = await asyncio.gather(*(http.post("/") for _ in range(10)))

    assert {one.status_code for one in answers} == {200}
    assert 4 <= server.connections_made <= 10


async def test_no_connection_is_told_apart_from_no_answer(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    await server.close()

    with pytest.raises(httpx.ConnectError):
        await http.post("/")
