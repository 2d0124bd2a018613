"""What Safaricom charges the business for a B2C payment to a registered customer; it never touches the customer's side.

Source: Safaricom's B2C tariff form of August 2023, "B2C charge" column (the recipient pays nothing). The form prints no
day, so the tariff counts from the first of the month. It predates the limit of KES 250,000 per payment; the last band
is taken to reach that limit at the same charge. These are estimates to accrue: the statement has the last word.
"""

from __future__ import annotations

from datetime import date

from adapters.tariffs import TariffBand

_VALID_FROM = date(2023, 8, 1)

# Last whole shilling of each band and its charge, both in KES, as the form prints them: 1-100, 101-1,500, ...
_BANDS_KES = ((100, 0), (1_500, 5), (5_000, 9), (20_000, 11), (250_000, 13))


def _bands() -> tuple[TariffBand, ...]:
    bands: list[TariffBand] = []
    from_minor_units = 1
    for last_kes, charge_kes in _BANDS_KES:
        # Bands meet without a gap: amounts on this rail are whole shillings, so 100.01 belongs with 101.
        bands.append(
            TariffBand("daraja", "b2c", "KES", _VALID_FROM, from_minor_units, last_kes * 100, charge_kes * 100)
        )
        from_minor_units = last_kes * 100 + 1
    return tuple(bands)


B2C_TARIFF_2023_08: tuple[TariffBand, ...] = _bands()
