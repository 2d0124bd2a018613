"""C2B: registration as built and answered, validations and confirmations as read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.collecting import Registered
from adapters.daraja import c2b
from adapters.daraja.answers import TokenRefused
from adapters.provider import CallbackUnreadable
from ledger.money import Money
from ledger.outbox.collecting import Payer, PayerForm, Received, Refusal
from ledger.outbox.instruction import NotSent, OutcomeUnknown, Rejected
from tests.adapters.daraja.collecting import (
    JSON,
    PAYER,
    REGISTRATION,
    confirmation,
    encode,
    names,
    others,
    without,
)
from tests.adapters.daraja.examples import example, status_of

RECEIVED = Received(
    receipt="UI1M4N557P",
    shortcode="600584",
    amount=Money("KES", 45_000),
    completed_at=datetime(2026, 9, 1, 8, 2, 9, tzinfo=UTC),
    payer=Payer(PayerForm.MASKED, "2547 ***** 017", "WANJIRU"),
    reference="LN000417",
    balance_after=Money("KES", 120_624_550),
)
PAYERS = {
    "c2b-confirmation-masked.json": RECEIVED.payer,
    "c2b-confirmation-masked-compact.json": Payer(PayerForm.MASKED, "25470****017", "WANJIRU TESTER"),
    "c2b-confirmation-hashed.json": Payer(
        PayerForm.HASHED, "279a1824f7a0ad028d27cfc8fdbf7542bd41110bfcacbce1ea54fb5dd4a97a85", "WANJIRU"
    ),
    "c2b-confirmation-v1-plain.json": Payer(PayerForm.PLAIN, PAYER, "WANJIRU ACHIENG TESTER"),
}


def read(document: Any) -> Received:
    received = c2b.read_payment(encode(document))
    assert isinstance(received, Received)
    return received


def payer_of(number: Any, *name: Any) -> Payer | None:
    first, middle, last = (*name, None, None, None)[:3]
    return read(confirmation(MSISDN=number, FirstName=first, MiddleName=middle, LastName=last)).payer


def test_addresses_are_registered_as_documented() -> None:
    request = c2b.registration(REGISTRATION)

    assert list(request.document.items()) == list(json.loads(example("c2b-register-url-request.json")).items())
    assert request.path == "/mpesa/c2b/v2/registerurl"


def test_what_happens_to_a_payment_whose_question_stays_unanswered_is_ours_to_say() -> None:
    strict = c2b.registration(dataclasses.replace(REGISTRATION, accepts_unanswered=False))

    assert strict.document["ResponseType"] == "Cancelled"


def test_a_request_does_not_show_its_addresses() -> None:
    assert "k7Qd2" not in repr(c2b.registration(REGISTRATION)) + repr(REGISTRATION)


REGISTRATION_ANSWERS: dict[str, object] = {
    "c2b-register-url-response.json": Registered(),
    "c2b-register-url-error-already-registered.json": Registered(before=True),
    "error-internal-500.json": OutcomeUnknown,
    "error-gateway-503.html": OutcomeUnknown,
    "stk-push-error-busy.json": OutcomeUnknown,
    "error-invalid-access-token-400.json": TokenRefused,
    "error-invalid-payload-400.json": Rejected,
    "error-no-apiproduct-401.json": Rejected,
    "error-quota-500.json": NotSent,
    "error-spike-arrest-apigee-429.json": NotSent,
}


@pytest.mark.parametrize(("name", "expected"), REGISTRATION_ANSWERS.items())
def test_each_answer_to_a_registration_is_read_for_what_it_proves(name: str, expected: object) -> None:
    answer = c2b.read_registration_answer(status_of(name), example(name))

    assert isinstance(answer, expected) if isinstance(expected, type) else answer == expected


@pytest.mark.parametrize("body", [{}, {"ResponseCode": "1"}, {"errorMessage": "Urls are already registered."}])
def test_an_acceptance_without_its_code_proves_nothing(body: dict[str, Any]) -> None:
    assert isinstance(c2b.read_registration_answer(200, encode(body)), OutcomeUnknown)


@pytest.mark.parametrize("name", PAYERS)
def test_a_confirmation_is_a_receipt_whose_payer_is_kept_as_what_it_is(name: str) -> None:
    assert c2b.read_payment(example(name)) == dataclasses.replace(RECEIVED, payer=PAYERS[name])


def test_a_confirmation_of_a_till_has_no_reference_and_the_tills_number() -> None:
    assert c2b.read_payment(example("c2b-confirmation-buygoods.json")) == Received(
        receipt="UI1YX00VTB",
        shortcode="6005841",
        amount=Money("KES", 35_000),
        completed_at=datetime(2026, 9, 1, 8, 9, 9, tzinfo=UTC),
        payer=Payer(PayerForm.MASKED, "2547 ***** 028", "BARAKA"),
        reference="",
        balance_after=Money("KES", 931_250),
    )


def test_a_validation_names_the_payment_to_come_and_no_balance() -> None:
    received = c2b.read_payment(example("c2b-validation-request.json"))

    assert received == dataclasses.replace(RECEIVED, balance_after=None)


def test_every_example_of_a_confirmation_is_read_by_a_test() -> None:
    told = set(names("c2b-confirmation-")) - {"c2b-confirmation-response.json"}

    assert told == {*PAYERS, "c2b-confirmation-buygoods.json"}


@pytest.mark.parametrize("name", PAYERS)
def test_no_number_name_or_reference_of_a_payer_is_shown(name: str) -> None:
    shown = repr(c2b.read_payment(example(name)))

    assert [told for told in (PAYER, "WANJIRU", "017", "279a1824", "LN000417") if told in shown] == []


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("c2b-validation-response-accept.json", None), ("c2b-validation-response-reject.json", Refusal.ACCOUNT)],
)
def test_a_validation_is_answered_as_documented(name: str, refusal: Refusal | None) -> None:
    assert json.loads(c2b.answer_validation(refusal)) == json.loads(example(name))


def test_every_refusal_has_its_own_documented_code() -> None:
    codes = [json.loads(c2b.answer_validation(refusal))["ResultCode"] for refusal in Refusal]

    assert codes == ["C2B00011", "C2B00012", "C2B00013", "C2B00015", "C2B00016"]


@pytest.mark.parametrize(
    ("number", "form", "kept"),
    [
        ("254700000017", PayerForm.PLAIN, PAYER),
        (254700000017, PayerForm.PLAIN, PAYER),
        (2.54700000017e11, PayerForm.PLAIN, PAYER),
        ("2.54700000017E11", PayerForm.PLAIN, PAYER),
        ("+254700000017", PayerForm.PLAIN, PAYER),
        ("0700000017", PayerForm.PLAIN, PAYER),
        (" 254700000017 ", PayerForm.PLAIN, PAYER),
        ("2547 ***** 126", PayerForm.MASKED, "2547 ***** 126"),
        ("25470****149", PayerForm.MASKED, "25470****149"),
        ("010****222", PayerForm.MASKED, "010****222"),
        ("25470XXXX149", PayerForm.MASKED, "25470XXXX149"),
        (hashlib.sha256(b"254700000017").hexdigest(), PayerForm.HASHED, hashlib.sha256(b"254700000017").hexdigest()),
        ("AB" * 32, PayerForm.HASHED, "ab" * 32),
        ("ab" * 31, PayerForm.MASKED, ""),
        ("000000000", PayerForm.MASKED, ""),
        ("*****", PayerForm.MASKED, ""),
        ("WANJIRU", PayerForm.MASKED, ""),
    ],
)
def test_the_form_of_a_number_is_told_by_its_shape(number: Any, form: PayerForm, kept: str) -> None:
    assert payer_of(number, "WANJIRU") == Payer(form, kept, "WANJIRU")


@pytest.mark.parametrize("number", [None, "", "  ", [], {}, True, "WANJIRU"])
def test_without_number_and_name_nobody_is_the_payer(number: Any) -> None:
    assert payer_of(number) is None


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (("WANJIRU", None, "TESTER"), "WANJIRU TESTER"),
        (("", "", "TESTER"), "TESTER"),
        ((" WANJIRU\n", "A\u00a0B", 7), "WANJIRU A B 7"),
        (("N" * 200, "", ""), "N" * 100),
        ((None, ["x"], {}), ""),
    ],
)
def test_names_are_one_line_whatever_is_missing(told: tuple[Any, ...], name: str) -> None:
    payer = payer_of(PAYER, *told)

    assert payer is not None
    assert payer.name == name


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("ln 000417 ", "ln 000417"),
        ("0712 345 678", "0712 345 678"),
        (850060, "850060"),
        ("A" * 300, "A" * 100),
        ("a\tb\r\nc", "a b  c"),
        ("", ""),
        (None, ""),
        ({"x": 1}, ""),
        ("Robert'); DROP TABLE", "Robert'); DROP TABLE"),
    ],
)
def test_what_the_payer_typed_is_kept_as_free_text(told: Any, kept: str) -> None:
    assert read(confirmation(BillRefNumber=told)).reference == kept


@pytest.mark.parametrize("key", ["TransID", "TransAmount", "TransTime", "BusinessShortCode"])
@pytest.mark.parametrize("value", [None, "", "x y", [], {}, True])
def test_without_receipt_amount_time_or_shortcode_nothing_can_be_read(key: str, value: Any) -> None:
    told = c2b.read_payment(encode(confirmation(**{key: value})))

    assert told == CallbackUnreadable(f"the body names no {key}")
    assert c2b.read_payment(encode(without(confirmation(), key))) == told


@pytest.mark.parametrize("receipt", ["UI10000000", "UI1 4N557P", "U" * 101])
def test_a_placeholder_or_no_id_at_all_is_no_receipt(receipt: str) -> None:
    assert isinstance(c2b.read_payment(encode(confirmation(TransID=receipt))), CallbackUnreadable)


@pytest.mark.parametrize(
    ("told", "minor_units"),
    [("5.00", 500), ("0.01", 1), (450, 45_000), (450.5, 45_050), ("450.10", 45_010), ("1.20431055E7", 1_204_310_550)],
)
def test_an_amount_may_be_text_or_number_and_carry_cents(told: Any, minor_units: int) -> None:
    assert read(confirmation(TransAmount=told)).amount == Money("KES", minor_units)


@pytest.mark.parametrize("told", ["5.005", "5,00", "KES 5", "", "NaN", 1e300, "-5.00", "0.00"])
def test_what_is_no_amount_of_cents_is_not_rounded(told: Any) -> None:
    assert isinstance(c2b.read_payment(encode(confirmation(TransAmount=told))), CallbackUnreadable)


def test_a_time_may_be_a_number() -> None:
    assert read(confirmation(TransTime=20260901110209)) == RECEIVED


@pytest.mark.parametrize("name", others("c2b-confirmation-", "c2b-validation-request"))
def test_no_other_message_is_taken_for_a_payment(name: str) -> None:
    assert isinstance(c2b.read_payment(example(name)), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=500) | JSON.map(encode))
def test_nothing_makes_a_reader_raise(status: int, body: bytes) -> None:
    assert isinstance(c2b.read_payment(body), CallbackUnreadable)
    assert isinstance(c2b.read_registration_answer(status, body), OutcomeUnknown)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_byte_that_changed_leaves_no_receipt_that_the_bytes_do_not_tell(place: int, byte: int) -> None:
    body = bytearray(example("c2b-confirmation-masked.json"))
    body[place % len(body)] = byte

    told = c2b.read_payment(bytes(body))

    if isinstance(told, Received):
        document = json.loads(body)
        assert Decimal(document["TransAmount"]) * 100 == told.amount.minor_units
        assert document["TransID"] == told.receipt


@hypothesis_settings(deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(confirmation())), JSON, max_size=4))
def test_a_mangled_confirmation_is_a_receipt_only_with_what_is_needed_intact(changes: dict[str, Any]) -> None:
    document = confirmation(**changes)

    told = c2b.read_payment(encode(document))

    if isinstance(told, Received):
        assert Decimal(str(document["TransAmount"])) * 100 == told.amount.minor_units
        assert str(document["TransID"]) == told.receipt
        assert told.completed_at.tzinfo is UTC


@given(cents=st.integers(1, 10**12), seconds=st.integers(0, 10**9))
def test_amount_and_time_come_back_as_daraja_wrote_them(cents: int, seconds: int) -> None:
    moment = datetime(2017, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    written = f"{moment + timedelta(hours=3):%Y%m%d%H%M%S}"

    told = read(confirmation(TransAmount=f"{cents // 100}.{cents % 100:02d}", TransTime=written))

    assert (told.amount, told.completed_at) == (Money("KES", cents), moment)
