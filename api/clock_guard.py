"""Keeps a worker from claiming while its host's clock is off. Looks each minute, and at once after a jump.

Other hosts go on meanwhile; what this one does not claim stays in the queues for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.clock import ClockReading, read_clock
from ledger.database import transaction

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 60.0
# Our clock moved otherwise than time did: somebody set it, or the machine stood still.
JUMP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at the clocks: when it was, by both of our own, and what it showed."""

    wall: datetime
    monotonic: float
    is_off: bool


class ClockGuard:
    """Shared by the loops of one worker."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        bound: timedelta,
    ) -> None:
        self._engine = engine
        self._now = now
        self._monotonic = monotonic
        self._bound = bound
        self._last: _Look | None = None

    async def claiming(self, step: Callable[[], Awaitable[int]]) -> int:
        """What the step did; nothing, and 0, while the clock is off."""
        return 0 if await self.is_off() else await step()

    async def is_off(self) -> bool:
        """Whether the clock was off when it was last looked at, which is now if that was long ago."""
        last = self._last
        if last is None or self._must_look_again(last):
            last = await self._look()
        return last.is_off

    def _must_look_again(self, last: _Look) -> bool:
        ran = self._monotonic() - last.monotonic
        jumped = abs((self._now() - last.wall).total_seconds() - ran)
        return ran >= LOOK_EVERY_SECONDS or jumped >= JUMP_SECONDS

    async def _look(self) -> _Look:
        """Several loops may look at once, which costs a question each and tells the change once."""
        async with transaction(self._engine) as connection:
            reading = await read_clock(connection, now=self._now)
        before, look = self._last, _Look(self._now(), self._monotonic(), reading.is_off(bound=self._bound))
        self._last = look
        if look.is_off != (before is not None and before.is_off):
            self._tell(reading, is_off=look.is_off)
        return look

    def _tell(self, reading: ClockReading, *, is_off: bool) -> None:
        ahead, bound = round(reading.ahead.total_seconds(), 3), self._bound.total_seconds()
        if is_off:
            log.error("clock.off", ahead_seconds=ahead, allowed_seconds=bound)
        else:
            log.info("clock.corrected", ahead_seconds=ahead, allowed_seconds=bound)
