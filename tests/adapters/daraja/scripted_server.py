"""A loopback HTTP server that does to a connection exactly what a test tells it to, well-behaved or not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Received:
    """One complete request, as it came over the socket; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Play: TypeAlias = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def reply(status: int, body: bytes, *, content_type: str = "application/json") -> Play:
    """A well-formed answer on a connection that stays open."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return raw(head.encode() + body)


def raw(answer: bytes) -> Play:
    """These very bytes, whatever they are, and the connection left open."""

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return play


def raw_then_close(answer: bytes) -> Play:
    """These very bytes, then the end of the connection."""

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    return play


async def reset(request: Received, writer: asyncio.StreamWriter) -> None:
    """The request is read whole, then the connection is torn down without a byte."""
    writer.transport.abort()


async def hang(request: Received, writer: asyncio.StreamWriter) -> None:
    """The request is read whole, and nothing follows."""
    await asyncio.Event().wait()


async def drip(request: Received, writer: asyncio.StreamWriter) -> None:
    """An answer that never ends, a byte at a time, each sooner than any read timeout."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


class ScriptedServer:
    """Plays, per path, the next of the plays it was given; the last one repeats. Keeps every request it read."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections_made = 0
        self.url = ""
        self._plays: dict[str, list[Play]] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listens on a free loopback port and returns the base URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self.url

    async def close(self) -> None:
        """Stops listening and drops every connection, hanging ones included."""
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def on(self, path: str, *plays: Play) -> None:
        """Sets what the next requests to `path`, query aside, will meet."""
        self._plays[path] = list(plays)

    def to(self, path: str) -> list[Received]:
        """The requests that came to `path`, in order."""
        return [request for request in self.received if request.path == path]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections_made += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    request = await _read_request(reader)
                    self.received.append(request)
                    await self._next_play(request.path)(request, writer)
        finally:
            writer.close()
            self._connections.discard(task)

    def _next_play(self, path: str) -> Play:
        plays = self._plays.get(path, [reply(404, b"{}")])
        return plays.pop(0) if len(plays) > 1 else plays[0]


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *header_lines = head.rstrip().split("\r\n")
    method, target, _ = request_line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in header_lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target.partition("?")[0], headers, body)


class TokenDesk:
    """The part of a Daraja that grants tokens: each new one ends the one before, as the real one does."""

    def __init__(self, prefix: str = "granted-token") -> None:
        self._prefix = prefix
        self._count = 0

    @property
    def current(self) -> str:
        """The only token that is good now."""
        return f"{self._prefix}-{self._count}"

    async def grant(self, request: Received, writer: asyncio.StreamWriter) -> None:
        """Plays the OAuth endpoint."""
        self._count += 1
        body = json.dumps({"access_token": self.current, "expires_in": "3599"}).encode()
        await reply(200, body)(request, writer)

    def revoke(self) -> None:
        """Ends the current token, as another process's refresh would."""
        self._count += 1

    def guard(self, play: Play, *, refusal: Play) -> Play:
        """Plays `play` for the current token and `refusal` for any other."""

        async def guarded(request: Received, writer: asyncio.StreamWriter) -> None:
            good = request.headers.get("authorization") == f"Bearer {self.current}"
            await (play if good else refusal)(request, writer)

        return guarded
