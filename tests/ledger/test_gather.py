"""Group commit: sets form, every caller gets its own answer, and only after the flush returned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ledger.errors import CommitUnknown, Overloaded, TooLate
from ledger.gather import Gatherer, Limits


class Poisoned(Exception):
    """What the flush raises when a set holds an item it chokes on."""


class Store:
    """A flush that keeps what it was given, waits at a gate, and can be told to fail."""

    def __init__(self) -> None:
        self.sets: list[list[int]] = []
        self.attempts: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.poison: set[int] = set()
        self.error: BaseException | None = None

    async def flush(self, items: Sequence[int]) -> Sequence[int]:
        self.attempts.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.poison & set(items):
            raise Poisoned(sorted(self.poison & set(items)))
        self.sets.append(list(items))
        return [item * 10 for item in items]


class Clock:
    """A clock that stands still until told, and remembers how long it was asked to wait."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def gatherer(store: Store, clock: Clock) -> AsyncIterator[Gatherer[int, int]]:
    made = build(store, clock, Limits(set_max=4, queue_max=10))
    yield made
    store.gate.set()
    await made.close()


def build(store: Store, clock: Clock, limits: Limits) -> Gatherer[int, int]:
    return Gatherer(
        store.flush,
        concerns_all=lambda error: isinstance(error, CommitUnknown),
        monotonic=clock.monotonic,
        sleep=clock.sleep,
        limits=limits,
    )


def submit_each(gatherer: Gatherer[int, int], items: Sequence[int]) -> list[asyncio.Future[int]]:
    return [gatherer.submit(item, deadline=None) for item in items]


async def settle() -> None:
    """Lets every task that can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_concurrent_callers_become_one_set_and_each_gets_its_own_result(
    gatherer: Gatherer[int, int], store: Store
) -> None:
    results = await asyncio.gather(*submit_each(gatherer, [3, 1, 2]))

    assert results == [30, 10, 20]
    assert store.sets == [[3, 1, 2]]


async def test_items_that_come_during_a_flush_form_the_next_set(gatherer: Gatherer[int, int], store: Store) -> None:
    store.gate.clear()
    first = submit_each(gatherer, [1])
    await settle()
    later = submit_each(gatherer, [2, 3])
    await settle()

    store.gate.set()
    await asyncio.gather(*first, *later)

    assert store.sets == [[1], [2, 3]]


async def test_a_set_is_no_larger_than_its_limit_and_keeps_the_order(
    gatherer: Gatherer[int, int], store: Store
) -> None:
    results = await gatherer.submit_all(range(10), deadline=None)

    assert results == [item * 10 for item in range(10)]
    assert store.sets == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_nobody_is_answered_before_the_flush_returns(gatherer: Gatherer[int, int], store: Store) -> None:
    store.gate.clear()
    answers = submit_each(gatherer, [1, 2])
    await settle()
    answered_before = [answer.done() for answer in answers]

    store.gate.set()
    await asyncio.gather(*answers)

    assert store.attempts == [[1, 2]]
    assert answered_before == [False, False]


async def test_a_lone_caller_never_waits_for_company(gatherer: Gatherer[int, int], clock: Clock) -> None:
    for item in range(5):
        await gatherer.submit(item, deadline=None)

    assert clock.waits == []


async def test_a_lone_caller_with_a_group_never_waits_for_company(gatherer: Gatherer[int, int], clock: Clock) -> None:
    for _ in range(3):
        await gatherer.submit_all([1, 2, 3], deadline=None)

    assert clock.waits == []


async def test_a_busy_gatherer_waits_a_window_and_stops_when_callers_are_alone_again(
    gatherer: Gatherer[int, int], clock: Clock
) -> None:
    await asyncio.gather(*submit_each(gatherer, [1, 2]))
    await gatherer.submit(3, deadline=None)
    waits_when_busy = list(clock.waits)
    await gatherer.submit(4, deadline=None)

    assert waits_when_busy == [0.002]
    assert clock.waits == waits_when_busy


async def test_a_full_set_does_not_wait(gatherer: Gatherer[int, int], clock: Clock) -> None:
    await asyncio.gather(*submit_each(gatherer, [1, 2, 3, 4, 5, 6, 7, 8]))

    assert clock.waits == []


async def test_a_full_queue_refuses_and_keeps_what_it_has(gatherer: Gatherer[int, int], store: Store) -> None:
    store.gate.clear()
    running = submit_each(gatherer, [0])
    await settle()
    waiting = submit_each(gatherer, range(1, 9))
    await settle()

    with pytest.raises(Overloaded):
        await gatherer.submit_all([97, 98, 99], deadline=None)

    store.gate.set()
    assert await asyncio.gather(*running, *waiting) == [item * 10 for item in range(9)]
    assert [item for one in store.sets for item in one] == list(range(9))


async def test_a_queue_that_was_full_takes_again_once_it_is_drained(gatherer: Gatherer[int, int], store: Store) -> None:
    store.gate.clear()
    running = submit_each(gatherer, [0])
    await settle()
    waiting = submit_each(gatherer, range(1, 11))
    with pytest.raises(Overloaded):
        gatherer.check_room(1, deadline=None)

    store.gate.set()
    await asyncio.gather(*running, *waiting)

    assert await gatherer.submit(11, deadline=None) == 110


async def test_what_the_queue_will_hardly_do_in_time_is_refused_at_once(
    gatherer: Gatherer[int, int], store: Store, clock: Clock
) -> None:
    store.gate.clear()
    slow = submit_each(gatherer, [1])
    await settle()
    clock.now += 10
    store.gate.set()
    await asyncio.gather(*slow)
    store.gate.clear()
    running = submit_each(gatherer, [2])
    await settle()
    waiting = submit_each(gatherer, [3, 4, 5])

    with pytest.raises(Overloaded):
        gatherer.submit(6, deadline=clock.now + 5)
    patient = gatherer.submit(7, deadline=clock.now + 60)

    store.gate.set()
    assert await asyncio.gather(*running, *waiting, patient) == [20, 30, 40, 50, 70]


async def test_a_caller_without_others_before_it_is_never_refused_for_its_deadline(
    gatherer: Gatherer[int, int], store: Store, clock: Clock
) -> None:
    store.gate.clear()
    slow = submit_each(gatherer, [1])
    await settle()
    clock.now += 10
    store.gate.set()
    await asyncio.gather(*slow)

    assert await gatherer.submit(2, deadline=clock.now + 1) == 20


async def test_an_item_whose_deadline_passed_in_the_queue_is_dropped_before_work(
    gatherer: Gatherer[int, int], store: Store, clock: Clock
) -> None:
    store.gate.clear()
    running = submit_each(gatherer, [1])
    await settle()
    late = gatherer.submit(2, deadline=clock.now + 1)
    timely = gatherer.submit(3, deadline=clock.now + 5)

    clock.now += 2
    store.gate.set()
    await asyncio.gather(*running, timely)

    with pytest.raises(TooLate):
        await late
    assert store.attempts == [[1], [3]]


async def test_an_item_whose_caller_left_is_dropped_before_work(gatherer: Gatherer[int, int], store: Store) -> None:
    store.gate.clear()
    running = submit_each(gatherer, [1])
    await settle()
    gone, stays = submit_each(gatherer, [2, 3])
    await settle()

    gone.cancel()
    store.gate.set()
    await asyncio.gather(*running, stays)

    assert store.attempts == [[1], [3]]


async def test_a_caller_who_leaves_during_the_flush_does_not_disturb_the_others(
    gatherer: Gatherer[int, int], store: Store
) -> None:
    store.gate.clear()
    gone, stays = submit_each(gatherer, [1, 2])
    await settle()

    gone.cancel()
    await settle()
    store.gate.set()

    assert await stays == 20
    assert store.sets == [[1, 2]]


async def test_a_poison_item_fails_alone(store: Store, clock: Clock) -> None:
    gatherer = build(store, clock, Limits(set_max=64))
    store.poison = {13, 40}

    results = await gatherer.submit_all(range(64), deadline=None)

    assert {index for index, result in enumerate(results) if isinstance(result, Poisoned)} == {13, 40}
    assert [result for result in results if not isinstance(result, Poisoned)] == [
        item * 10 for item in range(64) if item not in store.poison
    ]
    assert [item for one in store.sets for item in one] == [item for item in range(64) if item not in store.poison]


async def test_an_unknown_commit_is_everybodys_answer_and_nothing_is_run_again(
    gatherer: Gatherer[int, int], store: Store
) -> None:
    store.error = CommitUnknown("the connection broke during COMMIT")

    results = await gatherer.submit_all([1, 2, 3], deadline=None)

    assert [type(result) for result in results] == [CommitUnknown] * 3
    assert store.attempts == [[1, 2, 3]]


async def test_the_next_set_goes_on_after_a_failed_one(gatherer: Gatherer[int, int], store: Store) -> None:
    store.error = CommitUnknown("the connection broke during COMMIT")
    await gatherer.submit_all([1], deadline=None)
    store.error = None

    assert await gatherer.submit(2, deadline=None) == 20


async def test_a_flush_that_miscounts_fails_everybody_and_is_not_run_again(clock: Clock) -> None:
    attempts: list[int] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        attempts.append(len(items))
        return items[1:]

    gatherer: Gatherer[int, int] = Gatherer(flush, concerns_all=lambda _: False, monotonic=clock.monotonic)

    results = await gatherer.submit_all([1, 2, 3], deadline=None)

    assert [type(result) for result in results] == [AssertionError] * 3
    assert attempts == [3]


async def test_a_cancelled_flush_is_not_run_again(clock: Clock) -> None:
    attempts: list[int] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        attempts.append(len(items))
        raise asyncio.CancelledError

    gatherer: Gatherer[int, int] = Gatherer(flush, concerns_all=lambda _: False, monotonic=clock.monotonic)

    results = await gatherer.submit_all([1, 2], deadline=None)

    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    assert attempts == [2]


async def test_close_answers_what_was_taken_and_refuses_the_rest(gatherer: Gatherer[int, int], store: Store) -> None:
    store.gate.clear()
    taken = submit_each(gatherer, [1, 2, 3, 4, 5, 6])
    await settle()

    closing = asyncio.create_task(gatherer.close())
    await settle()
    with pytest.raises(Overloaded):
        await gatherer.submit(7, deadline=None)
    store.gate.set()
    await closing

    assert [answer.result() for answer in taken] == [10, 20, 30, 40, 50, 60]
