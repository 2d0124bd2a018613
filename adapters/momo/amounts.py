"""Which currency a target environment moves, and how MoMo writes its amounts: decimal strings, never rounded. Pure.

Source: the portal's list of target environments; the sandbox knows EUR alone. How many decimals a country's wallet
takes is not MTN's to publish in the API: what the books' currency has is written, and RWF, UGX, XAF and XOF have none.
"""

from __future__ import annotations

import re
from decimal import Decimal

from ledger.errors import AmountInvalid, AmountNotPayable, CurrencyUnknown, TextInvalid
from ledger.money import Money, exponent_of, parse_decimal
from ledger.payouts.limits import RailLimits, check_payable

RAIL = "momo"

# Environments whose currency the books hold; the others of the portal's list are refused at start.
CURRENCIES = {
    "sandbox": "EUR",
    "mtnbenin": "XOF",
    "mtncameroon": "XAF",
    "mtncongo": "XAF",
    "mtnghana": "GHS",
    "mtnivorycoast": "XOF",
    "mtnnigeria": "NGN",
    "mtnrwanda": "RWF",
    "mtnsouthafrica": "ZAR",
    "mtnswaziland": "SZL",
    "mtnuganda": "UGX",
    "mtnzambia": "ZMW",
}

# The API names no limits of its own: those of wallets are told as PAYER_LIMIT_REACHED. This keeps mistakes out.
_MINOR_UNITS_MAX = 10**11

_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,10})?")


def currency_of(target_environment: str) -> str:
    """The currency of a target environment. Raises TextInvalid."""
    currency = CURRENCIES.get(target_environment)
    if currency is None:
        known = ", ".join(CURRENCIES)
        raise TextInvalid(f"the target environment is one of {known}", field="target_environment")
    return currency


def limits_of(target_environment: str) -> dict[str, RailLimits]:
    """What may be moved at once, in minor units. Raises TextInvalid."""
    return {currency_of(target_environment): RailLimits(step=1, minimum=1, maximum=_MINOR_UNITS_MAX)}


def amount_text(amount: Money, *, target_environment: str) -> str:
    """RWF 1500 as "1500", EUR 15.50 as "15.50". Raises AmountNotPayable for another currency than the environment's."""
    limits = limits_of(target_environment)
    if amount.currency not in limits:
        raise AmountNotPayable(f"{RAIL} moves {', '.join(limits)} here and no other", field="amount", rail=RAIL)
    check_payable(amount, limits[amount.currency], rail=RAIL)
    exponent = exponent_of(amount.currency)
    return f"{Decimal(amount.minor_units).scaleb(-exponent):.{exponent}f}"


def read_amount(text: object, currency: object) -> Money | None:
    """RWF 500 of "500", and of "500.00", which Uganda's and Rwanda's wallets may write; None if it is no amount, or has
    a fraction of what the currency has."""
    if not (isinstance(text, str) and isinstance(currency, str) and _AMOUNT.fullmatch(text)):
        return None
    try:
        return parse_decimal(format(Decimal(text).normalize(), "f"), currency)
    except (AmountInvalid, CurrencyUnknown):
        return None
