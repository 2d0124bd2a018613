"""The terms of a loan product as they are stored: JSON with the words of `ledger.loans.terms`, and back. Pure."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ledger.loans.terms import (
    DailyPenalty,
    DayCount,
    EarlySettlement,
    FeeCharging,
    FixedPenalty,
    InterestMethod,
    Interval,
    LoanTerms,
    Mode,
    Part,
    Precedence,
    Rate,
    RatePeriod,
    Unit,
    UpfrontFee,
)

_TERMS_REMEMBERED = 4_096


def terms_as_json(terms: LoanTerms) -> dict[str, Any]:
    """Every term by its name; what stands for itself is written as it is."""
    return {one.name: _plain(getattr(terms, one.name)) for one in dataclasses.fields(terms)}


@lru_cache(maxsize=_TERMS_REMEMBERED)
def terms_of(text: str) -> LoanTerms:
    """The terms behind what terms_as_json() made, once it is text."""
    stored = json.loads(text)
    return LoanTerms(
        **stored
        | {
            "method": InterestMethod(stored["method"]),
            "rate": Rate(stored["rate"]["basis_points"], RatePeriod(stored["rate"]["per"])),
            "every": Interval(stored["every"]["count"], Unit(stored["every"]["unit"])),
            "day_count": DayCount(stored["day_count"]),
            "upfront_fee": _upfront_fee_of(stored["upfront_fee"]),
            "penalty": _penalty_of(stored["penalty"]),
            "waterfall": tuple(Part(part) for part in stored["waterfall"]),
            "precedence": Precedence(stored["precedence"]),
            "early_settlement": EarlySettlement(stored["early_settlement"]),
            "mode": Mode(stored["mode"]),
        }
    )


def _upfront_fee_of(stored: Mapping[str, Any]) -> UpfrontFee:
    return UpfrontFee(stored["fixed_minor_units"], stored["basis_points"], FeeCharging(stored["charging"]))


def _penalty_of(stored: Mapping[str, Any] | None) -> FixedPenalty | DailyPenalty | None:
    if stored is None:
        return None
    return FixedPenalty(**stored) if "minor_units" in stored else DailyPenalty(**stored)


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if dataclasses.is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    return value
