"""Times and dates on the wire: google.protobuf.Timestamp to an aware UTC datetime and back, ISO dates. Naive never."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.errors import TimeInvalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What an entry's id can tell apart; also far from where a time zone would push a date out of the calendar.
_SECONDS_END = int(datetime(2089, 1, 1, tzinfo=UTC).timestamp())
_FIRST_YEAR, _LAST_YEAR = 1970, 2088
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def moment_of(stamp: Timestamp, *, field: str) -> datetime:
    """The moment in UTC, cut to microseconds. Raises TimeInvalid outside 1970 to 2088 or for impossible nanoseconds."""
    if not (0 <= stamp.seconds < _SECONDS_END and 0 <= stamp.nanos < 1_000_000_000):
        raise TimeInvalid("a time lies from 1970 to 2088, with 0 to 999,999,999 nanoseconds", field=field)
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


class Period(Protocol):
    """A request that names its first and its last day."""

    from_date: str
    until_date: str


@lru_cache(maxsize=64)
def shared_timestamp_of(moment: datetime) -> Timestamp:
    """timestamp_of(), one message for all who ask for the same moment, as the answers of a set do: only to be copied
    into another message."""
    return timestamp_of(moment)


def timestamp_of(moment: datetime) -> Timestamp:
    """The wire's form of an aware moment."""
    assert moment.tzinfo is not None, "a moment must be aware"
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def date_of(text: str, *, field: str) -> date:
    """Reads "2026-11-21". Raises TimeInvalid."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise TimeInvalid("a date is written like 2026-11-21", field=field)


def period_of(request: Period, *, days_max: int) -> tuple[date, date]:
    """The days of `from_date` and `until_date`, half open. Raises TimeInvalid outside 1970 to 2088, where the last
    comes before the first, and for more than `days_max` days."""
    first, last = date_of(request.from_date, field="from_date"), date_of(request.until_date, field="until_date")
    for day, field in ((first, "from_date"), (last, "until_date")):
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise TimeInvalid(f"a date lies from {_FIRST_YEAR} to {_LAST_YEAR}", field=field)
    if not first <= last < first + timedelta(days=days_max):
        raise TimeInvalid(f"the last of 1 to {days_max:,} days, and not before the first", field="until_date")
    return first, last + timedelta(days=1)
