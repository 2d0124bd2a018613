"""HTTP connections, kept and bounded: a transport below httpx over asyncio's own streams of bytes and a parser in C.

httpx's own transport cost more than all else in a call. This one speaks HTTP/1.1 alone, sends each request once, and
tells apart, as httpx does, what happened before a byte was sent (ConnectError, ConnectTimeout, PoolTimeout) from what
happened after."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

import httptools
import httpx

# A response's head, and how much of its body waits to be read before its sender is made to wait.
HEAD_BYTES_MAX = 65_536
BUFFER_BYTES_MAX = 65_536
_INTERIM = range(100, 200)

# Scheme, host, port, and the name that the certificate is to be of.
_Origin: TypeAlias = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLimits:
    """`connections_max` calls at once (None for any number); a connection is dropped when it was idle for
    `idle_seconds`, and 0 keeps none."""

    connections_max: int | None
    idle_seconds: float


class KeptConnections(httpx.AsyncBaseTransport):
    """Raises httpx's own errors: ConnectError, ConnectTimeout and PoolTimeout where not a byte was sent."""

    def __init__(self, *, limits: KeepLimits, tls: ssl.SSLContext) -> None:
        tls.set_alpn_protocols(["http/1.1"])
        self._tls = tls
        self._idle_seconds = limits.idle_seconds
        self._room = asyncio.Semaphore(limits.connections_max) if limits.connections_max is not None else None
        self._idle: dict[_Origin, list[_Connection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends once, over the connection that was idle last or a new one."""
        message, timeouts = _written(request, await request.aread()), request.extensions.get("timeout", {})
        await self._enter(timeouts.get("pool"))
        try:
            connection = self._take(_origin(request)) or await self._connect(_origin(request), timeouts.get("connect"))
        except BaseException:
            self._leave()
            raise
        try:
            await connection.send(message, seconds=timeouts.get("write"))
            status, headers = await connection.head(seconds=timeouts.get("read"))
        except BaseException:
            connection.drop()
            self._leave()
            raise
        body = _Body(connection, timeouts.get("read"), lambda: self._end(_origin(request), connection))
        return httpx.Response(status, headers=headers, stream=body)

    async def aclose(self) -> None:
        """Drops all that are idle; those in use end with their responses."""
        self._idle_seconds = 0.0
        for idle in self._idle.values():
            for connection in idle:
                connection.drop()
        self._idle.clear()

    async def _enter(self, seconds: float | None) -> None:
        if self._room is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout("all connections are in use") from None

    def _leave(self) -> None:
        if self._room is not None:
            self._room.release()

    def _take(self, origin: _Origin) -> _Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.wakes():
                return connection
        return None

    async def _connect(self, origin: _Origin, seconds: float | None) -> _Connection:
        scheme, host, port, name = origin
        tls, checked = (self._tls, name) if scheme == "https" else (None, None)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(_Connection, host, port, ssl=tls, server_hostname=checked)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (OSError, ValueError) as error:
            raise httpx.ConnectError(type(error).__name__) from error
        return connection

    def _end(self, origin: _Origin, connection: _Connection) -> None:
        """The response was read, or is given up: then its connection cannot carry another."""
        if self._idle_seconds and connection.rests(self._idle_seconds):
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.drop()
        self._leave()


def _origin(request: httpx.Request) -> _Origin:
    url = request.url
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol("a URL to call is http or https")
    name = request.extensions.get("sni_hostname") or url.host
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80), str(name)


def _written(request: httpx.Request, body: bytes) -> bytes:
    """The request as it goes on the wire. A header that would end before it ends is refused, and nothing is sent."""
    if request.method == "HEAD":
        raise httpx.LocalProtocolError("the end of an answer to HEAD is not known here")
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx.LocalProtocolError("a header holds the end of a line")
    return b"%b\r\n\r\n%b" % (head, body)


class _Connection(asyncio.Protocol):
    """One connection and the one response that it is at. httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._dying: asyncio.TimerHandle | None = None
        self._exchanging = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # Both a length and chunks: the chunks count, as in RFC 9112, and the connection ends with them.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._status = 0
        self._has_head = self._is_complete = self._is_surplus = self._ends_by_close = False
        self._keeps = self._paused = False
        self._body: list[bytes] = []
        self._buffered = 0

    # What the pool asks.

    async def send(self, message: bytes, *, seconds: float | None) -> None:
        """Writes a request. Raises httpx.WriteTimeout, WriteError."""
        assert self._transport is not None
        self._begin()
        self._exchanging = True
        self._transport.write(message)
        if self._writable is not None:
            try:
                async with asyncio.timeout(seconds):
                    await self._writable
            except TimeoutError:
                raise httpx.WriteTimeout("the request was not taken in time") from None

    async def head(self, *, seconds: float | None) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The status and headers of the response. Raises httpx.ReadTimeout, ReadError, RemoteProtocolError."""
        while not self._has_head:
            await self._arrival(seconds)
        return self._status, self._headers

    async def part(self, *, seconds: float | None) -> bytes:
        """More of the response's body; empty at its end. Raises likewise."""
        while not self._body:
            if self._is_complete:
                return b""
            await self._arrival(seconds)
        part, self._body, self._buffered = b"".join(self._body), [], 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return part

    def rests(self, seconds: float) -> bool:
        """Whether it may carry another request; it closes by itself when none came for so long."""
        if not (self._is_complete and self._keeps) or self._transport is None or self._transport.is_closing():
            return False
        self._exchanging = False
        self._dying = asyncio.get_running_loop().call_later(seconds, self.drop)
        return True

    def wakes(self) -> bool:
        """Whether it still lives. What its peer closed, or spoke into unasked, is no connection any more."""
        if self._dying is not None:
            self._dying.cancel()
            self._dying = None
        return self._transport is not None and not self._transport.is_closing()

    def drop(self) -> None:
        """Ends it: in peace after a whole response, else at once, whatever was under way."""
        if self._transport is not None:
            end = self._transport.close if self._is_complete else self._transport.abort
            end()

    # What arrives.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if not self._exchanging or self._is_complete:
            self._keeps = False
            self.drop()
            return
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError("this is no HTTP response"))
            return
        if not self._has_head and self._head_bytes > HEAD_BYTES_MAX:
            self._fail(httpx.RemoteProtocolError("the response's head is too long"))
            return
        if self._buffered > BUFFER_BYTES_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        return False  # closes

    def connection_lost(self, exc: Exception | None) -> None:
        if self._has_head and self._ends_by_close and exc is None:
            self._is_complete = True
        elif not self._is_complete:
            whole = "the connection ended before the response did"
            self._lost = self._lost or (
                httpx.RemoteProtocolError(whole) if exc is None else httpx.ReadError(type(exc).__name__)
            )
        if self._dying is not None:
            self._dying.cancel()
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    def on_message_begin(self) -> None:
        """A second response: nobody asked for one, and nothing of it is read."""
        if self._is_complete:
            self._is_surplus, self._keeps = True, False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # else a trailer, or of a surplus
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._is_surplus:
            return
        self._status = self._parser.get_status_code()
        if self._status in _INTERIM:
            return
        framed = {name.lower() for name, _ in self._headers} & {b"content-length", b"transfer-encoding"}
        self._ends_by_close = not framed
        self._keeps = self._parser.should_keep_alive() and len(framed) == 1
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        if not self._is_surplus:
            self._body.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self._status in _INTERIM:
            self._headers = []
        else:
            self._is_complete = True

    async def _arrival(self, seconds: float | None) -> None:
        if self._lost is not None:
            raise self._lost
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._waiter
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time") from None
        finally:
            self._waiter = None

    def _fail(self, error: Exception) -> None:
        self._lost = error
        self.drop()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Body(httpx.AsyncByteStream):
    """A response's body; `ended` is called once, when it is closed."""

    def __init__(self, connection: _Connection, seconds: float | None, ended: Callable[[], None]) -> None:
        self._connection = connection
        self._seconds = seconds
        self._ended: Callable[[], None] | None = ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self._connection.part(seconds=self._seconds):
            yield part

    async def aclose(self) -> None:
        """Gives the connection back."""
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()
