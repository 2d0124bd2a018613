"""Balances in bars and the names of sub-accounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.daraja import account_strings
from adapters.provider import SubAccountBalance


def one(available: str, currency: str = "KES") -> str:
    return f"Utility Account|{currency}|99.00|{available}|0.00|0.00"


@pytest.mark.parametrize(
    ("name", "sub_account"),
    [
        ("Utility Account", "utility"),
        ("Working Account", "working"),
        ("Charges Paid Account", "charges_paid"),
        ("Organization Settlement Account", "settlement"),
        ("Merchant Account", "merchant"),
        ("Float Account", "float"),
        ("M-PESA Bulk  Account", "m_pesa_bulk"),
        ("utility account", "utility"),
        ("Utility", "utility"),
        ("", None),
        ("| ", None),
        (None, None),
        ("A" * 65, None),
    ],
)
def test_a_sub_account_gets_the_name_the_books_use(name: str | None, sub_account: str | None) -> None:
    assert account_strings.sub_account(name) == sub_account


def test_what_is_available_is_told_and_what_is_reserved_is_not_counted() -> None:
    told = "Working Account|KES|346568.83|6186.83|340382.00|0.00"

    assert account_strings.balances(told) == (SubAccountBalance("working", "KES", 618_683),)


@given(st.integers(-(10**15), 10**15))
def test_every_balance_comes_back_to_the_cent(cents: int) -> None:
    sign = "-" if cents < 0 else ""
    text = f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"

    assert account_strings.balances(one(text)) == (SubAccountBalance("utility", "KES", cents),)


@pytest.mark.parametrize(
    "odd", ["", "x", "Odd|KES|1.00", one("1.005"), one("1", "XXX"), one("1", ""), one("many"), "|||"]
)
def test_a_sub_account_that_cannot_be_read_takes_nothing_from_the_others(odd: str) -> None:
    told = f"Working Account|KES|5.00|5.00|0.00|0.00&{odd}"

    assert account_strings.balances(told) == (SubAccountBalance("working", "KES", 500),)


def test_a_sub_account_told_twice_differently_is_not_told() -> None:
    assert account_strings.balances(f"{one('1.00')}&{one('2.00')}") == ()
    assert account_strings.balances(f"{one('1.00')}&{one('1.00')}") == (SubAccountBalance("utility", "KES", 100),)


def test_a_currency_without_decimals_is_read_in_its_own_units() -> None:
    assert account_strings.balances(one("1500.00", "UGX")) == (SubAccountBalance("utility", "UGX", 1_500),)


@given(st.text(max_size=100))
def test_no_text_makes_the_readers_raise(text: str) -> None:
    account_strings.balances(text)
    account_strings.charge(text)
    account_strings.money(text)

    assert account_strings.money(f"{{Amount={{{text}}}}}") is None or "BasicAmount" in text
