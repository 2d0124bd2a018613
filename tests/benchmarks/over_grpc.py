"""Ways to post through the running service, and its empty echo: what a client in another process sees."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter

from daftari.v1 import journal_pb2 as pb
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.benchmarks.entries import Transfers, TransferSource, draft_of, item_of
from tests.benchmarks.load import closed_loop
from tests.benchmarks.measuring import Sample, Variant
from tests.benchmarks.rig import LEDGER, Rig

BULK = 1000
CALL_SECONDS_MAX = 30.0


class OverGrpc:
    """Variants on one channel. Every answer is looked at: a refused entry ends the benchmark."""

    def __init__(self, rig: Rig, transfers: Transfers) -> None:
        self._metadata = rig.metadata
        self._commands = JournalCommandServiceStub(rig.channel)
        self._health = HealthStub(rig.channel)
        self._transfers = transfers

    def echo(self, *, in_flight: int) -> Variant:
        """grpc.health.v1.Health/Check: needs no key, touches no database."""
        request = health_pb2.HealthCheckRequest()

        async def call() -> None:
            await self._health.Check(request, timeout=CALL_SECONDS_MAX)

        return _looping(f"echo, {in_flight} in flight", call, in_flight=in_flight)

    def unary(self, *, in_flight: int) -> Variant:
        """PostEntry on the hot account."""
        return self._unary(f"PostEntry, hot, {in_flight} in flight", self._transfers.hot, in_flight)

    def unary_uniform(self, *, in_flight: int) -> Variant:
        """PostEntry on accounts of which none is hot."""
        return self._unary(f"PostEntry, uniform, {in_flight} in flight", self._transfers.uniform, in_flight)

    def bulk(self, *, in_flight: int) -> Variant:
        """PostEntries with a thousand items, hot."""

        async def call() -> None:
            items = [item_of(self._transfers.hot()) for _ in range(BULK)]
            request = pb.PostEntriesRequest(ledger=LEDGER, items=items)
            answer = await self._commands.PostEntries(request, metadata=self._metadata, timeout=CALL_SECONDS_MAX)
            _check(answer.results, count=BULK)

        name = f"PostEntries of {BULK:,}, hot, {in_flight} in flight"
        return _looping(name, call, in_flight=in_flight, items_per_call=BULK)

    def streamed(self, *, streams: int, window: int, size: int = 1) -> Variant:
        """StreamEntries, hot: each stream keeps `window` messages unanswered, each of `size` items."""

        async def run(seconds: float) -> Sample:
            started = perf_counter()
            answered = await asyncio.gather(*(self._stream(window, size, started + seconds) for _ in range(streams)))
            call_seconds = [one for times in answered for one in times]
            return Sample(items=size * len(call_seconds), seconds=perf_counter() - started, call_seconds=call_seconds)

        many = f" of {size}" if size > 1 else ""
        return Variant(f"StreamEntries{many}, hot, {streams} streams of {window} in flight", run)

    def _unary(self, name: str, source: TransferSource, in_flight: int) -> Variant:
        async def call() -> None:
            transfer = source()
            request = pb.PostEntryRequest(ledger=LEDGER, request_id=transfer.request_id, entry=draft_of(transfer))
            await self._commands.PostEntry(request, metadata=self._metadata, timeout=CALL_SECONDS_MAX)

        return _looping(name, call, in_flight=in_flight)

    async def _stream(self, window: int, size: int, until: float) -> list[float]:
        sent: deque[float] = deque()
        room = asyncio.Semaphore(window)

        async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
            while perf_counter() < until:
                await room.acquire()
                sent.append(perf_counter())
                items = [item_of(self._transfers.hot()) for _ in range(size)]
                alone = {"item": items[0]} if size == 1 else {"items": items}
                yield pb.StreamEntriesRequest(ledger=LEDGER, **alone)

        call_seconds: list[float] = []
        async for answer in self._commands.StreamEntries(requests(), metadata=self._metadata):
            _check(answer.results or [answer.result], count=size)
            call_seconds.append(perf_counter() - sent.popleft())
            room.release()
        return call_seconds


def _looping(name: str, call: Callable[[], Awaitable[None]], *, in_flight: int, items_per_call: int = 1) -> Variant:
    async def run(seconds: float) -> Sample:
        return await closed_loop(call, in_flight=in_flight, seconds=seconds, items_per_call=items_per_call)

    return Variant(name, run)


def _check(results: Sequence[pb.EntryResult], *, count: int) -> None:
    refused = [result.error.message for result in results if result.HasField("error")]
    assert not refused, refused[:3]
    assert len(results) == count, "an answer per item"
