"""The shape of a provider's published charges as plain dated data; rails hold the figures, the ledger applies them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class TariffBand:
    """From `valid_from` on (the provider's calendar day), an amount from `from_minor_units` to `to_minor_units`, both
    included, costs us `charge_minor_units`, all in minor units of `currency`."""

    provider: str
    service: str
    currency: str
    valid_from: date
    from_minor_units: int
    to_minor_units: int
    charge_minor_units: int
