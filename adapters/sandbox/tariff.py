"""What the provider takes for a payment, by bands of whole shillings. Knows no account."""

from __future__ import annotations

from bisect import bisect_left

Bands = tuple[tuple[int, int], ...]
"""(Largest whole shillings of the band, charge in cents), ascending."""

# Safaricom B2C tariff form, August 2023, payments to registered users, charge paid by the business. The form stops at
# 150,000; the last band is carried on to the present limit.
B2C_BANDS: Bands = ((100, 0), (1_500, 500), (5_000, 900), (20_000, 1_100), (250_000, 1_300))

# Safaricom publishes no single B2B tariff: it goes by contract. These are the sandbox's own, around the two charges
# that Daraja's samples show (77.00 and 110.00).
PAY_BILL_BANDS: Bands = ((100, 0), (1_000, 1_500), (5_000, 3_450), (10_000, 7_700), (20_000, 11_000), (250_000, 19_700))

# Safaricom's paybill tariff where the business pays, as far as statements show it; the last band is carried on.
COLLECTION_BANDS: Bands = (
    (100, 0), (500, 500), (1_000, 1_000), (1_500, 1_500), (2_500, 2_000), (3_500, 2_500), (5_000, 3_400),
    (7_500, 4_200), (250_000, 4_800),
)  # fmt: skip

NO_CHARGE: Bands = ((0, 0),)


def charge_cents(bands: Bands, shillings: int) -> int:
    """The charge in cents for a payment of whole shillings; above the last band that one applies."""
    ends = [end for end, _ in bands]
    return bands[min(bisect_left(ends, shillings), len(bands) - 1)][1]
