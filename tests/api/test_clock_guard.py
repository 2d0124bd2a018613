"""A host whose clock is off does not start, claims nothing, says so once, and goes on when the clock is put right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import structlog
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import EventDict

from adapters.sandbox.magic import magic_msisdn
from api.clock_guard import LOOK_EVERY_SECONDS, ClockGuard
from api.commands.status import print_clock
from api.metrics import Metrics
from api.settings import Settings
from api.wiring import Application, open_application
from api.worker import Worker
from ledger.clock import ClockReading
from ledger.errors import ClockOff
from tests.fix_database import Database
from tests.journeys.rig import RESULT_DEADLINE_SECONDS, Rig, open_rig
from tests.ledger.payouts.shop import SECRET, Clock
from tests.webhooks.desk import Desk
from tests.webhooks.receiver import open_receiver

BOUND_SECONDS = 300.0
# Past every lease and the deadline of results.
OFF_SECONDS = RESULT_DEADLINE_SECONDS + 600


class HostClock:
    """The clocks of a host: `ahead` of the database's, and so many seconds later than they are."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.later_seconds = 0.0

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.ahead + timedelta(seconds=self.later_seconds)

    def monotonic(self) -> float:
        return time.monotonic() + self.later_seconds


@pytest.fixture
async def rig(fresh_engine: AsyncEngine) -> AsyncIterator[Rig]:
    """A shop whose clock begins at the present, on a database of its own."""
    async with open_rig(fresh_engine, clock=Clock(datetime.now(UTC))) as opened:
        yield opened


@asynccontextmanager
async def host_at_work(rig: Rig, *, bound_seconds: float = BOUND_SECONDS) -> AsyncIterator[list[EventDict]]:
    """A host's worker, and what it logs."""
    given = {"clock_skew_seconds_max": bound_seconds, "webhook_allow_loopback": True}
    application = replace(rig.application, settings=rig.application.settings.model_copy(update=given))
    worker = Worker(application, public_url=rig.public_url)
    with structlog.testing.capture_logs() as events:
        running = asyncio.create_task(worker.run())
        try:
            yield events
        finally:
            worker.stop()
            async with asyncio.timeout(20):
                await running


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that sets no Event. Fails after twenty seconds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  (see above)
            await asyncio.sleep(0.02)


async def until_state(rig: Rig, payout_id: int, state: str) -> None:
    """The same for a payout."""
    async with asyncio.timeout(20):
        while await rig.state(payout_id) != state:  # noqa: ASYNC110  (the worker sets no Event)
            await asyncio.sleep(0.02)


def told(events: list[EventDict]) -> list[str]:
    """What was logged about the clock."""
    return [event["event"] for event in events if event["event"].startswith("clock.")]


@pytest.mark.parametrize("direction", [1, -1], ids=["ahead", "behind"])
async def test_a_worker_whose_clock_is_off_claims_nothing_until_it_is_put_right(rig: Rig, direction: int) -> None:
    async with open_receiver() as receiver:
        await Desk(rig, rig.clock, egress=None, deliverer=None).endpoint(receiver.url)  # type: ignore[arg-type]  # unused
        settled, silent = await rig.request(), await rig.request(msisdn=magic_msisdn("202"))
        await rig.work_until_quiet()
        waiting = await rig.request()

        rig.clock.advance(seconds=direction * OFF_SECONDS)
        async with host_at_work(rig) as events:
            await until(lambda: bool(told(events)))
            await asyncio.sleep(0.2)
            states = [await rig.state(one) for one in (settled, silent, waiting)]
            connections, first = receiver.connections, told(events)
            rig.clock.advance(seconds=-direction * OFF_SECONDS)
            await until_state(rig, waiting, "SETTLED")
            await until(lambda: len(receiver.taken) == 2)

    assert (states, connections) == (["SETTLED", "SUBMITTED", "RESERVED"], 0)
    assert (first, told(events)) == (["clock.off"], ["clock.off", "clock.corrected"])
    assert await rig.state(silent) == "SUBMITTED"


async def test_what_arrives_is_judged_though_the_clock_is_off(rig: Rig) -> None:
    payout_id = await rig.request()
    await rig.dispatcher.step()
    await rig.sandbox.idle()

    rig.clock.advance(seconds=OFF_SECONDS)
    async with host_at_work(rig):
        await until_state(rig, payout_id, "SETTLED")


async def test_a_host_ten_minutes_ahead_takes_no_lease_of_another_for_over(rig: Rig) -> None:
    """Where nobody looks at the clock, the same call under way is given up for lost."""
    payout_id = await rig.request()
    rig.rail.before.shut()
    calling = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.before.reached.wait()
    rig.clock.advance(seconds=OFF_SECONDS)

    async with host_at_work(rig) as events:
        await until(lambda: bool(told(events)))
        await asyncio.sleep(0.2)
        guarded = await rig.state(payout_id)
    async with host_at_work(rig, bound_seconds=1e9):
        await until_state(rig, payout_id, "UNKNOWN")
    rig.rail.before.open()
    await calling
    await rig.work_until_quiet()

    assert guarded == "SUBMITTING"


async def test_a_clock_that_drifts_is_noticed_within_a_minute_and_one_that_jumps_at_once(engine: AsyncEngine) -> None:
    host = HostClock()
    guard = ClockGuard(engine, now=host.wall, monotonic=host.monotonic, bound=timedelta(seconds=5))
    right = await guard.is_off()

    host.later_seconds = LOOK_EVERY_SECONDS - 5  # as if both our clocks ran too fast
    early = await guard.is_off()
    host.later_seconds = LOOK_EVERY_SECONDS
    late = await guard.is_off()
    host.ahead = timedelta(seconds=-LOOK_EVERY_SECONDS)
    corrected = await guard.is_off()
    host.ahead += timedelta(hours=-1)
    jumped = await guard.is_off()

    assert (right, early, late, corrected, jumped) == (False, False, True, False, True)


async def test_the_change_is_told_once_each_way_with_how_far_it_is(engine: AsyncEngine) -> None:
    host = HostClock()
    guard = ClockGuard(engine, now=host.wall, monotonic=host.monotonic, bound=timedelta(seconds=5))

    with structlog.testing.capture_logs() as events:
        for minutes in (0, 10, 10, 11, 0, 0):
            host.ahead = timedelta(minutes=minutes)
            await guard.is_off()

    assert [(one["event"], one["log_level"], round(one["ahead_seconds"])) for one in events] == [
        ("clock.off", "error", 600),
        ("clock.corrected", "info", 0),
    ]


@pytest.mark.parametrize("minutes", [10, -10])
async def test_no_process_starts_on_a_host_whose_clock_is_off(
    database: Database, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    settings = Settings(
        database_url=SecretStr(database.app.render_as_string(hide_password=False)), secret=SecretStr(SECRET.hex())
    )
    async with open_application(settings, name="tests"):
        pass
    host = HostClock()
    host.ahead = timedelta(minutes=minutes)
    monkeypatch.setattr(Application, "now", staticmethod(host.wall))

    with pytest.raises(ClockOff, match="set both by NTP, then start again"):
        async with open_application(settings, name="tests"):
            pass
    async with open_application(settings.model_copy(update={"clock_skew_seconds_max": 700}), name="tests"):
        pass


async def test_the_metrics_show_how_far_this_host_is_ahead(engine: AsyncEngine) -> None:
    host = HostClock()
    host.ahead = timedelta(minutes=-10)

    text = (await Metrics().exposition(engine, now=host.wall)).decode()

    (line,) = [line for line in text.splitlines() if line.startswith("daftari_clock_ahead_seconds ")]
    assert round(float(line.split()[1])) == -600


def test_the_status_says_how_far_this_host_is_from_the_database() -> None:
    text, moment = StringIO(), datetime(2026, 9, 1, tzinfo=UTC)
    reading = ClockReading(asked=moment, database=moment - timedelta(seconds=2), answered=moment)

    print_clock(Console(file=text, width=200), reading, bound=timedelta(seconds=5))

    assert text.getvalue() == "The clock of this host is 2.000 s ahead of the database's; 5 s are allowed.\n"
