"""The answer that comes back at once, to a payment and to a question, as read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.daraja import answers
from adapters.daraja.answers import TokenRefused
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown, Rejected
from tests.adapters.daraja.examples import CONVERSATION_ID, REFERENCE, example, status_of


def read(status: int, body: bytes) -> answers.SubmissionAnswer:
    return answers.read_payout_answer(status, body, sent_under=REFERENCE)


def read_unguarded(status: int, body: bytes) -> answers.SubmissionAnswer:
    return answers.read_payout_answer(status, body, sent_under=None)


def error_body(code: str, text: str) -> bytes:
    return json.dumps(
        {"requestId": "f663-55dc-c417-ca2040498fa66115539", "errorCode": code, "errorMessage": text}
    ).encode()


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


EXAMPLE_ANSWERS: dict[str, type[object]] = {
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


def test_a_b2b_acknowledgement_names_the_conversation_and_the_gateways_own_originator_id() -> None:
    answer = read_unguarded(200, example("b2b-response.json"))

    assert answer == Acknowledged((
        ("daraja.conversation_id", "AG_20260901_201059f0951457a7f6a2"),
        ("daraja.originator_conversation_id", "3fa6-3db6-953f-4371aeffee382906074"),
    ))  # fmt: skip


BUSY = error_body("500.003.02", "System is busy. Please try again in few minutes.")


def test_a_busy_system_may_have_taken_the_payment_in() -> None:
    assert isinstance(read(500, BUSY), OutcomeUnknown)
    assert isinstance(read_unguarded(500, BUSY), OutcomeUnknown)
    assert isinstance(answers.read_question_answer(500, BUSY), NotSent)


@pytest.mark.parametrize(("name", "expected"), EXAMPLE_ANSWERS.items())
def test_without_an_id_of_ours_each_error_proves_the_same(name: str, expected: type[object]) -> None:
    assert isinstance(read_unguarded(status_of(name), example(name)), expected)


@pytest.mark.parametrize("name", ["transaction-status-response.json", "account-balance-response.json"])
def test_a_question_taken_in_keeps_its_id_apart_from_those_of_payments(name: str) -> None:
    answer = answers.read_question_answer(200, example(name))

    conversation_id = json.loads(example(name))["ConversationID"]
    assert answer == Acknowledged((("daraja.query_conversation_id", conversation_id),))


@pytest.mark.parametrize(("name", "of_payment"), EXAMPLE_ANSWERS.items())
def test_an_error_answer_to_a_question_never_says_anything_of_a_payment(name: str, of_payment: type[object]) -> None:
    answer = answers.read_question_answer(status_of(name), example(name))

    # A refused question was provably not asked; otherwise the same is known as of a payment.
    assert isinstance(answer, NotSent if of_payment is Rejected else of_payment)


TOKEN_TEXTS = [
    (400, "400.003.01", "Invalid Access Token"),
    (401, "401.002.01", "Error Occurred - Invalid Access Token - 283da7096f3cd58f166d86251d0a"),
    (404, "404.001.03", "Invalid Access Token"),
]


@pytest.mark.parametrize(("status", "code", "text"), TOKEN_TEXTS)
def test_a_refused_token_is_known_in_the_form_of_each_family(status: int, code: str, text: str) -> None:
    for answer in (
        read(status, error_body(code, text)),
        read_unguarded(status, error_body(code, text)),
        answers.read_question_answer(status, error_body(code, text)),
    ):
        assert answer == TokenRefused()


@given(status=st.integers(100, 599), body=st.binary(max_size=400))
def test_no_bytes_make_the_reader_of_questions_raise(status: int, body: bytes) -> None:
    assert isinstance(answers.read_question_answer(status, body), OutcomeUnknown | Acknowledged)


@hypothesis_settings(deadline=None)
@given(status=st.integers(100, 599), document=MEMBERS | JSON)
def test_no_json_makes_the_reader_of_questions_raise_or_say_more_than_it_may(status: int, document: Any) -> None:
    answer = answers.read_question_answer(status, json.dumps(document).encode())

    assert isinstance(answer, Acknowledged | NotSent | OutcomeUnknown | TokenRefused)
    assert not (status >= 300 and isinstance(answer, Acknowledged))
