"""Requests as MoMo documents them: paths, bodies, references, amounts; what cannot be carried is refused."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.momo import amounts, request
from adapters.momo.credentials import Product
from adapters.momo.references import reference_id
from ledger.errors import AmountNotPayable, ChoiceInvalid, TextInvalid
from ledger.money import Money, exponent_of
from ledger.msisdn import Msisdn
from ledger.payee import BusinessKind, BusinessPayee
from tests.adapters.momo.examples import ENVIRONMENT, REFERENCE, example, inquiry, payout, prompt, prompt_inquiry


def test_a_transfer_is_the_example() -> None:
    built = request.transfer(payout(), target_environment=ENVIRONMENT, callback_url="https://hooks.daftari.example/x")
    shown = example("transfer_request")

    assert f"{built.method} {built.path} HTTP/1.1" == shown.start
    assert built.body is not None
    document = json.loads(built.body)
    assert document == shown.document | {"payeeNote": "Promo reward"}
    assert list(document) == list(shown.document)


def test_its_status_is_read_under_its_own_reference() -> None:
    created = request.transfer(payout(), target_environment=ENVIRONMENT, callback_url="")

    assert request.transfer_status(inquiry()).path == f"/disbursement/v1_0/transfer/{created.reference}"
    assert request.read_back(created).path == request.transfer_status(inquiry()).path


def test_a_request_to_pay_is_the_example() -> None:
    built = request.request_to_pay(prompt(), target_environment=ENVIRONMENT, callback_url="")
    shown = example("requesttopay_request")

    assert f"{built.method} {built.path} HTTP/1.1" == shown.start
    assert built.body is not None
    assert json.loads(built.body) == shown.document | {"payeeNote": "LOAN-77-REP-03"}
    status = request.request_to_pay_status(prompt_inquiry(checkout=built.reference))
    assert status.path == f"/collection/v1_0/requesttopay/{built.reference}"


def test_an_account_holder_is_asked_for_in_lower_case() -> None:
    built = request.holder_is_active(Product.DISBURSEMENT, Msisdn("250781234567"))

    start = example("accountholder_active_request").start
    assert built.path.rpartition("/accountholder")[2] == start.split(" ")[1].rpartition("/accountholder")[2]


@given(st.text(min_size=1, max_size=40))
def test_a_reference_is_a_uuid_of_version_4_and_always_the_same(name: str) -> None:
    made = uuid.UUID(reference_id(name))

    assert (made.version, made.variant) == (4, uuid.RFC_4122)
    assert reference_id(name) == str(made)


def test_other_names_have_other_references() -> None:
    assert len({reference_id(f"dft-{number}") for number in range(1000)}) == 1000


@given(st.sampled_from(sorted(amounts.CURRENCIES)), st.integers(min_value=1, max_value=10**11))
def test_an_amount_is_read_as_it_was_written(environment: str, units: int) -> None:
    amount = Money(amounts.currency_of(environment), units)

    text = amounts.amount_text(amount, target_environment=environment)

    assert amounts.read_amount(text, amount.currency) == amount
    assert len(text.partition(".")[2]) == exponent_of(amount.currency)


@pytest.mark.parametrize(
    ("environment", "amount", "text"),
    [
        ("mtnrwanda", Money("RWF", 1500), "1500"),
        ("mtnuganda", Money("UGX", 500), "500"),
        ("sandbox", Money("EUR", 1550), "15.50"),
        ("mtnghana", Money("GHS", 5), "0.05"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(environment: str, amount: Money, text: str) -> None:
    assert amounts.amount_text(amount, target_environment=environment) == text


@pytest.mark.parametrize("amount", [Money("KES", 1500), Money("RWF", 0), Money("RWF", -5), Money("RWF", 10**12)])
def test_what_the_environment_does_not_move_is_refused(amount: Money) -> None:
    with pytest.raises(AmountNotPayable):
        amounts.amount_text(amount, target_environment="mtnrwanda")


@pytest.mark.parametrize("text", ["500", "500.00", "500.0"])
def test_a_currency_without_decimals_may_be_told_with_zeros(text: str) -> None:
    assert amounts.read_amount(text, "UGX") == Money("UGX", 500)


@pytest.mark.parametrize("text", ["500.50", "NaN", "1e3", "", " 5", None, 5, "5,000"])
def test_what_is_no_amount_is_none(text: object) -> None:
    assert amounts.read_amount(text, "UGX") is None


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(TextInvalid):
        amounts.currency_of("mtnatlantis")


def test_a_business_is_not_paid() -> None:
    business = BusinessPayee(BusinessKind.TILL, "600977", "")

    with pytest.raises(ChoiceInvalid):
        request.transfer(payout(payee=business), target_environment=ENVIRONMENT, callback_url="")


@given(st.text(max_size=400))
def test_a_note_holds_nothing_that_the_gateway_refuses(words: str) -> None:
    note = request.note(words)

    assert len(note) <= 160
    assert not set(note) & set("'\"&<>\u2019\n\\")


@pytest.mark.parametrize("reference", ["", "O'Neil", "x" * 65])
def test_a_reference_is_refused_rather_than_fitted(reference: str) -> None:
    with pytest.raises(TextInvalid):
        request.request_to_pay(prompt(account_reference=reference), target_environment=ENVIRONMENT, callback_url="")


@pytest.mark.parametrize("checkout", ["../../account/balance", "E0B6F1D4", ""])
def test_an_id_that_is_no_uuid_never_becomes_a_path(checkout: str) -> None:
    with pytest.raises(TextInvalid):
        request.request_to_pay_status(prompt_inquiry(checkout=checkout))


def test_no_repr_shows_a_number() -> None:
    built = request.transfer(payout(), target_environment=ENVIRONMENT, callback_url="https://secret.example/token")

    assert "250781234567" not in repr(built)
    assert "token" not in repr(built)
    assert REFERENCE not in repr(built)
