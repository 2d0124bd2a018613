"""Page tokens of lines by date: what they hold, and what a forged one is answered."""

from __future__ import annotations

from datetime import date

import pytest

from api.conversion.finance import position_of, position_text
from api.conversion.pages import Page
from ledger.errors import PageTokenInvalid


def test_a_position_comes_back_as_it_was_told() -> None:
    position = (date(2026, 11, 29), 7, -150_000)

    told = tuple(str(part) for part in position_text(position))

    assert position_of(Page(50, told, b"")) == position
    assert position_of(Page(50, (), b"")) is None


@pytest.mark.parametrize(
    "told",
    [("yesterday", "7", "0"), ("2026-11-29", "x", "0"), ("2026-11-29", "7", "9" * 30), ("2026-11-29", "9" * 30, "0")],
)
def test_a_position_that_nobody_told_is_refused(told: tuple[str, ...]) -> None:
    with pytest.raises(PageTokenInvalid):
        position_of(Page(50, told, b""))
