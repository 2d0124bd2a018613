"""One token among several processes: a store in memory between two caches stands for what they share."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from adapters.transport import Secret, SharedToken, TokenCache, TokenGrant, TokenStore, TokenUnavailable
from ledger.errors import DatabaseUnavailable

START = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)


class Clock:
    """Seconds that pass when told to, on the wall and in the process alike."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


class MemoryStore:
    """What the processes share; counts its uses and fails when told to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self.shared: SharedToken | None = None
        self.loads = 0
        self.broken = False

    def lock(self) -> AbstractAsyncContextManager[object]:
        return self._lock

    def now(self) -> datetime:
        return self._clock.now()

    async def load(self) -> SharedToken | None:
        assert self._lock.locked()
        self.loads += 1
        await asyncio.sleep(0)
        if self.broken:
            raise DatabaseUnavailable("the database cannot be reached")
        return self.shared

    async def save(self, shared: SharedToken) -> None:
        assert self._lock.locked()
        await asyncio.sleep(0)
        self.shared = shared


class Provider:
    """Grants numbered tokens, each of which ends the one before."""

    def __init__(self) -> None:
        self.count = 0
        self.refusing = False

    @property
    def good(self) -> Secret:
        return Secret(f"token-{self.count}")

    async def grant(self) -> TokenGrant | TokenUnavailable:
        await asyncio.sleep(0)
        if self.refusing:
            return TokenUnavailable("refused")
        self.count += 1
        return TokenGrant(self.good, 3_599)


class World:
    """A provider, a store, and two processes that use them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.provider = Provider()
        self.store = MemoryStore(self.clock)
        self.caches = [TokenCache(self.provider.grant, monotonic=self.clock, store=self.store) for _ in range(2)]

    async def call(self, cache: TokenCache) -> int:
        """Makes one call as a rail does, with one repeat; returns how often it was refused."""
        for refusals in range(2):
            token = await cache.current()
            assert isinstance(token, Secret)
            await asyncio.sleep(0)
            if token == self.provider.good:
                return refusals
            cache.forget(token)
        return 2

    async def call_from_all(self) -> list[int]:
        """64 calls at once from each process."""
        return await asyncio.gather(*(self.call(cache) for cache in self.caches for _ in range(64)))


@pytest.fixture
def world() -> World:
    return World()


def test_a_store_in_memory_is_a_token_store(world: World) -> None:
    store: TokenStore = world.store

    assert store.now() == START


async def test_callers_of_two_processes_share_one_refresh(world: World) -> None:
    refusals = await world.call_from_all()

    assert set(refusals) == {0}
    assert world.provider.count == 1


async def test_each_end_of_a_token_costs_one_refresh_among_all(world: World) -> None:
    for expected in range(1, 6):
        refusals = await world.call_from_all()

        assert set(refusals) == {0}
        assert world.provider.count == expected
        world.clock.seconds += 3_539.0


async def test_a_refused_token_costs_one_refresh_among_all(world: World) -> None:
    await world.call_from_all()
    # Somebody outside had a token granted, which ended ours.
    world.provider.count += 1

    refusals = await world.call_from_all()

    assert world.provider.count == 3
    assert max(refusals) == 1


async def test_a_process_that_starts_takes_the_token_that_is_there(world: World) -> None:
    first, second = world.caches
    await world.call(first)

    assert await second.current() == world.provider.good
    assert world.provider.count == 1


async def test_a_token_taken_from_the_store_ends_when_it_ends_for_the_others(world: World) -> None:
    first, second = world.caches
    await world.call(first)
    world.clock.seconds += 3_000.0
    await world.call(second)
    world.clock.seconds += 538.0

    assert await second.current() == Secret("token-1")
    world.clock.seconds += 1.0
    assert await second.current() == Secret("token-2")


async def test_a_refused_token_is_not_taken_from_the_store_again(world: World) -> None:
    first, second = world.caches
    await world.call(first)
    await world.call(second)
    first.forget(Secret("token-1"))
    second.forget(Secret("token-1"))

    assert await first.current() == Secret("token-2")
    assert await second.current() == Secret("token-2")
    assert world.provider.count == 2


async def test_the_store_is_used_around_a_refresh_only(world: World) -> None:
    for _ in range(3):
        await world.call(world.caches[0])

    assert world.store.loads == 1


async def test_a_refusal_is_not_saved_and_the_next_caller_asks_again(world: World) -> None:
    world.provider.refusing = True

    assert await world.caches[0].current() == TokenUnavailable("refused")

    assert world.store.shared is None
    world.provider.refusing = False
    assert await world.caches[1].current() == Secret("token-1")


async def test_a_store_that_fails_gives_no_token_and_grants_none_behind_its_back(world: World) -> None:
    world.store.broken = True

    answer = await world.caches[0].current()

    assert answer == TokenUnavailable("the token store failed: the database cannot be reached")
    assert world.provider.count == 0
    world.store.broken = False
    assert await world.caches[0].current() == Secret("token-1")


async def test_what_is_shared_shows_no_token(world: World) -> None:
    await world.call(world.caches[0])

    assert world.store.shared == SharedToken(Secret("token-1"), START + timedelta(seconds=3_539))
    assert "token-1" not in repr(world.store.shared)
