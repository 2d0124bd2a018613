"""JSON as the provider writes it: keys in the given order, decimals to the cent that never pass through float."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

CURRENCY = "KES"

Document = Mapping[str, "Document"] | Sequence["Document"] | Decimal | str | int | None


def encode(document: Document) -> bytes:
    """The document as UTF-8 JSON. A Decimal is written digit for digit: Decimal("1204310.50") -> 1204310.50."""
    return _text(document).encode()


def balance_number(cents: int) -> Decimal:
    """Cents as balances appear in B2C results, with one decimal where one is enough: 1204310.5, 0.0, -486.25."""
    text = exact_text(cents)
    return Decimal(text[:-1] if text.endswith("0") else text)


def exact_text(cents: int) -> str:
    """Cents with two decimals: 120431050 -> "1204310.50"."""
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}.{part:02d}"


def braced_amount(cents: int) -> str:
    """A balance wrapped as some results have it; MinimumAmount counts cents."""
    return f"{{Amount={{CurrencyCode={CURRENCY}, MinimumAmount={cents}, BasicAmount={exact_text(cents)}}}}}"


def shillings_number(cents: int) -> Decimal | int:
    """Cents as amounts appear: whole shillings without decimals, the rest to the cent."""
    return cents // 100 if cents % 100 == 0 else Decimal(exact_text(cents))


def account_text(name: str, cents: int) -> str:
    """An account as balance strings show it: name, currency, current, available, reserved, uncleared."""
    balance = exact_text(cents)
    return f"{name}|{CURRENCY}|{balance}|{balance}|0.00|0.00"


def whole_shillings(cents: int) -> int:
    """Cents without the broken shilling, as the 2017 results show balances."""
    whole = abs(cents) // 100
    return -whole if cents < 0 else whole


def _text(document: Document) -> str:
    match document:
        case Decimal():
            return str(document)
        case Mapping():
            return "{" + ",".join(f"{json.dumps(key)}:{_text(value)}" for key, value in document.items()) + "}"
        case str() | int() | None:
            return json.dumps(document)
        case _:
            return "[" + ",".join(map(_text, document)) + "]"
