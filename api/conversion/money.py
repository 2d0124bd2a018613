"""Money on the wire: an ISO code and int64 minor units, in both directions."""

from __future__ import annotations

from daftari.v1 import money_pb2

from api.conversion.fields import located
from ledger.errors import BalanceWouldOverflow, LedgerError
from ledger.money import Money

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def money_of(message: money_pb2.Money, *, field: str) -> Money:
    """Raises CurrencyUnknown or AmountInvalid, naming the field inside `field`."""
    try:
        return Money(message.currency, message.minor_units)
    except LedgerError as error:
        raise located(error, within=field) from None


def same_money_of(message: money_pb2.Money, earlier: Money | None, *, field: str) -> Money:
    """money_of(), or `earlier` itself where that is the same."""
    if earlier is not None and earlier.minor_units == message.minor_units and earlier.currency == message.currency:
        return earlier
    return money_of(message, field=field)


def money_message(currency: str, minor_units: int) -> money_pb2.Money:
    """Any balance fits; it may exceed what a single posting may carry."""
    return money_pb2.Money(currency=currency, minor_units=minor_units)


def total(minor_units: int) -> int:
    """A sum over many accounts, which need not fit the wire although each of them does. Raises BalanceWouldOverflow."""
    if not _INT64_MIN <= minor_units <= _INT64_MAX:
        raise BalanceWouldOverflow("the total over all accounts leaves the 64-bit range", field="")
    return minor_units
