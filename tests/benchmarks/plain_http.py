"""HTTP as cheap as the client of a benchmark can make it: a receiver of webhooks, and callers on connections they keep.

For loopback and for peers of ours alone: whatever is not as expected raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
_END_OF_HEAD = b"\r\n\r\n"

Heard = Callable[[bytes], None]


class _Receiving(asyncio.Protocol):
    """One connection: any number of requests, one after another, each told of and answered 204 at once."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._came = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(_END_OF_HEAD)) >= 0:
            head = bytes(self._came[:end]).lower()
            begin, size = end + len(_END_OF_HEAD), _content_length(head)
            if len(self._came) < begin + size:
                return
            self._heard(bytes(self._came[begin : begin + size]))
            del self._came[: begin + size]
            assert self._transport is not None
            self._transport.write(_TAKEN)
            if b"\r\nconnection: close" in head:
                self._transport.close()


@asynccontextmanager
async def receiving(heard: Heard) -> AsyncIterator[str]:
    """A receiver on a port of its own; its base URL. `heard` is given each body before it is answered."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Receiving(heard), "127.0.0.1", 0, backlog=1024)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Caller:
    """One connection that is kept, for one POST after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    async def post(self, path: str, body: bytes) -> int:
        """The status; the answer's body is read and dropped."""
        status, _ = await self.ask(path, body, media_type="application/json")
        return status

    async def ask(self, path: str, body: bytes, *, media_type: str) -> tuple[int, bytes]:
        """The status and the body that a POST is answered with."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {media_type}\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await self._reader.readuntil(_END_OF_HEAD)).lower()
        size = _content_length(answer.removesuffix(_END_OF_HEAD))
        return int(answer[9:12]), await self._reader.readexactly(size)

    def close(self) -> None:
        """Gives the connection up."""
        self._writer.close()


async def open_caller(base_url: str) -> Caller:
    """A caller of one server."""
    place = urlsplit(base_url)
    assert place.hostname is not None
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    return Caller(reader, writer, place.netloc)


def _content_length(head: bytes) -> int:
    """Of a head in lower case without its end; 0 where it says none."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
