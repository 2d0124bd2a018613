"""The answer that comes back at once, to a prompt and to the question about one, as read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.daraja import stk_answers
from adapters.daraja.answers import TokenRefused
from ledger.outbox.collecting import Prompted, PromptFailed, PromptPaid, PromptPending
from ledger.outbox.instruction import Blame, NotSent, OutcomeUnknown, Rejected
from tests.adapters.daraja.collecting import CHECKOUT, JSON, encode, names
from tests.adapters.daraja.examples import example, status_of


def asked(status: int, body: bytes) -> stk_answers.QuestionAnswer:
    return stk_answers.read_query_answer(status, body, checkout=CHECKOUT)


def error(text: str, code: str = "500.001.1001") -> bytes:
    return encode({"requestId": "f663-55dc-c417-ca2040498fa66115539", "errorCode": code, "errorMessage": text})


def test_a_prompt_taken_in_names_its_id_and_shows_it_nowhere() -> None:
    answer = stk_answers.read_prompt_answer(200, example("stk-push-response.json"))

    assert answer == Prompted(CHECKOUT)
    assert CHECKOUT not in repr(answer)


@pytest.mark.parametrize(
    "body",
    [
        {"ResponseCode": "0"},
        {"ResponseCode": "0", "CheckoutRequestID": ""},
        {"ResponseCode": "0", "CheckoutRequestID": None},
        {"ResponseCode": "0", "CheckoutRequestID": ["x"]},
        {"ResponseCode": "1", "CheckoutRequestID": CHECKOUT},
        {"CheckoutRequestID": CHECKOUT},
        {},
    ],
)
def test_an_acceptance_without_its_id_or_its_code_proves_nothing(body: dict[str, Any]) -> None:
    answer = stk_answers.read_prompt_answer(200, encode(body))

    assert isinstance(answer, OutcomeUnknown)
    assert CHECKOUT not in repr(answer)


SUBMISSION_ERRORS: dict[str, object] = {
    "stk-push-error-invalid-phone.json": Rejected("400.002.02", "Bad Request - Invalid PhoneNumber"),
    "stk-push-error-invalid-callback-url.json": Rejected("400.002.02", "Bad Request - Invalid CallBackURL"),
    "stk-push-error-merchant-unknown.json": Rejected("500.001.1001", "Merchant does not exist", Blame.ACCESS),
    "stk-push-error-wrong-credentials.json": Rejected(
        "500.001.1001", "[MerchantValidate] - Wrong credentials", Blame.ACCESS
    ),
    "stk-push-error-subscriber-locked.json": Rejected(
        "500.001.1001", "Unable to lock subscriber, a transaction is already in process for the current subscriber"
    ),
    "stk-push-error-busy.json": OutcomeUnknown,
    "stk-query-error-being-processed.json": OutcomeUnknown,
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
QUESTION_ERRORS: dict[str, type[object]] = {
    "stk-query-error-being-processed.json": PromptPending,
    "stk-push-error-invalid-phone.json": NotSent,
    "stk-push-error-wrong-credentials.json": NotSent,
    "stk-push-error-merchant-unknown.json": NotSent,
    "stk-push-error-busy.json": NotSent,
    "error-gateway-503.html": OutcomeUnknown,
    "error-internal-500.json": OutcomeUnknown,
    "error-invalid-access-token-404.json": TokenRefused,
    "error-invalid-payload-400.json": NotSent,
    "error-not-found-404.json": NotSent,
    "error-quota-500.json": NotSent,
    "error-spike-arrest-500.json": NotSent,
    "error-spike-arrest-apigee-429.json": NotSent,
}


@pytest.mark.parametrize(("name", "expected"), SUBMISSION_ERRORS.items())
def test_each_error_answer_to_a_prompt_is_read_for_what_it_proves(name: str, expected: object) -> None:
    answer = stk_answers.read_prompt_answer(status_of(name), example(name))

    assert isinstance(answer, expected) if isinstance(expected, type) else answer == expected


@pytest.mark.parametrize(("name", "expected"), QUESTION_ERRORS.items())
def test_each_error_answer_to_a_question_is_read_for_what_it_proves(name: str, expected: type[object]) -> None:
    assert isinstance(asked(status_of(name), example(name)), expected)


def test_every_example_of_an_error_answer_to_a_prompt_is_read_by_a_test() -> None:
    assert set(names("stk-push-error-") + names("error-")) <= set(SUBMISSION_ERRORS)


@pytest.mark.parametrize("text", ["Wrong credentials", "MERCHANT DOES NOT EXIST", "x - unable to lock subscriber"])
def test_the_text_of_the_code_with_many_meanings_decides_and_only_with_that_code(text: str) -> None:
    assert isinstance(stk_answers.read_prompt_answer(500, error(text)), Rejected)
    assert isinstance(stk_answers.read_prompt_answer(500, error(text, "500.003.1001")), OutcomeUnknown)
    assert isinstance(stk_answers.read_prompt_answer(200, error(text)), OutcomeUnknown)


@pytest.mark.parametrize("text", ["Internal Server Error", "The transaction is being processed", ""])
def test_any_other_text_of_that_code_leaves_the_prompt_unknown(text: str) -> None:
    assert isinstance(stk_answers.read_prompt_answer(500, error(text)), OutcomeUnknown)


QUERY_ANSWERS: dict[str, object] = {
    "stk-query-response-success.json": PromptPaid(None),
    "stk-query-response-cancelled.json": PromptFailed("1032", "Request cancelled by user"),
    "stk-query-response-still-processing.json": PromptPending(
        "ResultCode 4999: The transaction is still under processing"
    ),
}


@pytest.mark.parametrize("name", names("stk-query-response-"))
def test_each_answer_to_a_question_is_read_for_what_it_says(name: str) -> None:
    assert asked(200, example(name)) == QUERY_ANSWERS[name]


def test_a_result_code_that_is_a_number_counts_as_well() -> None:
    answer = asked(200, encode({"ResponseCode": 0, "CheckoutRequestID": CHECKOUT, "ResultCode": 0}))

    assert answer == PromptPaid(None)


@pytest.mark.parametrize(
    "changes",
    [
        {"ResponseCode": "1"},
        {"CheckoutRequestID": "ws_CO_01092026101530960700000018"},
        {"CheckoutRequestID": None},
        {"ResultCode": None},
        {"ResultCode": ""},
        {"ResultCode": True},
    ],
)
def test_an_answer_about_another_prompt_or_without_its_codes_proves_nothing(changes: dict[str, Any]) -> None:
    told = {"ResponseCode": "0", "CheckoutRequestID": CHECKOUT, "ResultCode": "0"}

    answer = asked(200, encode(told | changes))

    assert isinstance(answer, OutcomeUnknown)
    assert "ws_CO" not in repr(answer)


@given(st.text(alphabet="0123456789SFC_I.", min_size=1, max_size=7))
def test_a_code_that_nobody_documents_is_pending_and_never_failed(code: str) -> None:
    answer = asked(200, encode({"ResponseCode": "0", "ResultCode": f"77{code}", "ResultDesc": "?"}))

    assert isinstance(answer, PromptPending)
    assert f"77{code}" in answer.reason


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html></html>", b"\xff", b"{", b"{}", b"[" * 50_000])
def test_a_body_without_a_documented_meaning_proves_nothing_under_any_status(status: int, body: bytes) -> None:
    assert isinstance(stk_answers.read_prompt_answer(status, body), OutcomeUnknown)
    assert isinstance(asked(status, body), OutcomeUnknown)


@hypothesis_settings(deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=300) | JSON.map(encode))
def test_nothing_makes_a_reader_raise(status: int, body: bytes) -> None:
    assert isinstance(stk_answers.read_prompt_answer(status, body), OutcomeUnknown)
    assert isinstance(asked(status, body), OutcomeUnknown)
