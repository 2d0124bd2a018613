"""The worker role: carries instructions out, judges callbacks, and calls silence unknown. One step at a time, for ever.

Nothing here depends on being woken: a step that finds work repeats soon, an idle worker rests a moment. An error of one
step is logged and the step is tried again; the work itself stays in its queue. While the host's clock is off,
nothing is claimed and no silence is called; what arrives is judged, for evidence does not depend on our clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from adapters.recovery import Recovery
from api.alerting import open_alert_watch
from api.failures import log_failure
from api.proofs import proof_watch
from api.wiring import WorkerApplication
from ledger.webhooks.deliveries import LOOKED_AT_MAX

log = structlog.get_logger(__name__)

DISPATCH_LOOPS = 4
JUDGED_PER_STEP_MAX = 256
_ERROR_REST_SECONDS = 1.0
_GATHER_SECONDS = 0.01
_SILENCE_REST_SECONDS = 1.0
_BALANCE_REST_SECONDS = 5.0
_WAITING_REST_SECONDS = 5.0
_LOANS_REST_SECONDS = 60.0


class Worker:
    """The three loops of the worker role over one application."""

    def __init__(self, application: WorkerApplication, *, public_url: str) -> None:
        self._application = application
        self._dispatcher = application.dispatcher(public_url=public_url)
        self._prompter = application.prompter(public_url=public_url)
        self._returner = application.returner(public_url=public_url)
        self._checker = application.checker(public_url=public_url)
        self._texter = application.texter(public_url=public_url)
        self._inbound = application.inbound()
        self._balance_watch = application.balance_watch(public_url=public_url)
        self._silence_watch = application.silence_watch()
        self._recovery = application.recovery(public_url=public_url)
        self._waiting_watch = application.waiting_watch()
        self._loan_watch = application.loan_watch()
        self._promotion_watch = application.promotion_watch()
        self._proof_watch = proof_watch(application)
        self._deliverer = application.deliverer()
        self._alert_watch = open_alert_watch(
            application.settings,
            engine=application.engine,
            rules=application.webhook_rules,
            ids=application.ids,
            now=application.now,
        )
        self._clock = application.clock_guard()
        self._stopping = asyncio.Event()

    @property
    def recovery(self) -> Recovery:
        """What registers callback addresses, with the credentials that a worker has."""
        return self._recovery

    async def run(self) -> None:
        """Works until stop() is called; the step under way is finished first, so that no call's answer is dropped."""
        settings = self._application.settings
        poll = settings.worker_poll_seconds
        claiming = self._clock.claiming
        watches = [self._watch_balances] if settings.balance_query_seconds else []
        listings = [self._list_receipts] if settings.receipt_list_seconds else []
        proofs = [self._proof_watch] if self._proof_watch is not None else []
        await asyncio.gather(
            *(self._loop("balances", watch, _BALANCE_REST_SECONDS) for watch in watches),
            *(self._loop("receipts", listing, _BALANCE_REST_SECONDS) for listing in listings),
            *(self._loop("proof", partial(claiming, proof.step), settings.seal_seconds) for proof in proofs),
            # Side by side, so that a call that hangs delays no other batch.
            *(
                self._loop("dispatch", partial(claiming, self._dispatcher.step), poll, full=settings.worker_calls_max)
                for _ in range(DISPATCH_LOOPS)
            ),
            self._loop("prompts", partial(claiming, self._prompter.step), poll, full=settings.worker_calls_max),
            self._loop("returns", partial(claiming, self._returner.step), poll, full=settings.worker_calls_max),
            self._loop("questions", partial(claiming, self._checker.step), poll, full=settings.worker_calls_max),
            self._loop("messages", partial(claiming, self._texter.step), poll, full=settings.worker_calls_max),
            self._loop("judge", partial(self._inbound.step, limit=JUDGED_PER_STEP_MAX), poll, full=JUDGED_PER_STEP_MAX),
            self._loop("webhooks", partial(claiming, self._deliverer.step), poll, full=LOOKED_AT_MAX),
            self._loop("loans", partial(claiming, self._loan_watch.step), max(poll, _LOANS_REST_SECONDS)),
            self._loop("promotions", partial(claiming, self._promotion_watch.step), settings.promotion_look_seconds),
            self._loop("alerts", partial(claiming, self._watch_alerts), settings.alert_look_seconds),
            self._loop("waiting", partial(claiming, self._waiting_watch.step), max(poll, _WAITING_REST_SECONDS)),
            self._loop("silence", partial(claiming, self._silence_watch.step), max(poll, _SILENCE_REST_SECONDS)),
        )
        await self._deliverer.close()
        await self._alert_watch.close()

    async def _watch_balances(self) -> int:
        """Asks, and then rests whatever was asked: a rail that never answers is not asked in a circle."""
        await self._balance_watch.step()
        return 0

    async def _watch_alerts(self) -> int:
        """Looks, and then rests whatever was told."""
        await self._alert_watch.step()
        return 0

    async def _list_receipts(self) -> int:
        """Asks for what no callback told of, and then rests whatever came."""
        await self._recovery.step()
        return 0

    def stop(self) -> None:
        """Asks the loops to end."""
        self._stopping.set()

    async def _loop(self, name: str, step: Callable[[], Awaitable[int]], rest_seconds: float, *, full: int = 1) -> None:
        """Between steps a short rest, in which work gathers into sets; none after a step that was `full`, for more is
        there already; and longer and longer ones, up to `rest_seconds`, while there is nothing."""
        rest = rest_seconds
        while not self._stopping.is_set():
            try:
                done = await step()
                gathering = _GATHER_SECONDS if done < full else 0.0
                rest = gathering if done else min(max(2 * rest, _GATHER_SECONDS), rest_seconds)
            except Exception as error:  # noqa: BLE001 -- the process edge: the work is still in its queue
                log_failure("worker.step_failed", error, step=name)
                rest = _ERROR_REST_SECONDS
            if rest:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), rest)
