"""A partner's receiver on loopback: real HTTP, keeps what it was sent, and answers as the test says.

receiver.behave = answering(503)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it came over the socket; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers["webhook-id"]

    @property
    def content(self) -> dict[str, Any]:
        """The body as JSON."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    def verify(self, secret: str) -> dict[str, Any]:
        """The content, as the library verifies it; raises its WebhookVerificationError."""
        content: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return content


Behaviour: TypeAlias = Callable[[Arrival], Awaitable[int]]


def answering(status: int) -> Behaviour:
    """The same answer always."""

    async def behave(arrival: Arrival) -> int:
        return status

    return behave


@dataclass(slots=True)
class Receiver:
    """What came in, in order, and what was answered 2xx."""

    port: int
    behave: Behaviour = field(default_factory=lambda: answering(204))
    arrivals: list[Arrival] = field(default_factory=list)
    taken: list[Arrival] = field(default_factory=list)
    connections: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    extra_head: str = ""

    @property
    def url(self) -> str:
        """Where it listens; the path holds what a partner may have put there."""
        return f"http://127.0.0.1:{self.port}/hooks/token-in-the-path"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when something arrived, or was answered, that makes the condition true."""
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            arrival = await _read(reader)
            self.arrivals.append(arrival)
            self.changed.set()
            status = await self.behave(arrival)
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{self.extra_head}\r\n".encode())
            await writer.drain()
            if 200 <= status < 300:
                self.taken.append(arrival)
            self.changed.set()
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Arrival:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return Arrival(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver(port=0)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
