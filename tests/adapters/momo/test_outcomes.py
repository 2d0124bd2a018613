"""What a status proves, and that a callback proves nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.momo import outcomes, reasons
from adapters.provider import CallbackUnreadable
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import Payer, PayerForm, PromptFailed, PromptPaid, PromptPending, Received
from ledger.outbox.instruction import Blame, Failed, OutcomeUnknown, Settled
from tests.adapters.momo.examples import NOW, example, index, inquiry, prompt_inquiry

KINDS = {"SUCCEEDED": Settled, "FAILED": Failed, "PENDING": OutcomeUnknown}
PROMPT_KINDS = {"SUCCEEDED": PromptPaid, "FAILED": PromptFailed, "PENDING": PromptPending}


def of_kind(kind: str) -> list[dict[str, str]]:
    return [entry for entry in index() if entry["kind"] == kind and entry["expect"] in KINDS]


@pytest.mark.parametrize("entry", of_kind("transfer.status"), ids=lambda entry: entry["file"])
def test_each_status_of_a_transfer_means_what_the_index_says(entry: dict[str, str]) -> None:
    document = example(entry["file"].removesuffix(".http")).document

    assert isinstance(outcomes.judge_transfer(document, inquiry(), now=NOW), KINDS[entry["expect"]])


@pytest.mark.parametrize("entry", of_kind("requesttopay.status"), ids=lambda entry: entry["file"])
def test_each_status_of_a_request_to_pay_means_what_the_index_says(entry: dict[str, str]) -> None:
    document = example(entry["file"].removesuffix(".http")).document

    told = outcomes.judge_request_to_pay(document, prompt_inquiry(), now=NOW)

    assert isinstance(told, PROMPT_KINDS[entry["expect"]])


def told(**changes: Any) -> Settled | Failed | OutcomeUnknown:
    """The example of a success with members replaced, or removed where None."""
    document = example("transfer_status_200_successful").document | changes
    kept = {key: value for key, value in document.items() if value is not None}
    return outcomes.judge_transfer(kept, inquiry(), now=NOW)


def failed(reason: object) -> Settled | Failed | OutcomeUnknown:
    return told(status="FAILED", financialTransactionId=None, reason=reason)


def test_a_success_is_settled_under_the_financial_transaction() -> None:
    assert told() == Settled("912044318", Money("RWF", 1500), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"financialTransactionId": None},
        {"financialTransactionId": ""},
        {"amount": None},
        {"amount": "1500.50"},
        {"currency": "XXX"},
        {"externalId": "another"},
        {"externalId": None},
        {"status": "SUCCESS"},
        {"status": "COMPLETED"},
        {"status": None},
        {"status": "PENDING", "reason": "PAYEE_NOT_FOUND"},
        {"status": "FAILED", "reason": "PAYEE_NOT_FOUND"},
    ],
)
def test_what_is_told_with_a_gap_or_a_contradiction_proves_nothing(changes: dict[str, Any]) -> None:
    assert isinstance(told(**changes), OutcomeUnknown)


def test_another_amount_is_told_as_it_is_for_the_books_to_contradict() -> None:
    assert told(amount="1600") == Settled("912044318", Money("RWF", 1600), NOW)


@pytest.mark.parametrize("code", sorted(reasons.FAILURES))
def test_a_documented_reason_fails_as_text_and_as_an_object(code: str) -> None:
    for reason in (code, {"code": code, "message": "words"}):
        outcome = failed(reason)
        assert isinstance(outcome, Failed)
        assert outcome.code == code


@pytest.mark.parametrize(
    "reason", ["ONGOING", "PAYER_DELAYED", "SOMETHING_NEW", {"message": "no code"}, {"code": ["x"]}, ["x"], 7.5, True]
)
def test_an_undocumented_reason_proves_nothing(reason: object) -> None:
    assert isinstance(failed(reason), OutcomeUnknown)


@pytest.mark.parametrize("reason", [None, ""])
def test_failed_without_a_reason_is_failed(reason: object) -> None:
    assert failed(reason) == Failed("FAILED", "")


def test_blame_lies_with_our_access_where_every_payment_would_fail() -> None:
    outcome, other = failed("NOT_ALLOWED_TARGET_ENVIRONMENT"), failed("NOT_ENOUGH_FUNDS")

    assert isinstance(outcome, Failed)
    assert outcome.blame is Blame.ACCESS
    assert isinstance(other, Failed)
    assert other.blame is Blame.PAYMENT


def test_a_paid_request_is_a_receipt_of_its_payer() -> None:
    document = example("requesttopay_status_200_successful").document

    paid = outcomes.judge_request_to_pay(document, prompt_inquiry(), now=NOW)

    payer = Payer(PayerForm.PLAIN, "250788000111")
    assert paid == PromptPaid(Received("912044402", "", Money("RWF", 2500), NOW, payer))


@pytest.mark.parametrize("changes", [{"amount": "2600"}, {"financialTransactionId": ""}, {"status": "PAID"}])
def test_a_request_told_with_a_contradiction_is_pending(changes: dict[str, str]) -> None:
    document = example("requesttopay_status_200_successful").document | changes

    assert isinstance(outcomes.judge_request_to_pay(document, prompt_inquiry(), now=NOW), PromptPending)


@pytest.mark.parametrize(
    "name", ["transfer_callback_put_successful", "transfer_callback_post_successful", "transfer_callback_put_failed"]
)
def test_a_callback_says_whose_it_is_and_proves_nothing(name: str) -> None:
    read = outcomes.read_payout_callback(example(name).body)

    assert not isinstance(read, CallbackUnreadable)
    assert isinstance(read.outcome, OutcomeUnknown)
    assert (read.reference, read.amount, read.msisdn) == (
        "DAF-2026-000417",
        Money("RWF", 1500),
        Msisdn("250781234567"),
    )


def test_a_prompts_callback_names_no_prompt_and_proves_nothing() -> None:
    read = outcomes.read_prompt_callback(example("requesttopay_callback_put_successful").body)

    assert not isinstance(read, CallbackUnreadable)
    assert read.checkout is None
    assert isinstance(read.outcome, PromptPending)


@given(
    st.binary(max_size=200) | st.dictionaries(st.text(max_size=8), st.text(max_size=8)).map(json.dumps).map(str.encode)
)
def test_no_bytes_raise(body: bytes) -> None:
    outcomes.read_payout_callback(body)
    outcomes.read_prompt_callback(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=10), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(st.dictionaries(st.sampled_from(sorted(example("transfer_status_200_failed_reason_object").document)), JSON))
def test_no_document_settles_or_fails_without_naming_ours(document: dict[str, Any]) -> None:
    outcome = outcomes.judge_transfer(document, inquiry(), now=NOW)

    if document.get("externalId") != "DAF-2026-000417":
        assert isinstance(outcome, OutcomeUnknown)
