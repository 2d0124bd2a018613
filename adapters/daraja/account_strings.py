"""What Daraja's core prints of accounts: amounts in braces, charges and balances in bars, names of sub-accounts. Pure.

Nothing raises, whatever the text: what cannot be read exactly is None.
"""

from __future__ import annotations

import re

from adapters.daraja import wire
from adapters.provider import SubAccountBalance
from ledger.money import Money

_BRACED = re.compile(r"\{\s*Amount\s*=\s*\{([^{}]*)\}\s*\}")
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_NAME_LENGTH_MAX = 64

# The names the books use for what Daraja calls otherwise; any other name is made of its own words.
_SUB_ACCOUNTS = {"organization_settlement": "settlement", "organisation_settlement": "settlement"}


def money(value: object) -> Money | None:
    """KES from a plain amount or from "{Amount={CurrencyCode=KES, MinimumAmount=618683, BasicAmount=6186.83}}", in any
    order; None if the two figures in it contradict each other. MinimumAmount is in cents."""
    braced = _BRACED.fullmatch(value.strip()) if isinstance(value, str) else None
    if braced is None:
        return wire.amount(value)
    told = {key.strip(): figure.strip() for key, _, figure in (part.partition("=") for part in braced[1].split(","))}
    basic = wire.amount(told.get("BasicAmount"))
    cents = told.get("MinimumAmount")
    if basic is None or told.get("CurrencyCode") != wire.CURRENCY or cents not in (None, str(basic.minor_units)):
        return None
    return basic


def charge(value: object) -> Money | None:
    """KES of "Fee For B2C Payment|KES|22.40". None where nothing is told, which an empty text is taken for: it does not
    say that the payment was free."""
    fields = [field.strip() for field in value.split("|")] if isinstance(value, str) else []
    told = wire.amount(fields[2]) if len(fields) == 3 and fields[1] == wire.CURRENCY else None
    return None if told is None or told.minor_units < 0 else told


def balances(value: object) -> tuple[SubAccountBalance, ...]:
    """The sub-accounts of "Name|Currency|Current|Available|Reserved|Uncleared", joined by "&". One that cannot be read,
    or is told twice differently, is left out: it asserts nothing, and takes nothing from the others."""
    found = [_one_balance(part) for part in value.split("&")] if isinstance(value, str) else []
    distinct = dict.fromkeys(one for one in found if one is not None)
    names = [one.sub_account for one in distinct]
    return tuple(one for one in distinct if names.count(one.sub_account) == 1)


def sub_account(name: object) -> str | None:
    """ "Utility Account" is "utility", "Organization Settlement Account" is "settlement"; None for no name at all."""
    if not isinstance(name, str) or len(name) > _NAME_LENGTH_MAX:
        return None
    slug = _NOT_A_WORD.sub("_", name.casefold()).strip("_").removesuffix("_account")
    return _SUB_ACCOUNTS.get(slug, slug) or None


def _one_balance(text: str) -> SubAccountBalance | None:
    fields = [field.strip() for field in text.split("|")]
    if len(fields) < 4:
        return None
    name, currency = sub_account(fields[0]), fields[1]
    # Available, not current: current still counts what is reserved for payments under way, and available is what a
    # payment can draw on and what B2C results report of the same accounts ("...AvailableFunds").
    available = wire.money(fields[3], currency)
    if name is None or available is None:
        return None
    return SubAccountBalance(name, currency, available.minor_units)
