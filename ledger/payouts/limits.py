"""What amounts a rail carries, as the ledger sees it: a step and two bounds. Pure; adapters declare the values."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import AmountNotPayable
from ledger.money import Money, format_minor_units


@dataclass(frozen=True, slots=True)
class RailLimits:
    """Minor units: amounts are multiples of `step` from `minimum` to `maximum`, both included."""

    step: int
    minimum: int
    maximum: int


def check_payable(amount: Money, limits: RailLimits, *, rail: str) -> None:
    """Raises AmountNotPayable unless the rail carries exactly this amount; nothing is ever rounded."""
    units = amount.minor_units
    if units % limits.step != 0:
        step = format_minor_units(limits.step, amount.currency)
        raise AmountNotPayable(
            f"{rail} pays whole multiples of {amount.currency} {step}; {amount} is not one", field="amount", rail=rail
        )
    if not limits.minimum <= units <= limits.maximum:
        lowest = format_minor_units(limits.minimum, amount.currency)
        highest = format_minor_units(limits.maximum, amount.currency)
        raise AmountNotPayable(
            f"{rail} pays {amount.currency} {lowest} to {highest} at a time", field="amount", rail=rail
        )
