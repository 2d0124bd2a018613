"""HTTP/1.1 over connections that are kept: a transport below httpx in the place of its own, at a fraction of its cost.

One exchange on a connection at a time, nothing sent twice, no redirect, no proxy. A kept connection is used again only
for the same scheme, address, port and name; one on which anything came meanwhile, the peer's goodbye above all, never.
"""

from __future__ import annotations

import asyncio
import re
import select
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias, cast

import httptools
import httpx

HEAD_BYTES_MAX = 100_000
# A body that nobody reads is not read from the socket either, beyond about this.
_BUFFER_BYTES_MAX = 65_536
_UNFIT = re.compile(rb"[\r\n\0]")

_Headers: TypeAlias = list[tuple[bytes, bytes]]
_Place: TypeAlias = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLimits:
    """`connections_max` at once (None for any number), each dropped when it was idle for `idle_seconds`."""

    connections_max: int | None
    idle_seconds: float


class PeerLeft(httpx.RemoteProtocolError):
    """A kept connection broke before anything of the answer came: most likely its peer was closing it. Whether the
    request was read is unknown."""


class KeptConnections(httpx.AsyncBaseTransport):
    """Raises httpx's own errors: ConnectError, ConnectTimeout and PoolTimeout where not a byte was sent. With the
    extension `fresh` a request goes over a new connection."""

    def __init__(self, *, limits: KeepLimits, tls: ssl.SSLContext) -> None:
        self._limits = limits
        self._tls = tls
        self._idle: dict[_Place, deque[_Connection]] = {}
        self._room = None if limits.connections_max is None else asyncio.Semaphore(limits.connections_max)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends once; the response comes with its head, and its body is read as it is asked for."""
        timeout = request.extensions.get("timeout", {})
        message = _encode(request, await request.aread())
        await self._enter(timeout.get("pool"))
        connection: _Connection | None = None
        try:
            place = _place(request)
            kept = None if "fresh" in request.extensions else self._kept(place)
            connection = kept or await self._connect(place, timeout.get("connect"))
            connection.send(message, read_seconds=timeout.get("read"))
            status, headers = await connection.head(was_kept=kept is not None)
        except BaseException:
            if connection is not None:
                connection.close()
            self._leave()
            raise
        return httpx.Response(status, headers=headers, stream=_Body(self, place, connection), request=request)

    async def aclose(self) -> None:
        """Closes what is idle."""
        for connections in self._idle.values():
            for one in connections:
                one.close()
        self._idle.clear()

    def release(self, place: _Place, connection: _Connection) -> None:
        """Takes a connection back: to be kept where its exchange is over, else to be closed."""
        self._leave()
        if not connection.is_reusable:
            connection.close()
            return
        self._idle.setdefault(place, deque()).append(connection)
        connection.rest(self._limits.idle_seconds)

    def _kept(self, place: _Place) -> _Connection | None:
        """The one used last, which is the least likely to be dropped by its peer."""
        connections = self._idle.get(place)
        while connections:
            if (found := connections.pop()).wake():
                return found
        self._idle.pop(place, None)
        return None

    async def _connect(self, place: _Place, seconds: float | None) -> _Connection:
        scheme, host, port, name = place
        secure = scheme == "https"
        try:
            async with asyncio.timeout(seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection,
                    host,
                    port,
                    ssl=self._tls if secure else None,
                    server_hostname=name if secure else None,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except OSError as error:  # TLS says no by one of these too
            raise httpx.ConnectError(type(error).__name__) from error
        return connection

    async def _enter(self, seconds: float | None) -> None:
        if self._room is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("no connection became free in time") from error

    def _leave(self) -> None:
        if self._room is not None:
            self._room.release()


class _Connection(asyncio.Protocol):
    """One connection and the exchange on it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._is_open = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # Two lengths are read as chunks, as the protocol says; the connection is not used again.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self._read_seconds: float | None = None
        self._under_way = False
        self._headers: _Headers = []
        self._head_bytes = 0
        self._status = 0
        self._has_head = False
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._is_complete = False
        self._keeps = False
        self._error: httpx.TransportError | None = None

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange may follow."""
        return self._is_open and self._is_complete and self._error is None and self._keeps

    def send(self, message: bytes, *, read_seconds: float | None) -> None:
        """Begins an exchange."""
        self._begin()
        self._under_way, self._read_seconds = True, read_seconds
        assert self._transport is not None
        self._transport.write(message)

    async def head(self, *, was_kept: bool) -> tuple[int, _Headers]:
        """Status and headers of the answer. Raises PeerLeft over a connection that was kept."""
        while not self._has_head:
            if was_kept and self._error is not None and not self._head_bytes:
                raise PeerLeft("the peer left a kept connection") from self._error
            await self._news()
        return self._status, self._headers

    async def body(self) -> AsyncIterator[bytes]:
        """The body in parts as they come."""
        while self._parts or not self._is_complete:
            if not self._parts:
                await self._news()
                continue
            part = self._parts.popleft()
            self._buffered -= len(part)
            if self._buffered < _BUFFER_BYTES_MAX and self._is_open and self._transport is not None:
                self._transport.resume_reading()
            yield part

    def rest(self, seconds: float) -> None:
        """Idle from now on; closed when it was so for too long."""
        self._under_way = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self.close)

    def wake(self) -> bool:
        """Whether it may be used again: it is open, and nothing came over it while it was idle."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_open or self._transport is None:
            return False
        readable = select.poll()
        readable.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        if readable.poll(0):
            self.close()
            return False
        return True

    def close(self) -> None:
        """Ends it, whatever is under way."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        self._changed.clear()
        try:
            async with asyncio.timeout(self._read_seconds):
                await self._changed.wait()
        except TimeoutError as error:
            raise httpx.ReadTimeout("nothing came in time") from error

    def _fail(self, error: httpx.TransportError) -> None:
        if not self._is_complete and self._error is None:
            self._error = error
        self._changed.set()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._is_open = True

    def data_received(self, data: bytes) -> None:
        if not self._under_way or self._is_complete:
            self.close()  # nobody asked: whatever it answers, it must not be taken for the next answer
            return
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._fail(httpx.RemoteProtocolError("the head of the answer is too long"))
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keeps = False
            self._fail(httpx.RemoteProtocolError("the answer is no HTTP/1.1"))
        if self._buffered >= _BUFFER_BYTES_MAX and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        if self._has_head and exc is None and not _has_length(self._headers):
            self._is_complete = True  # such a body ends with its connection
        self._fail(httpx.ReadError(type(exc).__name__) if exc else httpx.RemoteProtocolError("the peer hung up"))

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise httptools.HttpParserError("nobody asked for a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._has_head = True
            self._changed.set()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._buffered += len(body)
        self._changed.set()

    def on_message_complete(self) -> None:
        if self._status < 200:  # on its way; the answer itself follows
            self._headers = []
            return
        is_plain = not {b"content-length", b"transfer-encoding"} <= {name.lower() for name, _ in self._headers}
        self._is_complete, self._keeps = True, is_plain and self._parser.should_keep_alive()
        self._changed.set()


class _Body(httpx.AsyncByteStream):
    """The body of one answer; closing it gives the connection back."""

    def __init__(self, pool: KeptConnections, place: _Place, connection: _Connection) -> None:
        self._pool = pool
        self._place = place
        self._connection: _Connection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert self._connection is not None, "a closed body is read"
        async for part in self._connection.body():
            yield part

    async def aclose(self) -> None:
        """Gives the connection back; again, does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(self._place, connection)


def _place(request: httpx.Request) -> _Place:
    """What a connection is for. The name is whom TLS must prove to be there."""
    url = request.url
    name = str(request.extensions.get("sni_hostname", url.host))
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80), name


def _encode(request: httpx.Request, body: bytes) -> bytes:
    """The request as bytes. Raises LocalProtocolError for what would be read as something else."""
    first = b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)
    lines = [first, *(b"%s: %s" % header for header in request.headers.raw)]
    if any(map(_UNFIT.search, lines)) or "transfer-encoding" in request.headers:
        raise httpx.LocalProtocolError("a header cannot be sent as it is")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _has_length(headers: _Headers) -> bool:
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)
