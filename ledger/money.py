"""Money as integer minor units with its currency, and splitting it without losing a unit.

Never a float, never a Decimal in storage. `moneyed.Money` appears at the edges only (`to_moneyed`, `parse_decimal`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import moneyed

from ledger.errors import AmountInvalid, CurrencyMismatch, CurrencyUnknown

# ISO 4217 exponents of the currencies the books may hold; the database keeps the same list in `currencies`.
EXPONENTS: dict[str, int] = {
    "BIF": 0, "BWP": 2, "CDF": 2, "ETB": 2, "EUR": 2, "GBP": 2, "GHS": 2, "KES": 2, "LSL": 2, "MWK": 2, "MZN": 2,
    "NGN": 2, "RWF": 0, "SZL": 2, "TZS": 2, "UGX": 0, "USD": 2, "XAF": 0, "XOF": 0, "ZAR": 2, "ZMW": 2,
}  # fmt: skip

# One posting may carry at most this; sums of postings are checked against the 64-bit range where they are made.
MINOR_UNITS_MAX = 10**15

_DECIMAL = re.compile(r"-?\d{1,16}(\.\d{1,4})?", re.ASCII)


def exponent_of(currency: str) -> int:
    """Decimal places of a currency's minor unit: KES 2, RWF 0. Raises CurrencyUnknown."""
    try:
        return EXPONENTS[currency]
    except (KeyError, TypeError):
        raise CurrencyUnknown(f"currency {currency!r:.20} is not one the books hold", field="currency") from None


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units of one currency: Money("KES", 1050) is KES 10.50, Money("RWF", 1050) is RWF 1050."""

    currency: str
    minor_units: int

    def __post_init__(self) -> None:
        exponent_of(self.currency)
        if type(self.minor_units) is not int:
            raise AmountInvalid("an amount must be an integer of minor units", field="minor_units")
        if abs(self.minor_units) > MINOR_UNITS_MAX:
            raise AmountInvalid(f"an amount may not exceed {MINOR_UNITS_MAX} minor units", field="minor_units")

    def __add__(self, other: Money) -> Money:
        self._must_share_currency(other)
        return Money(self.currency, self.minor_units + other.minor_units)

    def __sub__(self, other: Money) -> Money:
        self._must_share_currency(other)
        return Money(self.currency, self.minor_units - other.minor_units)

    def __str__(self) -> str:
        return f"{self.currency} {format_minor_units(self.minor_units, self.currency)}"

    def _must_share_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"cannot combine {self.currency} with {other.currency}", field="currency")


def format_minor_units(minor_units: int, currency: str) -> str:
    """1234567 in KES -> "12,345.67"; in RWF -> "1,234,567"."""
    exponent = exponent_of(currency)
    whole, part = divmod(abs(minor_units), 10**exponent)
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{whole:,}" + (f".{part:0{exponent}d}" if exponent else "")


def decimal_text(minor_units: int, currency: str) -> str:
    """1234567 in KES -> "12345.67": as it is written over REST and in webhooks."""
    return format_minor_units(minor_units, currency).replace(",", "")


def to_moneyed(money: Money) -> moneyed.Money:
    """The edge's decimal form of the same amount, for display and documents."""
    exponent = exponent_of(money.currency)
    return moneyed.Money(Decimal(money.minor_units).scaleb(-exponent), money.currency)


def parse_decimal(text: str, currency: str) -> Money:
    """Reads what people type ("1,050.50" without the comma: "1050.50"); refuses more decimals than the currency has."""
    exponent = exponent_of(currency)
    if not _DECIMAL.fullmatch(text):
        raise AmountInvalid(f"{text!r:.40} is not a decimal amount; write it as 1050.50", field="amount")
    scaled = Decimal(text).scaleb(exponent)
    if scaled != scaled.to_integral_value():
        raise AmountInvalid(f"{currency} has {exponent} decimals; {text!r:.40} has more", field="amount")
    return Money(currency, int(scaled))


def allocate(whole: Money, weights: Sequence[int]) -> list[Money]:
    """Splits by weight with the largest-remainder rule: the parts always sum to the whole.

    Weights are non-negative integers with a positive sum; ties go to the earlier part. Raises AmountInvalid.
    """
    if any(type(weight) is not int or weight < 0 for weight in weights) or not any(weights):
        raise AmountInvalid("weights must be non-negative integers with a positive sum", field="weights")
    size, total = abs(whole.minor_units), sum(weights)
    shares = [size * weight // total for weight in weights]
    remainders = [size * weight % total for weight in weights]
    by_remainder = sorted(range(len(shares)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[: size - sum(shares)]:
        shares[index] += 1
    sign = -1 if whole.minor_units < 0 else 1
    return [Money(whole.currency, sign * share) for share in shares]
