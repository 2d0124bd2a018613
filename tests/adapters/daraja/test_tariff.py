"""The B2C tariff as data."""

from __future__ import annotations

import itertools

import pytest

from adapters.daraja.request import PAYOUT_LIMITS
from adapters.daraja.tariff import B2C_TARIFF_2023_08


@pytest.mark.parametrize(
    ("kes", "charge_kes"),
    [
        (10, 0),
        (100, 0),
        (101, 5),
        (1_500, 5),
        (1_501, 9),
        (5_000, 9),
        (5_001, 11),
        (20_000, 11),
        (20_001, 13),
        (250_000, 13),
    ],
)
def test_the_charge_at_each_edge_is_the_published_one(kes: int, charge_kes: int) -> None:
    charges = [
        band.charge_minor_units
        for band in B2C_TARIFF_2023_08
        if band.from_minor_units <= kes * 100 <= band.to_minor_units
    ]

    assert charges == [charge_kes * 100]


def test_the_bands_meet_without_gap_and_cover_all_the_rail_pays() -> None:
    limits = PAYOUT_LIMITS["KES"]

    for lower, upper in itertools.pairwise(B2C_TARIFF_2023_08):
        assert upper.from_minor_units == lower.to_minor_units + 1
    assert B2C_TARIFF_2023_08[0].from_minor_units <= limits.minimum
    assert B2C_TARIFF_2023_08[-1].to_minor_units == limits.maximum
