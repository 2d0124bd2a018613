"""The B2C request as built, and its immediate answer as read."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.daraja import messages
from adapters.daraja.credentials import DarajaSettings
from adapters.daraja.messages import TokenRefused
from adapters.daraja.results import read_payout_callback
from adapters.provider import PayoutCallback
from adapters.transport import Secret
from ledger.errors import AmountNotPayable
from ledger.money import Money
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown, PayoutInstruction, Rejected
from tests.adapters.daraja.examples import CONVERSATION_ID, REFERENCE, URLS, example, instruction, status_of

PLAIN_SETTINGS = DarajaSettings(
    base_url="https://api.example",
    consumer_key=Secret("k"),
    consumer_secret=Secret("s"),
    initiator_name="daftari_api",
    initiator_password=Secret("p"),
    certificate=b"",
    shortcode="600584",
)
VERSION_1_SETTINGS = dataclasses.replace(PLAIN_SETTINGS, api_version="v1")


def build(payout: PayoutInstruction, settings: DarajaSettings = PLAIN_SETTINGS) -> dict[str, str]:
    return messages.payout_request(
        payout, settings=settings, security_credential=Secret("Y3JlZA=="), callback_urls=URLS
    )


def read(status: int, body: bytes) -> messages.SubmissionAnswer:
    return messages.read_payout_answer(status, body, provider_reference=REFERENCE)


def error_body(code: str, text: str) -> bytes:
    return json.dumps(
        {"requestId": "f663-55dc-c417-ca2040498fa66115539", "errorCode": code, "errorMessage": text}
    ).encode()


@pytest.mark.parametrize(
    ("version_settings", "name"),
    [(PLAIN_SETTINGS, "b2c-v3-request.json"), (VERSION_1_SETTINGS, "b2c-v1-request.json")],
)
def test_the_request_is_the_documented_one_in_the_documented_order(version_settings: DarajaSettings, name: str) -> None:
    documented = json.loads(example(name))

    document = build(instruction(), version_settings)

    ours = {"SecurityCredential": "Y3JlZA==", "Occassion": REFERENCE, "Occasion": REFERENCE}
    assert list(document.items()) == [(key, ours.get(key, value)) for key, value in documented.items()]


@pytest.mark.parametrize(
    ("purpose", "command_id"),
    [
        ("salary", "SalaryPayment"),
        ("SALARY", "SalaryPayment"),
        ("promotion", "PromotionPayment"),
        ("loan", "BusinessPayment"),
        ("", "BusinessPayment"),
    ],
)
def test_the_command_follows_from_the_purpose(purpose: str, command_id: str) -> None:
    document = build(instruction(purpose=purpose))

    assert document["CommandID"] == command_id


@given(st.text(max_size=300))
def test_remarks_always_fit_the_documented_length(remarks: str) -> None:
    document = build(instruction(remarks=remarks))

    assert 2 <= len(document["Remarks"]) <= 100
    assert document["Remarks"].isprintable()


def test_ten_shillings_and_fifty_cents_are_refused_and_not_rounded() -> None:
    with pytest.raises(AmountNotPayable, match=r"10\.50"):
        build(instruction(amount=Money("KES", 1_050)))


@given(st.integers(-(10**15), 10**15))
def test_an_amount_is_sent_exactly_or_refused(minor_units: int) -> None:
    payable = minor_units % 100 == 0 and 1_000 <= minor_units <= 25_000_000

    if payable:
        assert int(build(instruction(amount=Money("KES", minor_units)))["Amount"]) * 100 == minor_units
    else:
        with pytest.raises(AmountNotPayable):
            build(instruction(amount=Money("KES", minor_units)))


@given(st.integers(10, 250_000))
def test_every_whole_shilling_within_the_limits_is_sent_as_it_is(shillings: int) -> None:
    document = build(instruction(amount=Money("KES", shillings * 100)))

    assert document["Amount"] == str(shillings)


@pytest.mark.parametrize("currency", ["USD", "RWF", "UGX"])
def test_another_currency_is_refused(currency: str) -> None:
    with pytest.raises(AmountNotPayable, match="KES only"):
        build(instruction(amount=Money(currency, 100_000)))


@given(
    shillings=st.integers(10, 250_000),
    subscriber=st.integers(0, 10**8 - 1),
    reference=st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{1,35}", fullmatch=True),
    shortcode=st.from_regex(r"[1-9][0-9]{4,6}", fullmatch=True),
)
def test_a_request_echoed_by_a_timeout_reads_as_what_was_built(
    shillings: int, subscriber: int, reference: str, shortcode: str
) -> None:
    payout = instruction(
        amount=Money("KES", shillings * 100),
        msisdn=f"2547{subscriber:08d}",
        provider_reference=reference,
        shortcode=shortcode,
    )

    callback = read_payout_callback("timeout", json.dumps(build(payout)).encode())

    assert isinstance(callback, PayoutCallback)
    assert callback.reference == payout.provider_reference
    assert (callback.amount, callback.msisdn, callback.shortcode) == (payout.amount, payout.msisdn, payout.shortcode)


def test_an_acknowledgement_names_the_conversation() -> None:
    answer = read(200, example("b2c-response.json"))

    assert answer == Acknowledged((("daraja.conversation_id", CONVERSATION_ID),))


def test_an_acknowledgement_of_version_1_also_names_the_gateways_own_originator_id() -> None:
    answer = read(200, example("b2c-v1-response.json"))

    assert answer == Acknowledged((
        ("daraja.conversation_id", "AG_20260901_20108052ab9226d512c4"),
        ("daraja.originator_conversation_id", "78383-90385802-2"),
    ))  # fmt: skip


def test_a_response_code_that_is_a_number_acknowledges_too() -> None:
    assert isinstance(read(200, b'{"ResponseCode": 0}'), Acknowledged)


@pytest.mark.parametrize("body", [b'{"ResponseCode": "1"}', b'{"ResponseCode": "SVC0403"}', b'{"ResponseCode": ""}'])
def test_any_other_response_code_proves_nothing(body: bytes) -> None:
    assert isinstance(read(200, body), OutcomeUnknown)


def test_an_undocumented_response_code_still_keeps_the_conversation() -> None:
    body = json.dumps({"ResponseCode": "7", "ConversationID": CONVERSATION_ID}).encode()

    answer = read(200, body)

    assert answer == OutcomeUnknown("accepted with ResponseCode 7", (("daraja.conversation_id", CONVERSATION_ID),))


UNREADABLE_BODIES = [
    b"",
    b"null",
    b"[]",
    b"0",
    b"<html></html>",
    b"\xff",
    b"{",
    b'{"ResponseCode": NaN}',
    b"[" * 50_000,
]


@pytest.mark.parametrize("body", [b"{}", *UNREADABLE_BODIES])
@pytest.mark.parametrize("status", [200, 201, 301, 400, 401, 404, 408, 429, 500, 502, 503, 504])
def test_a_body_without_a_documented_meaning_proves_nothing_under_any_status(status: int, body: bytes) -> None:
    assert isinstance(read(status, body), OutcomeUnknown)


EXAMPLE_ANSWERS: dict[str, Any] = {
    "b2c-error-duplicate-originator.json": OutcomeUnknown,
    "b2c-error-system-internal.json": OutcomeUnknown,
    "b2c-error-invalid-initiator-name.json": Rejected,
    "b2c-error-v3-not-authorised.json": Rejected,
    "error-auth-header-404.json": Rejected,
    "error-gateway-503.html": OutcomeUnknown,
    "error-internal-500.json": OutcomeUnknown,
    "error-invalid-access-token-400.json": TokenRefused,
    "error-invalid-access-token-401.json": TokenRefused,
    "error-invalid-access-token-404.json": TokenRefused,
    "error-invalid-access-token-apigee-401.json": TokenRefused,
    "error-invalid-payload-400.json": Rejected,
    "error-method-405.json": Rejected,
    "error-no-apiproduct-401.json": Rejected,
    "error-not-found-404.json": Rejected,
    "error-quota-500.json": NotSent,
    "error-spike-arrest-500.json": NotSent,
    "error-spike-arrest-apigee-429.json": NotSent,
}


@pytest.mark.parametrize(("name", "expected"), EXAMPLE_ANSWERS.items())
def test_each_example_of_an_error_is_read_for_what_it_proves(name: str, expected: type[object]) -> None:
    assert isinstance(read(status_of(name), example(name)), expected)


def test_a_rejection_keeps_the_providers_code_and_text() -> None:
    answer = read(400, example("b2c-error-invalid-initiator-name.json"))

    assert answer == Rejected("400.002.02", "Bad Request - Invalid InitiatorName")


def test_a_duplicate_says_seen_and_does_not_say_paid() -> None:
    answer = read(500, example("b2c-error-duplicate-originator.json"))

    assert answer == OutcomeUnknown(
        "seen before under this OriginatorConversationID, which does not say that it was paid"
    )


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("text", ["System internal error.", "Service is currently under maintenance"])
def test_the_other_meanings_of_the_duplicates_code_are_told_apart_by_text(status: int, text: str) -> None:
    answer = read(status, error_body("500.002.1001", text))

    assert answer == OutcomeUnknown(f"HTTP {status} 500.002.1001 {text}")


def test_a_quota_is_waited_for_longer_than_a_spike() -> None:
    spike = read(500, example("error-spike-arrest-500.json"))
    quota = read(500, example("error-quota-500.json"))

    assert isinstance(spike, NotSent)
    assert isinstance(quota, NotSent)
    assert spike.retry_after_seconds < quota.retry_after_seconds


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "400.002.02"),  # a documented refusal, but under a status that proves nothing
        (200, "400.002.02"),
        (500, "401.002.01"),
        (200, "500.003.02"),
        (400, "500.003.02"),
        (400, "400.999.99"),
        (409, "409.001.01"),
        (500, "500.001.1001"),
        (500, "500.003.1001"),
    ],
)
def test_a_code_under_the_wrong_status_or_unknown_proves_nothing(status: int, code: str) -> None:
    assert isinstance(read(status, error_body(code, "Something")), OutcomeUnknown)


def test_an_apigee_fault_for_a_missing_product_is_a_rejection() -> None:
    fault = {
        "faultstring": "Invalid API call as no apiproduct match found",
        "detail": {"errorcode": "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound"},
    }

    answer = read(401, json.dumps({"fault": fault}).encode())

    assert isinstance(answer, Rejected)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("ResponseCode", "ConversationID", "errorCode", "errorMessage", "fault", "detail"), JSON),
)


@given(status=st.integers(100, 599), body=st.binary(max_size=400))
def test_no_bytes_make_the_reader_raise(status: int, body: bytes) -> None:
    assert isinstance(read(status, body), OutcomeUnknown | Acknowledged)


@hypothesis_settings(deadline=None)
@given(status=st.integers(100, 599), document=MEMBERS | JSON)
def test_no_json_makes_the_reader_raise_or_take_a_5xx_for_a_refusal(status: int, document: Any) -> None:
    answer = read(status, json.dumps(document).encode())

    assert not (status >= 500 and isinstance(answer, Rejected | Acknowledged))
