"""How far a host's clock is from the database's, and from when on it is off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.clock import ClockReading, check_clock, in_words, read_clock
from ledger.database import transaction
from ledger.errors import ClockOff

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
BOUND = timedelta(seconds=5)
skews = st.timedeltas(timedelta(days=-400), timedelta(days=400))
trips = st.timedeltas(timedelta(0), timedelta(minutes=1))
bounds = st.timedeltas(timedelta(0), timedelta(days=1))


def reading(*, skew: timedelta, out: timedelta, back: timedelta) -> ClockReading:
    """What a host sees whose clock is ahead by `skew`, of an answer so long on its way out and back."""
    asked = NOON + skew
    return ClockReading(asked=asked, database=NOON + out, answered=asked + out + back)


@given(skews, trips, trips)
def test_the_skew_lies_within_the_doubt_however_long_the_two_ways_are(
    skew: timedelta, out: timedelta, back: timedelta
) -> None:
    read = reading(skew=skew, out=out, back=back)

    assert abs(read.ahead - skew) <= read.doubt + timedelta(microseconds=1)


@given(skews, trips, trips, bounds)
def test_a_clock_is_never_called_off_that_is_within_the_bound(
    skew: timedelta, out: timedelta, back: timedelta, more: timedelta
) -> None:
    read = reading(skew=skew, out=out, back=back)

    assert not read.is_off(bound=abs(skew) + more + timedelta(microseconds=2))


@given(skews, trips, trips, bounds)
def test_a_clock_is_called_off_that_is_further_off_than_the_bound_and_the_doubt(
    skew: timedelta, out: timedelta, back: timedelta, bound: timedelta
) -> None:
    read = reading(skew=skew, out=out, back=back)

    if abs(skew) > bound + 2 * read.doubt + timedelta(microseconds=2):
        assert read.is_off(bound=bound)


def test_a_clock_that_was_set_back_while_we_asked_gives_no_more_certainty() -> None:
    read = ClockReading(asked=NOON, database=NOON, answered=NOON - timedelta(minutes=10))

    assert (read.ahead, read.doubt) == (timedelta(minutes=-5), timedelta(minutes=5))
    assert not read.is_off(bound=BOUND)


@pytest.mark.parametrize(("seconds", "words"), [(0.25, "0.250 s ahead"), (-600, "600.000 s behind")])
def test_the_skew_in_words_says_its_direction(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


async def test_the_clock_of_the_databases_own_host_is_right(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await check_clock(connection, now=lambda: datetime.now(UTC), bound=BOUND)
        read = await read_clock(connection, now=lambda: datetime.now(UTC))

    assert abs(read.ahead) <= read.doubt


@pytest.mark.parametrize(("minutes", "direction"), [(10, "ahead"), (-10, "behind")])
async def test_a_host_ten_minutes_off_is_refused(engine: AsyncEngine, minutes: int, direction: str) -> None:
    skew = timedelta(minutes=minutes)

    async with transaction(engine) as connection:
        with pytest.raises(ClockOff, match=rf"\d+\.\d+ s {direction} of the database's.* set both by NTP") as caught:
            await check_clock(connection, now=lambda: datetime.now(UTC) + skew, bound=BOUND)

    assert round(float(caught.value.facts["ahead_seconds"]) / 60) == minutes
