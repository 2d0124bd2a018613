"""Virtual time: it stands still until the history moves it. Each process may see it a little off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 9, 1, 5, 0, tzinfo=UTC)


class Clock:
    """The true time of a history."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        """The true time."""
        return self.moment

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return (self.moment - START).total_seconds()

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.moment += timedelta(seconds=max(seconds, 0.0))


class SkewedClock:
    """A process's own wall clock: the true one, off by some seconds that may change at a jump."""

    def __init__(self, clock: Clock, *, skew_seconds: float = 0.0) -> None:
        self._clock = clock
        self.skew = timedelta(seconds=skew_seconds)

    def now(self) -> datetime:
        """What this process takes for the time."""
        return self._clock.now() + self.skew

    def monotonic(self) -> float:
        """Never jumps."""
        return self._clock.monotonic()
