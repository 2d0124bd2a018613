"""Whether this host's clock agrees with the database's: one question, and a pure rule about the answer.

Leases, deadlines and rests are moments that one host wrote and another compares with its own clock. A host whose clock
is off would take what is claimed, or call silence what has hardly begun; so it must not claim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import ClockOff

_QUESTION = text("SELECT clock_timestamp()")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """What our clock showed before the question and after the answer, and the database's in between. All UTC."""

    asked: datetime
    database: datetime
    answered: datetime

    @property
    def ahead(self) -> timedelta:
        """Our clock minus the database's, as if the answer had been made halfway; negative where ours is behind."""
        return self.asked + (self.answered - self.asked) / 2 - self.database

    @property
    def doubt(self) -> timedelta:
        """By how much `ahead` may be wrong: half the round trip."""
        return abs(self.answered - self.asked) / 2

    def is_off(self, *, bound: timedelta) -> bool:
        """Whether the clocks are further apart than `bound`, beyond doubt: an answer that took long proves little."""
        return abs(self.ahead) - self.doubt > bound


async def read_clock(connection: AsyncConnection, *, now: Callable[[], datetime]) -> ClockReading:
    """Asks the database for the time."""
    asked = now()
    database: datetime = (await connection.execute(_QUESTION)).scalar_one()
    return ClockReading(asked=asked, database=database, answered=now())


async def check_clock(connection: AsyncConnection, *, now: Callable[[], datetime], bound: timedelta) -> None:
    """Raises ClockOff, saying by how much, where this host's clock is further from the database's than `bound`."""
    reading = await read_clock(connection, now=now)
    if reading.is_off(bound=bound):
        raise ClockOff(
            f"the clock of this host is {in_words(reading.ahead)} of the database's, and {bound.total_seconds():g} s "
            "are allowed: set both by NTP, then start again",
            ahead_seconds=f"{reading.ahead.total_seconds():.3f}",
        )


def in_words(ahead: timedelta) -> str:
    """As people say it: 0.250 s ahead, 600.000 s behind."""
    seconds = ahead.total_seconds()
    return f"{abs(seconds):.3f} s {'behind' if seconds < 0 else 'ahead'}"
