"""Group commit: concurrent callers become one set, one flush, a result each. Pure asyncio: knows no database, no entry.

One flusher, so that sets never race each other. No caller is answered before the flush that carried its item returned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.errors import Overloaded, TooLate

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`set_max` items go into one flush, `queue_max` await one; a busy gatherer waits `window_seconds` for company."""

    set_max: int = 512
    queue_max: int = 16_384
    window_seconds: float = 0.002


DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    deadline: float | None
    answer: asyncio.Future[Result]


class Gatherer(Generic[Item, Result]):
    """Gathers the items of concurrent callers and hands them to `flush` in the order they came.

    `flush` returns a result per item once they are durable, or raises and has then done nothing at all, unless
    `concerns_all(error)`: the outcome is unknown, or the fault is in no item. After any other error the set is halved
    until the items at fault stand alone, and only their callers get it. `monotonic` is the clock of the deadlines.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        concerns_all: Callable[[BaseException], bool],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._flush = flush
        self._concerns_all = concerns_all
        self._monotonic = monotonic
        self._sleep = sleep
        self._limits = limits
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._submissions = 0
        self._busy = False
        self._closed = False

    def submit(self, item: Item, *, deadline: float | None) -> asyncio.Future[Result]:
        """Takes the item now; the future brings its result, TooLate (nothing was done) or what the flush raised for it.
        Raises Overloaded. Items are flushed in the order of these calls; cancelling the future withdraws the item."""
        return self._enqueue([item], deadline)[0]

    async def submit_all(self, items: Sequence[Item], *, deadline: float | None) -> list[Result | BaseException]:
        """A result or an error per item, in order. Raises Overloaded where not all of them find room."""
        return await asyncio.gather(*self._enqueue(items, deadline), return_exceptions=True)

    async def close(self) -> None:
        """Refuses new items from now on and returns when every item already taken has its answer."""
        self._closed = True
        if self._flusher is not None:
            await asyncio.wait([self._flusher])

    def _enqueue(self, items: Sequence[Item], deadline: float | None) -> list[asyncio.Future[Result]]:
        if self._closed:
            raise Overloaded("the service is stopping; repeat with the same request_id")
        if len(self._queue) + len(items) > self._limits.queue_max:
            raise Overloaded("too many requests are waiting; repeat with the same request_id in a moment")
        loop = asyncio.get_running_loop()
        waiting = [_Waiting[Item, Result](item, deadline, loop.create_future()) for item in items]
        self._queue.extend(waiting)
        self._submissions += 1
        if self._flusher is None or self._flusher.done():
            self._flusher = loop.create_task(self._work())
        return [one.answer for one in waiting]

    async def _work(self) -> None:
        while self._queue:
            # A lone caller has nobody to wait for; where callers crowd, a short wait makes sets larger, answers sooner.
            if self._busy and not self._closed and len(self._queue) < self._limits.set_max:
                await self._sleep(self._limits.window_seconds)
            self._busy, self._submissions = self._submissions > 1, 0
            await self._settle([self._queue.popleft() for _ in range(min(len(self._queue), self._limits.set_max))])

    async def _settle(self, candidates: Sequence[_Waiting[Item, Result]]) -> None:
        chosen = self._still_wanted(candidates)
        if not chosen:
            return
        task = asyncio.ensure_future(self._flush([one.item for one in chosen]))
        await asyncio.wait([task])
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._answer(chosen, task.result())
        elif task.cancelled() or len(chosen) == 1 or self._concerns_all(error):
            _fail(chosen, error)
        else:
            middle = len(chosen) // 2
            await self._settle(chosen[:middle])
            await self._settle(chosen[middle:])

    def _still_wanted(self, candidates: Sequence[_Waiting[Item, Result]]) -> list[_Waiting[Item, Result]]:
        """Those whose caller neither left nor ran out of time."""
        now = self._monotonic()
        chosen: list[_Waiting[Item, Result]] = []
        for one in candidates:
            if one.answer.done():
                continue
            if one.deadline is not None and one.deadline <= now:
                one.answer.set_exception(TooLate("the deadline passed while the request waited; nothing was done"))
            else:
                chosen.append(one)
        return chosen

    def _answer(self, answered: Sequence[_Waiting[Item, Result]], results: Sequence[Result]) -> None:
        if len(results) != len(answered):
            # Done already, so never run again: a miscounting flush is a bug that every caller must hear of.
            _fail(answered, AssertionError(f"the flush returned {len(results)} results for {len(answered)} items"))
            return
        for one, result in zip(answered, results, strict=True):
            if not one.answer.done():
                one.answer.set_result(result)


def _fail(waiting: Sequence[_Waiting[Item, Result]], error: BaseException) -> None:
    for one in waiting:
        if one.answer.done():
            continue
        if isinstance(error, asyncio.CancelledError):
            one.answer.cancel()
        else:
            one.answer.set_exception(error)
