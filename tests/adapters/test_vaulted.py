"""The token that processes share on PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.transport import Secret, SharedToken, TokenCache, TokenGrant, TokenStore, TokenUnavailable
from adapters.vaulted import SharedTokens
from ledger.database import connect, transaction
from ledger.errors import DatabaseUnavailable, LedgerError
from ledger.sealing import RotatedSealer, Sealer
from ledger.vault_keys import Mark, Opener, PrivateKey
from tests.fix_database import Database
from tests.ledger.payouts.shop import SECRET

SEALER = Sealer(bytes(32), purpose="provider tokens")
KEY, OTHER, MARK = PrivateKey(bytes(range(1, 33))), PrivateKey(bytes(32)), Mark(SECRET)
START = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)
TOKEN = "canary-access-token-0123456789"
_HOLDERS = """
SELECT a.pid, a.state, a.xact_start FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
"""


class Clock:
    """Seconds that pass when told to, on the wall and in the process alike."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


class Provider:
    """Grants numbered tokens after a moment, and counts how many asked at once."""

    def __init__(self) -> None:
        self.count = 0
        self.asking = 0
        self.asking_max = 0

    async def grant(self) -> TokenGrant | TokenUnavailable:
        self.asking += 1
        self.asking_max = max(self.asking, self.asking_max)
        await asyncio.sleep(0.02)
        self.asking -= 1
        self.count += 1
        return TokenGrant(Secret(f"token-{self.count}"), 3_600)


def store(engine: AsyncEngine, app: str, clock: Clock, *, sealer: Sealer | RotatedSealer = SEALER) -> SharedTokens:
    """What one process has of the shared token."""
    return SharedTokens(engine=engine, app=app, sealer=sealer, now=clock.now)


async def holders(engine: AsyncEngine) -> list[tuple[int, str, datetime | None]]:
    """The sessions that hold an advisory lock."""
    async with transaction(engine) as connection:
        return [(pid, state, started) for pid, state, started in await connection.execute(text(_HOLDERS))]


async def kill(engine: AsyncEngine, database: Database) -> None:
    """Ends the sessions that hold an advisory lock."""
    admin = connect(database.admin, pool_size=1, application_name="admin")
    async with transaction(admin) as connection:
        for pid, _, _ in await holders(engine):
            await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    await admin.dispose()


async def row_of(engine: AsyncEngine, app: str) -> str:
    """What the table shows of the app."""
    query = text("SELECT provider_tokens::text FROM provider_tokens WHERE app = :app")
    async with transaction(engine) as connection:
        return str((await connection.execute(query, {"app": app})).scalar_one())


@pytest.fixture
async def engines(fresh_database: Database) -> AsyncIterator[list[AsyncEngine]]:
    """Two processes' engines on one database."""
    opened = [connect(fresh_database.app, pool_size=3, application_name=f"tests {number}") for number in range(2)]
    yield opened
    for engine in opened:
        await engine.dispose()


@pytest.fixture
async def app(engines: list[AsyncEngine]) -> str:
    """An app of the test's own."""
    return f"daraja/{secrets.token_hex(4)}"


async def test_thirty_two_callers_in_each_of_two_processes_cost_one_token_per_expiry(
    engines: list[AsyncEngine], app: str
) -> None:
    clock, provider = Clock(), Provider()
    caches = [TokenCache(provider.grant, monotonic=clock, store=store(engine, app, clock)) for engine in engines]

    for expected in range(1, 5):
        tokens = await asyncio.gather(*(cache.current() for cache in caches for _ in range(32)))

        assert set(tokens) == {Secret(f"token-{expected}")}
        assert provider.count == expected
        clock.seconds += 3_540.0
    assert provider.asking_max == 1


async def test_a_saved_token_is_loaded_as_it_was_and_sealed_at_rest(engines: list[AsyncEngine], app: str) -> None:
    first, second = (store(engine, app, Clock()) for engine in engines)
    shared: TokenStore = first
    before = await shared.load()

    await shared.save(SharedToken(Secret("an older one"), START))
    await shared.save(SharedToken(Secret(TOKEN), START + timedelta(hours=1)))

    assert before is None
    assert await second.load() == SharedToken(Secret(TOKEN), START + timedelta(hours=1))
    row = await row_of(engines[0], app)
    assert TOKEN not in row
    assert TOKEN.encode().hex() not in row


async def test_a_token_that_another_secret_sealed_or_another_app_had_is_none(
    engines: list[AsyncEngine], app: str
) -> None:
    await store(engines[0], app, Clock()).save(SharedToken(Secret(TOKEN), START + timedelta(hours=1)))
    copy = text("INSERT INTO provider_tokens SELECT :copy, sealed, usable_until FROM provider_tokens WHERE app = :app")
    async with transaction(engines[0]) as connection:
        await connection.execute(copy, {"app": app, "copy": f"{app}-copy"})

    other = Sealer(bytes(range(32)), purpose="provider tokens")

    assert await store(engines[1], app, Clock(), sealer=other).load() is None
    assert await store(engines[1], f"{app}-copy", Clock()).load() is None


async def test_a_token_is_shared_while_the_workers_key_is_rotated_and_is_no_writers(
    engines: list[AsyncEngine], app: str
) -> None:
    old_worker = store(engines[0], app, Clock(), sealer=Opener([KEY], MARK).sealer())
    new_worker = store(engines[1], app, Clock(), sealer=Opener([OTHER, KEY], MARK).sealer())
    writer = store(engines[0], app, Clock(), sealer=Sealer(SECRET, purpose="provider tokens"))
    shared = SharedToken(Secret(TOKEN), START + timedelta(hours=1))

    await old_worker.save(shared)
    of_the_old = [await one.load() for one in (old_worker, new_worker, writer)]
    await new_worker.save(shared)
    of_the_new = [await one.load() for one in (old_worker, new_worker, writer)]

    assert of_the_old == [shared, shared, None]
    assert of_the_new == [None, shared, None]


async def test_one_process_holds_the_lock_and_no_transaction(engines: list[AsyncEngine], app: str) -> None:
    first, second = (store(engine, app, Clock()) for engine in engines)
    order: list[str] = []

    async def later() -> None:
        async with second.lock():
            order.append("second")

    async with first.lock():
        waiting = asyncio.create_task(later())
        ((_, state, started),) = await holders(engines[0])
        await asyncio.sleep(0.05)
        order.append("first")
    await waiting

    assert order == ["first", "second"]
    assert (state, started) == ("idle", None)
    assert await holders(engines[0]) == []


async def test_another_app_has_a_lock_of_its_own(engines: list[AsyncEngine], app: str) -> None:
    first, second = store(engines[0], app, Clock()), store(engines[1], f"{app}-other", Clock())

    async with asyncio.timeout(5), first.lock(), second.lock():
        held = await holders(engines[0])

    assert len(held) == 2


async def test_a_holder_whose_connection_dies_lets_go_and_keeps_what_it_was_granted(
    engines: list[AsyncEngine], fresh_database: Database, app: str
) -> None:
    clock, provider = Clock(), Provider()
    first, second = (store(engine, app, clock) for engine in engines)

    async with first.lock():
        await kill(engines[1], fresh_database)
        async with asyncio.timeout(5), second.lock():
            inside = await TokenCache(provider.grant, monotonic=clock).current()
        await first.save(SharedToken(Secret(TOKEN), START))

    assert inside == Secret("token-1")
    assert await second.load() == SharedToken(Secret(TOKEN), START)
    async with asyncio.timeout(5), first.lock():
        pass


async def test_whoever_is_cut_off_while_it_waits_or_holds_leaves_no_lock_behind(
    engines: list[AsyncEngine], app: str
) -> None:
    first, second = (store(engine, app, Clock()) for engine in engines)
    held = asyncio.Event()

    async def hold(mine: SharedTokens) -> None:
        async with mine.lock():
            held.set()
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold(first))
    await held.wait()
    waiting = asyncio.create_task(hold(second))
    await asyncio.sleep(0.05)
    for task in (waiting, holding):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async with asyncio.timeout(5):
        for one in (first, second):
            async with one.lock():
                pass
    assert await holders(engines[0]) == []


async def test_a_lock_held_longer_than_a_session_waits_is_waited_for_all_the_same(
    engines: list[AsyncEngine], fresh_database: Database, app: str
) -> None:
    impatient = fresh_database.app.update_query_dict({"options": "-c lock_timeout=30ms"})
    async with AsyncExitStack() as stack:
        hurried = connect(impatient, pool_size=2, application_name="hurried")
        stack.push_async_callback(hurried.dispose)
        first, second = store(engines[0], app, Clock()), store(hurried, app, Clock())
        got_it = asyncio.Event()

        async def wait() -> None:
            async with second.lock():
                got_it.set()

        async with first.lock():
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.1)
        await waiting
        assert got_it.is_set()

        async with first.lock():
            with pytest.raises(LedgerError):
                await wait()
        async with asyncio.timeout(5), second.lock():
            pass


async def test_what_a_broken_database_raises_is_a_refusal_and_no_token_is_granted_behind_its_back(
    engines: list[AsyncEngine], app: str
) -> None:
    away = engines[0].url.set(host="127.0.0.1", port=1, query={})
    clock, provider, dead = Clock(), Provider(), connect(away, pool_size=1, application_name="away")
    mine = store(dead, app, clock)

    with pytest.raises(DatabaseUnavailable):
        await mine.load()
    with pytest.raises(DatabaseUnavailable) as caught:
        await mine.save(SharedToken(Secret(TOKEN), START))
    with pytest.raises(DatabaseUnavailable):
        async with mine.lock():
            pass
    answer = await TokenCache(provider.grant, monotonic=clock, store=mine).current()

    assert isinstance(answer, TokenUnavailable)
    assert provider.count == 0
    assert TOKEN not in repr([caught.value, caught.value.__cause__])
    await dead.dispose()
