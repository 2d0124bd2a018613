"""How late a loan is: days past due, and the bucket that reports count it in. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import date

from ledger.loans.dues import Due


class Bucket(enum.Enum):
    """Days past due, both ends included; the value is how reports name it."""

    CURRENT = "0"
    DAYS_1_TO_30 = "1-30"
    DAYS_31_TO_60 = "31-60"
    DAYS_61_TO_90 = "61-90"
    DAYS_OVER_90 = "90+"


_UPPER_BOUNDS = ((0, Bucket.CURRENT), (30, Bucket.DAYS_1_TO_30), (60, Bucket.DAYS_31_TO_60), (90, Bucket.DAYS_61_TO_90))


def days_past_due(dues: Sequence[Due], today: date) -> int:
    """Days since the oldest open instalment was due; zero until the end of that day. Grace counts as late: it defers
    penalties, not the debt."""
    return max([0, *((today - due.due_on).days for due in dues)])


def bucket_of(days: int) -> Bucket:
    """The bucket of so many days past due."""
    return next((bucket for highest, bucket in _UPPER_BOUNDS if days <= highest), Bucket.DAYS_OVER_90)
