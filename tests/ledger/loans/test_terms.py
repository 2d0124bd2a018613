"""Terms that contradict one another are refused where they are written, and amounts that a product does not lend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import CurrencyUnknown, LoanAmountRefused, LoanTermsInvalid
from ledger.loans.terms import (
    DailyPenalty,
    FeeCharging,
    FixedPenalty,
    Interval,
    LoanTerms,
    Mode,
    Part,
    Rate,
    RatePeriod,
    Unit,
    UpfrontFee,
    price,
    service_fee,
)
from ledger.money import Money
from tests.ledger.loans.products import PLAIN, kes, products


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: replace(PLAIN, principal_min=0), "principal_min"),
        (lambda: replace(PLAIN, principal_max=999), "principal_max"),
        (lambda: replace(PLAIN, instalments=0), "instalments"),
        (lambda: replace(PLAIN, instalments=367), "instalments"),
        (lambda: replace(PLAIN, instalments=31, every=Interval(12, Unit.MONTH)), "instalments"),
        (lambda: replace(PLAIN, interest_only=12), "interest_only"),
        (lambda: replace(PLAIN, grace_days=-1), "grace_days"),
        (lambda: replace(PLAIN, step=0), "step"),
        (lambda: replace(PLAIN, step=300), "principal_min"),
        (lambda: replace(PLAIN, step=100, penalty=FixedPenalty(150, 1_000)), "penalty.fixed"),
        (lambda: replace(PLAIN, step=100, upfront_fee=UpfrontFee(150)), "upfront_fee.fixed"),
        (lambda: replace(PLAIN, upfront_fee=UpfrontFee(1_000)), "upfront_fee"),
        (lambda: replace(PLAIN, upfront_fee=UpfrontFee(0, 10_000)), "upfront_fee"),
        (lambda: replace(PLAIN, waterfall=(Part.PRINCIPAL, Part.INTEREST, Part.FEE)), "waterfall"),
        (lambda: replace(PLAIN, waterfall=(Part.FEE, Part.INTEREST, Part.FEE, Part.PRINCIPAL)), "waterfall"),
        (lambda: replace(PLAIN, mode=Mode.AGENT, upfront_fee=UpfrontFee(1)), "upfront_fee"),
        (lambda: replace(PLAIN, service_fee_basis_points=1), "service_fee_basis_points"),
        (lambda: Rate(-1, RatePeriod.YEAR), "rate.basis_points"),
        (lambda: Rate(True, RatePeriod.YEAR), "rate.basis_points"),
        (lambda: Interval(0, Unit.DAY), "every.count"),
        (lambda: DailyPenalty(0, 1), "penalty.basis_points"),
        (lambda: DailyPenalty(1, 0), "penalty.cap_basis_points"),
        (lambda: FixedPenalty(0, 1), "penalty.fixed"),
    ],
)
def test_refuses_terms_that_make_no_sense_and_names_the_field(build: Callable[[], object], field: str) -> None:
    with pytest.raises(LoanTermsInvalid) as caught:
        build()

    assert caught.value.field == field


def test_refuses_a_currency_that_the_books_do_not_hold() -> None:
    with pytest.raises(CurrencyUnknown):
        replace(PLAIN, currency="XYZ")


@pytest.mark.parametrize(
    "principal", [kes(900), kes(10**12 + 100), kes(1_050), Money("USD", 1_000)], ids=["low", "high", "odd", "currency"]
)
def test_refuses_an_amount_that_the_product_does_not_lend(principal: Money) -> None:
    with pytest.raises(LoanAmountRefused) as caught:
        price(replace(PLAIN, step=100), principal)

    assert caught.value.field == "principal"


def test_a_deducted_fee_is_kept_back_and_an_added_one_is_lent_too() -> None:
    deducted = replace(PLAIN, upfront_fee=UpfrontFee(100, 250))
    added = replace(PLAIN, upfront_fee=UpfrontFee(100, 250, FeeCharging.ADDED))

    # 1.00 and 2.5 % of 1,000.00.
    assert price(deducted, kes(100_000)).net == kes(97_400)
    assert price(deducted, kes(100_000)).gross == kes(100_000)
    assert price(added, kes(100_000)).net == kes(100_000)
    assert price(added, kes(100_000)).gross == kes(102_600)


@given(products(), st.data())
def test_what_is_paid_out_and_the_fee_are_what_is_owed(terms: LoanTerms, data: st.DataObject) -> None:
    steps = data.draw(st.integers(terms.principal_min // terms.step, terms.principal_max // terms.step))

    found = price(terms, kes(steps * terms.step))

    assert found.net + found.fee == found.gross
    assert found.net.minor_units > 0
    assert {money.minor_units % terms.step for money in (found.gross, found.net, found.fee)} == {0}


@given(st.integers(0, 10_000), st.integers(0, 10**12))
def test_a_service_fee_never_exceeds_what_it_is_taken_of(basis_points: int, units: int) -> None:
    terms = replace(PLAIN, mode=Mode.AGENT, service_fee_basis_points=basis_points, step=100)

    kept = service_fee(terms, kes(units)).minor_units

    assert kept % 100 == 0
    assert 0 <= units * basis_points - kept * 10_000 < 100 * 10_000
