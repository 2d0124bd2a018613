"""Group commit: concurrent callers become one set, one flush, a result each. Pure asyncio: knows no database, no entry.

One flusher, so that sets never race each other. No caller is answered before the flush that carried its item returned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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


class _Waiting(Generic[Item, Result]):
    """An item, and where its result or error goes: to a future of its own, or to its place in a group's."""

    __slots__ = ("_group", "_place", "answer", "deadline", "item")

    def __init__(
        self,
        item: Item,
        deadline: float | None,
        answer: asyncio.Future[Any],
        group: _Group[Result] | None = None,
        place: int = 0,
    ) -> None:
        self.item = item
        self.deadline = deadline
        self.answer = answer
        self._group = group
        self._place = place

    def settle(self, result: Result) -> None:
        """Hands the result over, unless the caller left."""
        if self.answer.done():
            return
        if self._group is None:
            self.answer.set_result(result)
        else:
            self._group.put(self._place, result)

    def fail(self, error: BaseException) -> None:
        """Hands the error over, likewise."""
        if self.answer.done():
            return
        if self._group is not None:
            self._group.put(self._place, error)
        elif isinstance(error, asyncio.CancelledError):
            self.answer.cancel()
        else:
            self.answer.set_exception(error)


class _Group(Generic[Result]):
    """What one caller asked for together: one future brings all of it, for a future each is half the work."""

    __slots__ = ("_answer", "_left", "_outcomes")

    def __init__(self, size: int, answer: asyncio.Future[list[Result | BaseException]]) -> None:
        self._answer = answer
        self._left = size
        self._outcomes: dict[int, Result | BaseException] = {}

    def put(self, place: int, outcome: Result | BaseException) -> None:
        """Takes one outcome; with the last of them the caller has its answer."""
        self._outcomes[place] = outcome
        self._left -= 1
        if not self._left:
            self._answer.set_result([self._outcomes[index] for index in range(len(self._outcomes))])


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
        self._flush_seconds = 0.0
        self._busy = False
        self._closed = False

    def submit(self, item: Item, *, deadline: float | None) -> asyncio.Future[Result]:
        """Takes the item now; the future brings its result, TooLate (nothing was done) or what the flush raised for it.
        Raises Overloaded. Items are flushed in the order of these calls; cancelling the future withdraws the item."""
        self.check_room(1, deadline=deadline)
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._enqueue([_Waiting(item, deadline, answer)])
        return answer

    def submit_all(
        self, items: Sequence[Item], *, deadline: float | None
    ) -> asyncio.Future[list[Result | BaseException]]:
        """The same for many: the future brings a result or an error per item, in order, when it has all of them. Raises
        Overloaded where not all of them find room."""
        self.check_room(len(items), deadline=deadline)
        answer: asyncio.Future[list[Result | BaseException]] = asyncio.get_running_loop().create_future()
        if not items:
            answer.set_result([])
            return answer
        group = _Group[Result](len(items), answer)
        self._enqueue([_Waiting(item, deadline, answer, group, place) for place, item in enumerate(items)])
        return answer

    async def close(self) -> None:
        """Refuses new items from now on and returns when every item already taken has its answer."""
        self._closed = True
        if self._flusher is not None:
            await asyncio.wait([self._flusher])

    def check_room(self, count: int, *, deadline: float | None) -> None:
        """Raises Overloaded where so many items would not find room, or where those before them will hardly be done
        half way to the deadline: refused now, the caller has time to come again. For who would work before submitting.
        """
        if self._closed:
            raise Overloaded("the service is stopping; repeat with the same request_id")
        if len(self._queue) + count > self._limits.queue_max:
            raise Overloaded("too many requests are waiting; repeat with the same request_id in a moment")
        if deadline is not None and self._queue:
            sets = 2 + len(self._queue) // self._limits.set_max  # the one under way, and that of the last item
            if self._monotonic() + 2 * sets * self._flush_seconds > deadline:
                raise Overloaded("more is waiting than the deadline allows for; repeat with the same request_id")

    def _enqueue(self, waiting: Sequence[_Waiting[Item, Result]]) -> None:
        self._queue.extend(waiting)
        self._submissions += 1
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.get_running_loop().create_task(self._work())

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
        started = self._monotonic()
        task = asyncio.ensure_future(self._flush([one.item for one in chosen]))
        await asyncio.wait([task])
        self._flush_seconds += 0.3 * (self._monotonic() - started - self._flush_seconds)
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
                one.fail(TooLate("the deadline passed while the request waited; nothing was done"))
            else:
                chosen.append(one)
        return chosen

    def _answer(self, answered: Sequence[_Waiting[Item, Result]], results: Sequence[Result]) -> None:
        if len(results) != len(answered):
            # Done already, so never run again: a miscounting flush is a bug that every caller must hear of.
            _fail(answered, AssertionError(f"the flush returned {len(results)} results for {len(answered)} items"))
            return
        for one, result in zip(answered, results, strict=True):
            one.settle(result)


def _fail(waiting: Sequence[_Waiting[Item, Result]], error: BaseException) -> None:
    for one in waiting:
        one.fail(error)
