"""The worker role: loops that carry payouts to their end unasked, survive a failing step, and stop when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import LiteralString

import pytest
import structlog
from pydantic import SecretStr

from adapters.sandbox.magic import magic_msisdn
from api.wiring import WorkerApplication
from api.worker import Worker
from ledger.database import connect, session_transaction
from tests.fix_database import Database
from tests.journeys.rig import RESULT_DEADLINE_SECONDS, Rig
from tests.ledger.payouts.shop import UNKNOWN


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


@asynccontextmanager
async def working(rig: Rig, application: WorkerApplication | None = None) -> AsyncIterator[Worker]:
    """A worker at work, told to stop and waited for at the end."""
    worker = Worker(application or rig.application, public_url=rig.public_url)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(20):
            await running


async def until_states(rig: Rig, ids: list[int], *, are: set[str]) -> None:
    """Returns once the payouts are in these states. Fails after twenty seconds."""

    async def there() -> bool:
        return {await rig.state(one) for one in ids} == are

    await until_so(there)


async def until_so(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it is so. Fails after twenty seconds."""
    async with asyncio.timeout(20):
        while not await is_so():  # noqa: ASYNC110  (the worker sets no Event)
            await asyncio.sleep(0.02)


async def test_a_worker_carries_payouts_to_their_end(rig: Rig) -> None:
    ids = await rig.request_many(5)

    async with working(rig):
        await until_states(rig, ids, are={"SETTLED"})
        later = await rig.request(msisdn=magic_msisdn("140"))
        await until_states(rig, [later], are={"RELEASED"})

    assert [len(await rig.seen(one)) for one in [*ids, later]] == [1] * 6


async def test_several_workers_share_the_work_and_send_nothing_twice(rig: Rig) -> None:
    ids = await rig.request_many(40)

    async with working(rig), working(rig), working(rig):
        await until_states(rig, ids, are={"SETTLED"})

    assert [len(await rig.seen(one)) for one in ids] == [1] * 40


async def test_a_submitted_payout_without_news_becomes_unknown_at_its_deadline_and_not_before(rig: Rig) -> None:
    silent = await rig.request(msisdn=magic_msisdn("202"))
    await rig.work_until_quiet()
    watch = rig.application.silence_watch()

    rig.clock.advance(seconds=RESULT_DEADLINE_SECONDS)
    early = await watch.step(), await rig.state(silent)
    rig.clock.advance(seconds=1)
    late = await watch.step(), await rig.state(silent)
    again = await watch.step()

    assert (early, late, again) == ((0, "SUBMITTED"), (1, "UNKNOWN"), 0)
    assert (await rig.events(silent))[-1].detail == "no result within 900 seconds"
    assert await rig.balance(UNKNOWN) == 150_000


async def test_silence_is_nobodys_but_the_submitted_payouts(rig: Rig) -> None:
    ids = [await rig.request(msisdn=magic_msisdn(suffix)) for suffix in ("000", "140", "303", "309")]
    await rig.work_until_quiet()
    before = [await rig.payout(one) for one in ids]

    rig.clock.advance(seconds=10 * RESULT_DEADLINE_SECONDS)
    called = await rig.application.silence_watch().step()

    assert called == 0
    assert [await rig.payout(one) for one in ids] == before


async def test_several_workers_call_the_same_silence_once(rig: Rig) -> None:
    await rig.script("no-callback-not-paid", count=6)
    ids = await rig.request_many(6)
    await rig.work_until_quiet()
    rig.clock.advance(seconds=RESULT_DEADLINE_SECONDS + 1)

    watches = [rig.application.silence_watch() for _ in range(4)]
    called = await asyncio.gather(*(one.step() for one in watches))

    assert sum(called) == 6
    assert [(await rig.entries(one)).count("payout.unknown") for one in ids] == [1] * 6


async def test_a_result_after_the_deadline_still_settles(rig: Rig) -> None:
    payout_id = await rig.request()
    rig.rail.after.shut()
    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.after.reached.wait()
    rig.rail.after.open()
    await step
    await rig.sandbox.idle()
    rig.clock.advance(seconds=RESULT_DEADLINE_SECONDS + 1)
    await rig.application.silence_watch().step()
    given_up = await rig.state(payout_id)

    await rig.inbound.step(limit=10)

    assert (given_up, await rig.state(payout_id)) == ("UNKNOWN", "SETTLED")


async def test_a_call_that_hangs_delays_no_other(rig: Rig) -> None:
    hanging = await rig.request()
    rig.rail.before.shut()

    async with working(rig):
        await rig.rail.before.reached.wait()
        free = rig.rail.before
        rig.rail.before = type(free)()
        others = await rig.request_many(3)
        await until_states(rig, others, are={"SETTLED"})
        meanwhile = await rig.state(hanging)
        free.open()
        await until_states(rig, [hanging], are={"SETTLED"})

    assert meanwhile == "SUBMITTING"


async def test_stopping_waits_for_the_answer_of_a_call_under_way(rig: Rig) -> None:
    payout_id = await rig.request(msisdn=magic_msisdn("202"))
    rig.rail.after.shut()
    worker = Worker(rig.application, public_url=rig.public_url)
    running = asyncio.create_task(worker.run())
    await rig.rail.after.reached.wait()

    worker.stop()
    await asyncio.sleep(0.05)
    during = running.done(), await rig.state(payout_id)
    rig.rail.after.open()
    await running

    assert during == (False, "SUBMITTING")
    assert await rig.state(payout_id) == "SUBMITTED"


async def test_a_step_that_fails_is_logged_and_tried_again(rig: Rig, rig_database: Database) -> None:
    """The database is away when the worker starts, and comes back."""
    payout_id = await rig.request()
    wrong = connect(rig_database.app.set(database="nowhere"), pool_size=16, application_name="tests")
    away = replace(rig.application, profile=replace(rig.application.profile, engine=wrong))

    with structlog.testing.capture_logs() as events:
        async with working(rig, away):
            await until(lambda: {"dispatch", "judge", "silence"} <= failed_steps(events))
            untouched = await rig.state(payout_id)
    async with working(rig):
        await until_states(rig, [payout_id], are={"SETTLED"})
    await wrong.dispose()

    assert untouched == "RESERVED"


def failed_steps(events: list[structlog.typing.EventDict]) -> set[str]:
    return {event["step"] for event in events if event["event"] == "worker.step_failed"}


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that sets no Event. Fails after twenty seconds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  (see above)
            await asyncio.sleep(0.02)


async def test_a_worker_with_the_key_seals_what_was_posted(rig: Rig) -> None:
    own = {"seal_key": SecretStr(bytes(32).hex()), "seal_seconds": 0.02}
    application = replace(rig.application, settings=rig.application.settings.model_copy(update=own))
    payout_id = await rig.request()
    query: LiteralString = """
        SELECT count(*) FROM journal_entries AS e WHERE ledger_id = %s AND EXISTS (
            SELECT FROM entry_seals AS s WHERE s.ledger_id = e.ledger_id AND s.entry_id = e.id)::int = %s"""

    async def counts() -> list[int]:
        async with session_transaction(application.engine) as session:
            rows = [await (await session.execute(query, (rig.ledger.id, is_sealed))).fetchone() for is_sealed in (0, 1)]
        return [int(row[0]) for row in rows if row is not None]

    async def all_sealed() -> bool:
        return (await counts())[0] == 0

    async with working(rig, application):
        await until_states(rig, [payout_id], are={"SETTLED"})
        await until_so(all_sealed)

    assert (await counts())[1] >= 2
