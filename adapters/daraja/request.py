"""What Daraja's request documents share: where one goes, our id on it, how amounts and words fit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters import documents
from adapters.daraja import wire
from ledger.errors import AmountNotPayable
from ledger.money import Money
from ledger.payouts.limits import RailLimits, check_payable

RAIL = "daraja"

# Minor units of KES. Whole shillings, 10 to 250,000 a payment: Daraja's B2C page. Its B2B pages name no limits of their
# own, so a business is paid within the same.
PAYOUT_LIMITS = {wire.CURRENCY: RailLimits(step=100, minimum=1_000, maximum=25_000_000)}

_REMARKS_LENGTH_MAX = 100
_REMARKS_WHEN_TOO_SHORT = "Payout"


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A document to post at `path` under the base URL. `sent_under` is our reference where the API takes it as its own
    id and refuses it a second time; None where nothing at Daraja would notice a second payment."""

    path: str
    document: Mapping[str, str | int]
    sent_under: str | None


def whole_shillings(amount: Money, *, limits: Mapping[str, RailLimits] = PAYOUT_LIMITS) -> str:
    """The amount as Daraja takes it. Raises AmountNotPayable rather than round."""
    of_currency = limits.get(amount.currency)
    if of_currency is None:
        raise AmountNotPayable(f"{RAIL} pays {wire.CURRENCY} only", field="amount", rail=RAIL)
    check_payable(amount, of_currency, rail=RAIL)
    return str(amount.minor_units // of_currency.step)


def fit_remarks(remarks: str, *, when_too_short: str = _REMARKS_WHEN_TOO_SHORT) -> str:
    """Required, 2 to 100 characters; words for a person, so they are fitted rather than refused."""
    printable = documents.printable(remarks)
    return printable[:_REMARKS_LENGTH_MAX] if len(printable) >= 2 else when_too_short
