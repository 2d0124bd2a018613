"""Timestamps and dates of the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TypeVar

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from api.conversion.times import date_of, moment_of, timestamp_of
from ledger.errors import TimeInvalid

NAIVE = datetime(2026, 11, 20, tzinfo=UTC).replace(tzinfo=None)
# Hypothesis wants naive bounds and adds the zone.
MOMENTS = st.datetimes(
    min_value=NAIVE.replace(year=1970, month=1, day=1),
    max_value=NAIVE.replace(year=2088),
    timezones=st.just(UTC),
)


Read = TypeVar("Read")


def outcome(read: Callable[[], Read]) -> Read | TimeInvalid:
    """What was read, or the refusal."""
    try:
        return read()
    except TimeInvalid as refusal:
        return refusal


@given(MOMENTS)
def test_a_moment_survives_the_wire(moment: datetime) -> None:
    assert moment_of(timestamp_of(moment), field="time") == moment


@given(MOMENTS, st.integers(min_value=-12, max_value=14))
def test_a_moment_of_any_zone_is_the_same_moment(moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))

    assert timestamp_of(elsewhere) == timestamp_of(moment)


def test_the_wire_s_form_is_google_s() -> None:
    moment = datetime(2026, 11, 20, 9, 30, 15, 123456, tzinfo=UTC)
    expected = Timestamp()
    expected.FromDatetime(moment)

    assert timestamp_of(moment) == expected


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(AssertionError):
        timestamp_of(NAIVE)


@given(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.integers(min_value=-(2**31), max_value=2**31 - 1),
)
def test_any_numbers_make_a_moment_or_a_refusal(seconds: int, nanos: int) -> None:
    stamp = Timestamp(seconds=seconds, nanos=nanos)

    read = outcome(lambda: moment_of(stamp, field="time"))

    if isinstance(read, TimeInvalid):
        assert read.field == "time"
    else:
        assert (read.tzinfo, timestamp_of(read).seconds) == (UTC, seconds)


def test_a_date_is_read() -> None:
    assert date_of("2026-11-21", field="business_date") == date(2026, 11, 21)


@given(st.text(max_size=12))
def test_any_text_makes_a_date_or_a_refusal(text: str) -> None:
    read = outcome(lambda: date_of(text, field="business_date"))

    if isinstance(read, TimeInvalid):
        assert read.field == "business_date"
    else:
        assert read.isoformat() == text
