"""B2C callbacks as read: what counts as settled, as failed, and everything else as unknown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.daraja import result_codes
from adapters.daraja.results import read_payout_callback
from adapters.provider import CallbackUnreadable, PayoutCallback
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import Blame, Failed, OutcomeUnknown, Settled
from tests.adapters.daraja.collecting import JSON
from tests.adapters.daraja.examples import (
    CONVERSATION_ID,
    MSISDN,
    REFERENCE,
    example,
    index,
    success,
    with_parameter,
)

REFERENCES = (("daraja.conversation_id", CONVERSATION_ID),)
FAILED_EXAMPLES = sorted(name for name in index() if name.startswith("b2c-result-failed-"))
UNPROVEN_CODES = {"15", "17"}


def result(body: bytes) -> PayoutCallback:
    callback = read_payout_callback("result", body)
    assert isinstance(callback, PayoutCallback)
    return callback


def result_of(document: dict[str, Any]) -> PayoutCallback:
    return result(json.dumps(document).encode())


def settled_of(document: dict[str, Any]) -> Settled:
    outcome = result_of(document).outcome
    assert isinstance(outcome, Settled)
    return outcome


def test_a_success_settles_with_receipt_amount_time_and_balances() -> None:
    callback = result(example("b2c-result-success.json"))

    assert callback == PayoutCallback(
        outcome=Settled(
            receipt="UI1YOXP20E",
            amount=Money("KES", 250_000),
            completed_at=datetime(2026, 9, 1, 7, 15, 36, tzinfo=UTC),
            references=REFERENCES,
            facts={
                "utility_available_minor_units": "120431050",
                "working_available_minor_units": "0",
                "charges_paid_available_minor_units": "-48600",
                "recipient_is_registered": "Y",
            },
        ),
        reference=REFERENCE,
        conversation_id=CONVERSATION_ID,
        msisdn=Msisdn(MSISDN),
        amount=Money("KES", 250_000),
        shortcode=None,
    )


def test_the_parameter_order_of_2017_reads_alike() -> None:
    older = result(example("b2c-result-success-legacy-order.json")).outcome
    newer = result(example("b2c-result-success.json")).outcome

    assert isinstance(older, Settled)
    assert isinstance(newer, Settled)
    assert (older.receipt, older.amount, older.completed_at) == (newer.receipt, newer.amount, newer.completed_at)
    assert older.facts["utility_available_minor_units"] == "120431000"


@pytest.mark.parametrize("name", FAILED_EXAMPLES)
def test_each_example_of_a_failure_is_failed_unless_its_code_proves_nothing(name: str) -> None:
    code = name.removeprefix("b2c-result-failed-").removesuffix(".json")
    description = json.loads(example(name))["Result"]["ResultDesc"]

    callback = result(example(name))

    if code in UNPROVEN_CODES:
        assert callback.outcome == OutcomeUnknown(f"ResultCode {code}: {description}", REFERENCES)
    else:
        blame = Blame.ACCESS if code in {"2001", "8006"} else Blame.PAYMENT
        assert callback.outcome == Failed(code, description, REFERENCES, blame)
    assert (callback.reference, callback.conversation_id) == (REFERENCE, CONVERSATION_ID)
    assert (callback.amount, callback.msisdn) == (None, None)


def test_the_examples_cover_every_code_that_counts_as_failure() -> None:
    shown = {name.removeprefix("b2c-result-failed-").removesuffix(".json") for name in FAILED_EXAMPLES}

    assert shown == set(result_codes.DEFINITE_FAILURES) | UNPROVEN_CODES


@pytest.mark.parametrize("name", ["b2c-timeout-echo.json", "b2c-timeout-result-envelope.json"])
def test_a_timeout_in_either_form_is_unknown_and_names_our_reference(name: str) -> None:
    callback = read_payout_callback("timeout", example(name))

    assert isinstance(callback, PayoutCallback)
    assert isinstance(callback.outcome, OutcomeUnknown)
    assert callback.reference == REFERENCE


def test_an_echoed_request_gives_its_party_amount_and_shortcode_but_not_its_credential() -> None:
    body = example("b2c-timeout-echo.json")

    callback = read_payout_callback("timeout", body)

    assert isinstance(callback, PayoutCallback)
    assert (callback.msisdn, callback.amount) == (Msisdn(MSISDN), Money("KES", 250_000))
    assert callback.shortcode == "600584"
    assert json.loads(body)["SecurityCredential"] not in repr(callback)
    assert json.loads(body)["ResultURL"] not in repr(callback)


def test_a_success_on_the_timeout_path_is_not_taken_for_one() -> None:
    callback = read_payout_callback("timeout", example("b2c-result-success.json"))

    assert isinstance(callback, PayoutCallback)
    assert isinstance(callback.outcome, OutcomeUnknown)


@pytest.mark.parametrize("code", [0, "0"])
@pytest.mark.parametrize("result_type", [0, "0"])
def test_codes_and_types_may_be_numbers_or_strings(code: object, result_type: object) -> None:
    assert settled_of(success(ResultCode=code, ResultType=result_type)).receipt == "UI1YOXP20E"


@pytest.mark.parametrize("result_type", [1, "1", 2, None, True])
def test_a_result_that_is_not_the_last_word_is_unknown(result_type: object) -> None:
    assert isinstance(result_of(success(ResultType=result_type)).outcome, OutcomeUnknown)
    assert isinstance(result_of(success(ResultType=result_type, ResultCode=1)).outcome, OutcomeUnknown)


@pytest.mark.parametrize("code", [7, 99, "R000002", "100000011", 4999, -1, "00", 0.0])
def test_an_unknown_code_is_unknown_and_kept_as_it_came(code: object) -> None:
    outcome = result_of(success(ResultCode=code)).outcome

    assert isinstance(outcome, OutcomeUnknown)
    assert f"ResultCode {code}:" in outcome.reason


def test_a_failure_that_names_a_receipt_is_unknown() -> None:
    assert isinstance(result_of(success(ResultCode=2001)).outcome, OutcomeUnknown)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TransactionReceipt", "UI10000000"),
        ("TransactionReceipt", ""),
        ("TransactionReceipt", None),
        ("TransactionReceipt", "UI1YOXP20E or so"),
        ("TransactionAmount", "twenty"),
        ("TransactionAmount", 0),
        ("TransactionAmount", -10),
        ("TransactionAmount", "10.005"),
        ("TransactionAmount", "1e99"),
        ("TransactionAmount", True),
        ("TransactionAmount", {"BasicAmount": 10}),
        ("TransactionCompletedDateTime", "31.02.2026 10:15:36"),
        ("TransactionCompletedDateTime", "01.01.0001 00:00:00"),
        ("TransactionCompletedDateTime", "2026-09-01T10:15:36Z"),
    ],
)
def test_a_success_without_receipt_amount_or_time_is_unknown(key: str, value: object) -> None:
    assert isinstance(result_of(with_parameter(key, value)).outcome, OutcomeUnknown)


def test_a_success_without_any_parameters_is_unknown_even_with_a_transaction_id() -> None:
    document = success()
    del document["Result"]["ResultParameters"]

    assert isinstance(result_of(document).outcome, OutcomeUnknown)


@pytest.mark.parametrize(
    ("value", "minor_units"),
    [(10, 1_000), (10.0, 1_000), ("190.00", 19_000), ("8959269.6", 895_926_960), ("1.20431055E7", 1_204_310_550)],
)
def test_amounts_are_read_exactly_from_numbers_and_strings(value: object, minor_units: int) -> None:
    assert settled_of(with_parameter("TransactionAmount", value)).amount == Money("KES", minor_units)


def test_a_fraction_too_small_for_a_binary_float_is_not_rounded_away() -> None:
    body = example("b2c-result-success.json").replace(b": 2500", b": 2500.00000000000000001")

    callback = result(body)

    assert callback.amount is None
    assert isinstance(callback.outcome, OutcomeUnknown)


def test_a_result_padded_beyond_any_documented_length_is_unreadable() -> None:
    body = example("b2c-result-success.json")

    assert isinstance(read_payout_callback("result", body.ljust(65_536)), PayoutCallback)
    assert isinstance(read_payout_callback("result", body.ljust(65_537)), CallbackUnreadable)


@pytest.mark.parametrize(
    ("name", "msisdn"),
    [
        ("254700000017 - WANJIRU ACHIENG TESTER", MSISDN),
        ("254700000017-WANJIRU", MSISDN),
        ("+254700000017", MSISDN),
        ("0700000017 - WANJIRU", MSISDN),
        ("2547****017 - WANJIRU", None),
        ("WANJIRU", None),
        ("", None),
        (None, None),
    ],
)
def test_the_receivers_number_is_read_and_the_name_is_dropped(name: object, msisdn: str | None) -> None:
    callback = result_of(with_parameter("ReceiverPartyPublicName", name))

    assert callback.msisdn == (None if msisdn is None else Msisdn(msisdn))
    assert "WANJIRU" not in repr(callback)


def test_the_gateways_own_originator_id_is_not_taken_for_ours() -> None:
    for gateway_id in ("29115-34620561-1", "f663-55dc-c417-ca2040498fa66115539"):
        callback = result_of(success(OriginatorConversationID=gateway_id))

        assert callback.reference is None
        assert ("daraja.originator_conversation_id", gateway_id) in callback.outcome.references


def test_a_single_parameter_object_is_read_like_a_list_of_one() -> None:
    single = {"ResultParameter": {"Key": "TransactionAmount", "Value": "10"}}

    callback = result_of(success(ResultParameters=single))

    assert callback.amount == Money("KES", 1_000)


@pytest.mark.parametrize(
    "parameters", [None, "", [], {}, {"ResultParameter": None}, {"ResultParameter": [None, 1, {"Key": "A"}]}]
)
def test_empty_and_odd_parameters_are_as_good_as_missing(parameters: object) -> None:
    assert isinstance(result_of(success(ResultParameters=parameters)).outcome, OutcomeUnknown)


def test_a_parameter_told_twice_alike_counts_once() -> None:
    document = success()
    items = document["Result"]["ResultParameters"]["ResultParameter"]
    items.append({"Key": "TransactionReceipt", "Value": "UI1YOXP20E"})

    assert settled_of(document).receipt == "UI1YOXP20E"


@pytest.mark.parametrize("key", ["TransactionReceipt", "TransactionAmount"])
def test_a_parameter_told_twice_differently_proves_nothing(key: str) -> None:
    document = success()
    document["Result"]["ResultParameters"]["ResultParameter"].append({"Key": key, "Value": "7"})

    assert isinstance(result_of(document).outcome, OutcomeUnknown)


def test_a_description_with_a_number_and_a_token_is_kept_without_them() -> None:
    words = f"Limit of {MSISDN} reached, token 9a1e20bfa97512822af51f144d76, see https://host/x/k7Qd2"

    outcome = result_of(success(ResultCode=4, ResultDesc=words, ResultParameters=None)).outcome

    assert outcome == Failed("4", "Limit of [number] reached, token [redacted], see [address]", REFERENCES)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"Result"',
        b"{}",
        b'{"Result": null}',
        b'{"Result": {}}',
        b'{"Result": {"ResultType": 0}}',
        b'{"Result": {"ResultType": 0, "ResultCode": [0]}}',
        b'{"Result": {"ResultType": 0, "ResultCode": true}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 0, "ResultCode": 1}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 254700000017}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 0, "Extra": NaN}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 0, "Extra": -Infinity}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 1, "ResultDesc": "\\u0000"}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 1, "ResultDesc": "\\ud800"}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 1, "ResultDesc": "\x00"}}',
        b'{"Result": {"ResultType": 0, "ResultCode": 1, "ResultDesc": "\xff\xfe"}}',
        b'{"Result": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"Result": {"ResultType": 0, "ResultCode": ' + b"9" * 50_000 + b"}}",
        b'{"Result": "' + b"x" * 10_000_000 + b'"}',
        "{}".encode("utf-16"),
        b"<html></html>",
    ],
    ids=lambda body: repr(body[:60]),
)
def test_bytes_that_are_no_documented_result_are_unreadable(body: bytes) -> None:
    assert isinstance(read_payout_callback("result", body), CallbackUnreadable)


RESULTS = sorted(name for name in index() if b'"Result":' in example(name))
NOT_PAYMENT_CALLBACKS = sorted(set(index()) - set(RESULTS) - {"b2c-timeout-echo.json"})
OUR_REQUESTS = {
    "b2b-buygoods-request.json",
    "b2b-paybill-request.json",
    "b2c-v1-request.json",
    "b2c-v3-request.json",
    "tax-remittance-request.json",
}


@pytest.mark.parametrize("name", NOT_PAYMENT_CALLBACKS)
def test_no_other_message_is_taken_for_a_result(name: str) -> None:
    assert isinstance(read_payout_callback("result", example(name)), CallbackUnreadable)


# A failed reversal tells its code and no more, and the path alone that it was a reversal.
OF_OTHER_APIS = [name for name in RESULTS if not name.startswith(("b2c-", "b2b-", "reversal-result-failed-"))]


@pytest.mark.parametrize("name", OF_OTHER_APIS)
def test_the_result_of_a_question_proves_nothing_as_the_result_of_a_payment(name: str) -> None:
    assert isinstance(result(example(name)).outcome, OutcomeUnknown)


@pytest.mark.parametrize("name", sorted(set(NOT_PAYMENT_CALLBACKS) - OUR_REQUESTS))
def test_nothing_but_our_own_request_is_taken_for_the_echo_of_one(name: str) -> None:
    assert isinstance(read_payout_callback("timeout", example(name)), CallbackUnreadable)


@pytest.mark.parametrize("party", ["00000000 - SAFI", "012345678", "000254700000017"])
def test_digits_that_are_no_number_of_anyone_name_no_payee(party: str) -> None:
    assert result_of(with_parameter("ReceiverPartyPublicName", party)).msisdn is None


@pytest.mark.parametrize("kind", ["", "results", "validation"])
def test_an_unknown_kind_of_callback_is_unreadable(kind: str) -> None:
    assert isinstance(read_payout_callback(kind, example("b2c-result-success.json")), CallbackUnreadable)


KINDS = st.sampled_from(["result", "timeout"])
FIELDS = st.sampled_from(["ResultType", "ResultCode", "ResultDesc", "OriginatorConversationID", "ResultParameters"])
KEYS = st.sampled_from(
    ["TransactionAmount", "TransactionReceipt", "TransactionCompletedDateTime", "ReceiverPartyPublicName"]
)


@given(kind=KINDS, body=st.binary(max_size=500))
def test_no_bytes_make_the_reader_raise(kind: str, body: bytes) -> None:
    assert isinstance(read_payout_callback(kind, body), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(kind=KINDS, document=JSON)
def test_no_json_makes_the_reader_raise(kind: str, document: Any) -> None:
    assert isinstance(read_payout_callback(kind, json.dumps(document).encode()), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(fields=st.dictionaries(FIELDS, JSON, max_size=2), key=KEYS, value=JSON)
def test_a_mangled_success_settles_only_with_its_proof_intact(fields: dict[str, Any], key: str, value: Any) -> None:
    document = with_parameter(key, value)
    document["Result"].update(fields)

    callback = read_payout_callback("result", json.dumps(document).encode())

    if isinstance(callback, PayoutCallback) and isinstance(callback.outcome, Settled):
        assert str(document["Result"]["ResultCode"]) == "0"
        assert str(document["Result"]["ResultType"]) == "0"
        assert callback.outcome.amount.minor_units > 0
        assert callback.outcome.completed_at.tzinfo is UTC


@given(cents=st.integers(1, 25_000_000), seconds=st.integers(0, 10**9))
def test_amount_and_time_come_back_as_daraja_wrote_them(cents: int, seconds: int) -> None:
    moment = datetime(2017, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    # East Africa is three hours ahead all year.
    local = f"{moment + timedelta(hours=3):%d.%m.%Y %H:%M:%S}"
    document = with_parameter("TransactionAmount", f"{cents // 100}.{cents % 100:02d}")
    items = document["Result"]["ResultParameters"]["ResultParameter"]
    items[:] = [item for item in items if item["Key"] != "TransactionCompletedDateTime"]
    items.append({"Key": "TransactionCompletedDateTime", "Value": local})

    settled = settled_of(document)

    assert (settled.amount, settled.completed_at) == (Money("KES", cents), moment)
