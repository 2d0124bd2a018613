"""What Safaricom takes for a B2C payment: the business-pays tariff of August 2023. Knows no account."""

from __future__ import annotations

from bisect import bisect_left

# Safaricom B2C tariff form, August 2023, payments to registered users, charge paid by the business: (largest whole
# shillings of the band, charge in cents). The form stops at 150,000; the last band is carried on to the present limit.
B2C_BANDS = ((100, 0), (1_500, 500), (5_000, 900), (20_000, 1_100), (250_000, 1_300))

_BAND_ENDS = [end for end, _ in B2C_BANDS]


def b2c_charge_cents(shillings: int) -> int:
    """The charge in cents for a payment of whole shillings, 1 to 250,000; above that the last band applies."""
    band = min(bisect_left(_BAND_ENDS, shillings), len(B2C_BANDS) - 1)
    return B2C_BANDS[band][1]
