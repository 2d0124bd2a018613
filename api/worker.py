"""The worker role: carries instructions out, judges callbacks, and calls silence unknown. One step at a time, for ever.

Nothing here depends on being woken: a step that finds work repeats at once, an idle worker rests a moment. An error of
one step is logged and the step is tried again; the work itself stays in its queue. While the host's clock is off,
nothing is claimed and no silence is called; what arrives is judged, for evidence does not depend on our clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from api.failures import log_failure
from api.wiring import WorkerApplication

log = structlog.get_logger(__name__)

DISPATCH_LOOPS = 4
JUDGED_PER_STEP_MAX = 256
_ERROR_REST_SECONDS = 1.0
_SILENCE_REST_SECONDS = 1.0
_BALANCE_REST_SECONDS = 5.0
_WAITING_REST_SECONDS = 5.0


class Worker:
    """The three loops of the worker role over one application."""

    def __init__(self, application: WorkerApplication, *, public_url: str) -> None:
        self._application = application
        self._dispatcher = application.dispatcher(public_url=public_url)
        self._inbound = application.inbound()
        self._balance_watch = application.balance_watch(public_url=public_url)
        self._silence_watch = application.silence_watch()
        self._waiting_watch = application.waiting_watch()
        self._deliverer = application.deliverer()
        self._clock = application.clock_guard()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Works until stop() is called; the step under way is finished first, so that no call's answer is dropped."""
        poll = self._application.settings.worker_poll_seconds
        claiming = self._clock.claiming
        watches = [self._watch_balances] if self._application.settings.balance_query_seconds else []
        await asyncio.gather(
            *(self._loop("balances", watch, _BALANCE_REST_SECONDS) for watch in watches),
            # Side by side, so that a call that hangs delays no other batch.
            *(self._loop("dispatch", partial(claiming, self._dispatcher.step), poll) for _ in range(DISPATCH_LOOPS)),
            self._loop("judge", partial(self._inbound.step, limit=JUDGED_PER_STEP_MAX), poll),
            self._loop("webhooks", partial(claiming, self._deliverer.step), poll),
            self._loop("waiting", partial(claiming, self._waiting_watch.step), max(poll, _WAITING_REST_SECONDS)),
            self._loop("silence", partial(claiming, self._silence_watch.step), max(poll, _SILENCE_REST_SECONDS)),
        )
        await self._deliverer.close()

    async def _watch_balances(self) -> int:
        """Asks, and then rests whatever was asked: a rail that never answers is not asked in a circle."""
        await self._balance_watch.step()
        return 0

    def stop(self) -> None:
        """Asks the loops to end."""
        self._stopping.set()

    async def _loop(self, name: str, step: Callable[[], Awaitable[int]], rest_seconds: float) -> None:
        while not self._stopping.is_set():
            try:
                rest = 0.0 if await step() else rest_seconds
            except Exception as error:  # noqa: BLE001 -- the process edge: the work is still in its queue
                log_failure("worker.step_failed", error, step=name)
                rest = _ERROR_REST_SECONDS
            if rest:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), rest)
