"""A gRPC client that costs next to nothing: unary calls over HTTP/2 frames written by hand, no header compression.

A flood must come from somewhere, and the library's own client takes more of the machine for a call than the service
takes to refuse it. It knows what the flood needs: frames of RFC 9113, one call's headers for all calls, its deadline.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import cast

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_CANCEL = 8
_STREAMS_MAX_SETTING = 3
# HEADER_TABLE_SIZE 0, ENABLE_PUSH 0, INITIAL_WINDOW_SIZE, and gRPC's own for binary metadata as it is.
_OWN_SETTINGS = {1: 0, 2: 0, 4: 1 << 24, 0xFE03: 1}
_WINDOW = 1 << 30
_STATUS = b"\x0bgrpc-status"
DEADLINE_EXCEEDED, BROKEN, NOT_TAKEN = 4, -1, -2
_REFUSED_STREAM = 7


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: its gRPC status, or BROKEN, or NOT_TAKEN where the server had no room for the stream and saw
    nothing of it; and the raw trailers and message."""

    status: int
    trailers: bytes = b""
    message: bytes = b""


Heard = Callable[[float, Answer], None]


@dataclass(slots=True)
class _Stream:
    began: float
    heard: Heard
    message: bytearray


class Connection(asyncio.Protocol):
    """One connection to one method. What the server has no room for yet waits here, within its deadline."""

    def __init__(self, *, headers: Mapping[str, str], seconds_max: float) -> None:
        self._block = b"".join(_literal(name, value) for name, value in headers.items())
        self._seconds_max = seconds_max
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._begun: deque[tuple[float, int]] = deque()
        self._waiting: deque[tuple[float, bytes, Heard]] = deque()
        self._next_id = 1
        self._streams_max = 100
        self._room = 65_535
        self._consumed = 0
        self._out: list[bytes] = []
        self.ready = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        settings = b"".join(struct.pack(">HI", *setting) for setting in _OWN_SETTINGS.items())
        self._transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _window_update(_WINDOW))

    def connection_lost(self, error: Exception | None) -> None:
        for number in list(self._streams):
            self._end(number, Answer(BROKEN))

    def begin(self, request: bytes, heard: Heard) -> None:
        """Begins a call whose answer `heard` gets, with the moment it began. flush() sends it."""
        self._waiting.append((perf_counter(), request, heard))

    def flush(self) -> None:
        """Sends what there is room for, and gives up what has waited for its whole deadline, sent or not."""
        self._expire()
        while self._waiting and len(self._streams) < self._streams_max:
            began, request, heard = self._waiting[0]
            data = b"\0" + struct.pack(">I", len(request)) + request
            if len(data) > self._room:
                break
            self._waiting.popleft()
            number, self._next_id = self._next_id, self._next_id + 2
            self._room -= len(data)
            self._streams[number] = _Stream(began, heard, bytearray())
            self._begun.append((began, number))
            self._out.append(_frame(_HEADERS, _END_HEADERS, number, self._block))
            self._out.append(_frame(_DATA, _END_STREAM, number, data))
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def data_received(self, data: bytes) -> None:
        self._received += data
        for kind, flags, number, payload in self._frames():
            self._take(kind, flags, number, payload)
        self.flush()

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        received, place = self._received, 0
        while len(received) - place >= 9:
            length = int.from_bytes(received[place : place + 3], "big")
            if len(received) - place - 9 < length:
                break
            kind, flags, number = struct.unpack_from(">BBI", received, place + 3)
            yield kind, flags, number, bytes(received[place + 9 : place + 9 + length])
            place += 9 + length
        del received[:place]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _DATA:
            self._take_data(number, payload)
        elif kind == _HEADERS and flags & _END_STREAM:
            stream = self._streams.get(number)
            self._end(number, Answer(_status(payload), payload, bytes(stream.message[5:]) if stream else b""))
        elif kind == _RST_STREAM:
            refused = int.from_bytes(payload, "big") == _REFUSED_STREAM
            self._end(number, Answer(NOT_TAKEN if refused else BROKEN))
        elif kind == _WINDOW_UPDATE and number == 0:
            self._room += int.from_bytes(payload, "big")
        elif kind == _PING and not flags & _ACK:
            self._out.append(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not flags & _ACK:
            settings = dict(struct.iter_unpack(">HI", payload))
            self._streams_max = settings.get(_STREAMS_MAX_SETTING, 1 << 20)
            self._out.append(_frame(_SETTINGS, _ACK, 0, b""))
            self.ready.set()

    def _take_data(self, number: int, payload: bytes) -> None:
        if number in self._streams:
            self._streams[number].message += payload
        self._consumed += len(payload)
        if self._consumed > _WINDOW // 2:
            self._out.append(_window_update(self._consumed))
            self._consumed = 0

    def _expire(self) -> None:
        latest = perf_counter() - self._seconds_max
        while self._begun and self._begun[0][0] <= latest:
            _, number = self._begun.popleft()
            if number in self._streams:
                self._out.append(_frame(_RST_STREAM, 0, number, struct.pack(">I", _CANCEL)))
                self._end(number, Answer(DEADLINE_EXCEEDED))
        while self._waiting and self._waiting[0][0] <= latest:
            began, _, heard = self._waiting.popleft()
            heard(began, Answer(DEADLINE_EXCEEDED))

    def _end(self, number: int, answer: Answer) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.heard(stream.began, answer)


async def open_connection(address: str, path: str, *, metadata: Mapping[str, str], seconds_max: float) -> Connection:
    """A connection to "host:port" for calls of "/package.Service/Method", each with that deadline."""
    host, _, port = address.rpartition(":")
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": address,
        "content-type": "application/grpc",
        "te": "trailers",
        "grpc-timeout": f"{int(seconds_max * 1000)}m",
        **metadata,
    }
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(headers=headers, seconds_max=seconds_max), host, int(port)
    )
    await connection.ready.wait()
    connection.flush()
    return connection


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, number) + payload


def _window_update(size: int) -> bytes:
    return _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", size))


def _literal(name: str, value: str) -> bytes:
    """RFC 7541, 6.2.2: a field that no table learns. Lengths below 127 take one byte."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _status(trailers: bytes) -> int:
    """The value of grpc-status among uncompressed fields; -1 where there is none."""
    place = trailers.find(_STATUS)
    if place < 0:
        return -1
    length = trailers[place + len(_STATUS)]
    return int(trailers[place + len(_STATUS) + 1 :][:length])
