"""Money: whole minor units of a known currency, exact on every way in and out, never losing a unit when it is split."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import moneyed
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import tables
from ledger.database import transaction
from ledger.errors import AmountInvalid, CurrencyMismatch, CurrencyUnknown
from ledger.money import (
    EXPONENTS,
    MINOR_UNITS_MAX,
    Money,
    allocate,
    exponent_of,
    format_minor_units,
    parse_decimal,
    to_moneyed,
)
from tests.strategies import NOT_AMOUNTS, currencies, moneys

weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any)


class _Level(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("currency", "minor_units", "text"),
    [
        ("KES", 1050, "10.50"),
        ("KES", 5, "0.05"),
        ("KES", -5, "-0.05"),
        ("KES", 123456789, "1,234,567.89"),
        ("RWF", 1050, "1,050"),
        ("UGX", 0, "0"),
        ("XOF", -1000, "-1,000"),
        ("MZN", 0, "0.00"),
    ],
)
def test_shows_as_many_decimals_as_the_currency_has(currency: str, minor_units: int, text: str) -> None:
    assert format_minor_units(minor_units, currency) == text
    assert str(Money(currency, minor_units)) == f"{currency} {text}"


@given(moneys)
def test_what_is_shown_reads_back_as_the_same_money(money: Money) -> None:
    shown = format_minor_units(money.minor_units, money.currency)

    assert parse_decimal(shown.replace(",", ""), money.currency) == money


@given(moneys)
def test_the_decimal_form_at_the_edge_is_exact(money: Money) -> None:
    edge = to_moneyed(money)

    assert edge.currency.code == money.currency
    assert Fraction(edge.amount) * 10 ** exponent_of(money.currency) == money.minor_units


@given(currencies, st.decimals(-(10**13), 10**13, places=4, allow_nan=False))
def test_a_decimal_is_read_exactly_or_refused_but_never_rounded(currency: str, decimal: Decimal) -> None:
    whole_minor_units = Fraction(decimal) * 10 ** exponent_of(currency)

    try:
        read = parse_decimal(f"{decimal:f}", currency)
    except AmountInvalid:
        assert whole_minor_units.denominator != 1
    else:
        assert read.minor_units == whole_minor_units


@pytest.mark.parametrize("text", NOT_AMOUNTS)
@pytest.mark.parametrize("currency", ["KES", "RWF"])
def test_refuses_text_that_is_no_plain_decimal(text: str, currency: str) -> None:
    with pytest.raises(AmountInvalid):
        parse_decimal(text, currency)


@given(st.text(max_size=30), currencies)
def test_any_text_is_an_exact_amount_or_refused(text: str, currency: str) -> None:
    try:
        read = parse_decimal(text, currency)
    except AmountInvalid:
        return
    assert text.isascii()
    assert Fraction(text) * 10 ** exponent_of(currency) == read.minor_units


def test_refuses_more_decimals_than_the_currency_has() -> None:
    assert parse_decimal("10.50", "KES") == Money("KES", 1050)
    assert parse_decimal("10.0", "RWF") == Money("RWF", 10)
    for text, currency in (("10.505", "KES"), ("10.5", "RWF"), ("0.0001", "USD")):
        with pytest.raises(AmountInvalid, match="decimals"):
            parse_decimal(text, currency)


@pytest.mark.parametrize(
    "minor_units", [1.0, 1e15, math.nan, math.inf, Decimal(1), Fraction(1), True, False, "1", b"1", None, _Level.ONE]
)
def test_refuses_what_is_not_a_plain_integer(minor_units: Any) -> None:
    with pytest.raises(AmountInvalid) as caught:
        Money("KES", minor_units)

    assert caught.value.field == "minor_units"


@pytest.mark.parametrize("excess", [1, 2**63, 10**40])
@pytest.mark.parametrize("sign", [1, -1])
def test_refuses_more_than_one_posting_may_carry(excess: int, sign: int) -> None:
    assert Money("KES", sign * MINOR_UNITS_MAX).minor_units == sign * MINOR_UNITS_MAX
    with pytest.raises(AmountInvalid):
        Money("KES", sign * (MINOR_UNITS_MAX + excess))


@pytest.mark.parametrize("currency", ["", "kes", "KE", "KESS", "XXX", " KES", "\uff2b\uff25\uff33", None, 404, ["KES"]])
def test_refuses_a_currency_the_books_do_not_hold(currency: Any) -> None:
    for use in (lambda: Money(currency, 1), lambda: exponent_of(currency), lambda: parse_decimal("1", currency)):
        with pytest.raises(CurrencyUnknown):
            use()


@given(moneys, moneys)
def test_adds_and_subtracts_within_one_currency_and_within_bounds(one: Money, other: Money) -> None:
    other = Money(one.currency, other.minor_units)
    both: tuple[tuple[Callable[[], Money], int], ...] = (
        (lambda: one + other, one.minor_units + other.minor_units),
        (lambda: one - other, one.minor_units - other.minor_units),
    )

    for compute, expected in both:
        if abs(expected) <= MINOR_UNITS_MAX:
            assert compute() == Money(one.currency, expected)
        else:
            with pytest.raises(AmountInvalid):
                compute()


def test_never_mixes_currencies() -> None:
    shillings, dollars = Money("KES", 1), Money("USD", 1)

    assert shillings != dollars
    with pytest.raises(CurrencyMismatch):
        _ = shillings + dollars
    with pytest.raises(CurrencyMismatch):
        _ = shillings - dollars


@given(moneys, weights)
def test_the_parts_sum_to_the_whole(whole: Money, weights: list[int]) -> None:
    parts = allocate(whole, weights)

    assert len(parts) == len(weights)
    assert {part.currency for part in parts} == {whole.currency}
    assert sum(part.minor_units for part in parts) == whole.minor_units


@given(moneys, weights)
def test_each_part_lies_within_one_minor_unit_of_its_exact_share(whole: Money, weights: list[int]) -> None:
    parts = allocate(whole, weights)

    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(whole.minor_units * weight, sum(weights))
        assert abs(part.minor_units - exact) < 1
        assert weight or part.minor_units == 0


@given(moneys, weights)
def test_larger_remainders_are_served_first_and_ties_by_the_earlier_part(whole: Money, weights: list[int]) -> None:
    parts = allocate(whole, weights)

    def served(index: int) -> tuple[bool, Fraction, int]:
        share = Fraction(abs(whole.minor_units) * weights[index], sum(weights))
        return (abs(parts[index].minor_units) > math.floor(share), share - math.floor(share), -index)

    ranks = [served(index) for index in range(len(parts))]
    got, missed = [rank[1:] for rank in ranks if rank[0]], [rank[1:] for rank in ranks if not rank[0]]
    assert not got or not missed or min(got) > max(missed)


def test_splits_a_shilling_three_ways_without_losing_a_cent() -> None:
    thirds = allocate(Money("KES", 100), [1, 1, 1])

    assert [part.minor_units for part in thirds] == [34, 33, 33]
    assert [part.minor_units for part in allocate(Money("KES", -100), [1, 1, 1])] == [-34, -33, -33]


@pytest.mark.parametrize(
    "weights", [[], [0], [0, 0], [-1, 2], [0.5, 0.5], [math.nan], [True], ["1"], [1, None], [Decimal(1)]]
)
def test_refuses_weights_that_are_no_natural_numbers_with_a_sum(weights: list[Any]) -> None:
    with pytest.raises(AmountInvalid) as caught:
        allocate(Money("KES", 100), weights)

    assert caught.value.field == "weights"


def test_the_decimals_are_those_of_iso_4217() -> None:
    of_iso = {code: moneyed.get_currency(code).sub_unit for code in EXPONENTS}

    assert {code: 10**exponent for code, exponent in EXPONENTS.items()} == of_iso


async def test_the_database_keeps_the_same_list_of_currencies(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        rows = (await connection.execute(select(tables.currencies))).all()

    assert {row.code: row.exponent for row in rows} == EXPONENTS
