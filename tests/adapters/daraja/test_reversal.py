"""The reversal: the request as built, its callbacks as read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.collecting import ReversalCallback
from adapters.daraja import result_codes, reversal
from adapters.daraja.request import Request
from adapters.daraja.reversal_results import read_reversal_callback
from adapters.provider import CallbackUnreadable
from adapters.transport import Secret
from ledger.errors import AmountNotPayable
from ledger.money import Money
from ledger.outbox.collecting import Returned, ReturnFailed, ReversalInstruction, ReversalOutcome
from ledger.outbox.instruction import Blame, OutcomeUnknown
from tests.adapters.daraja.collecting import (
    CONVERSATION_ID,
    JSON,
    ORIGINATOR_CONVERSATION_ID,
    REVERSAL_URLS,
    encode,
    names,
    others,
    reversal_instruction,
)
from tests.adapters.daraja.examples import ACCESS, changed, example

SUCCESS = "reversal-result-success.json"
FAILED = names("reversal-result-failed-")
REFERENCES = (
    ("daraja.conversation_id", CONVERSATION_ID),
    ("daraja.originator_conversation_id", ORIGINATOR_CONVERSATION_ID),
)
RETURNED = Returned(
    receipt="UI1UT8O71D",
    original_receipt="UI1M4N557P",
    amount=Money("KES", 45_000),
    completed_at=datetime(2026, 9, 1, 10, 2, 9, tzinfo=UTC),
    charge=Money("KES", 0),
)


def build(instruction: ReversalInstruction) -> Request:
    return reversal.reversal(
        instruction, access=ACCESS, security_credential=Secret("Y3JlZA=="), callback_urls=REVERSAL_URLS
    )


def read(body: bytes, kind: str = "result") -> ReversalCallback:
    callback = read_reversal_callback(kind, body)
    assert isinstance(callback, ReversalCallback)
    return callback


def outcome_with(**changes: Any) -> ReversalOutcome:
    return read(changed(SUCCESS, changes)).outcome


def with_envelope(name: str = SUCCESS, **changes: Any) -> bytes:
    document = json.loads(example(name))
    document["Result"].update(changes)
    return encode(document)


def test_the_request_is_the_documented_one_in_the_documented_order() -> None:
    documented = json.loads(example("reversal-request.json"))

    request = build(reversal_instruction())

    ours = {"SecurityCredential": "Y3JlZA==", "Occasion": "UI1M4N557P"}
    assert list(request.document.items()) == [(key, ours.get(key, value)) for key, value in documented.items()]
    assert request.path == "/mpesa/reversal/v1/request"
    assert request.sent_under is None


@given(st.integers(-(10**15), 10**15))
def test_an_amount_is_returned_exactly_or_refused(minor_units: int) -> None:
    instruction = reversal_instruction(amount=Money("KES", minor_units))

    if minor_units % 100 == 0 and minor_units > 0:
        assert int(build(instruction).document["Amount"]) * 100 == minor_units
    else:
        with pytest.raises(AmountNotPayable):
            build(instruction)


@given(st.text(max_size=300))
def test_remarks_always_fit_the_documented_length(remarks: str) -> None:
    sent = str(build(reversal_instruction(remarks=remarks)).document["Remarks"])

    assert 2 <= len(sent) <= 100
    assert sent.isprintable()


def test_a_success_returned_under_a_receipt_of_its_own() -> None:
    assert read(example(SUCCESS)) == ReversalCallback(CONVERSATION_ID, RETURNED)


FAILURES = {
    "1": ReturnFailed("1", "The balance is insufficient for the transaction."),
    "21": ReturnFailed("21", "The initiator is not allowed to initiate this request."),
    "R000001": ReturnFailed("R000001", "The transaction has already been reversed.", returned_before=True),
    "R000002": ReturnFailed("R000002", "The OriginalTransactionID is invalid."),
}


@pytest.mark.parametrize("name", FAILED)
def test_each_documented_failure_returned_nothing(name: str) -> None:
    code = name.removeprefix("reversal-result-failed-").removesuffix(".json")

    assert read(example(name)) == ReversalCallback(CONVERSATION_ID, FAILURES[code])


@pytest.mark.parametrize("code", result_codes.REVERSAL_FAILURES)
def test_every_failure_in_the_table_says_where_the_fault_lies_and_whether_it_was_returned_before(code: str) -> None:
    outcome = read(with_envelope(FAILED[0], ResultCode=code, ResultDesc="?")).outcome

    blame = Blame.ACCESS if code in {"2001", "8006"} else Blame.PAYMENT
    assert outcome == ReturnFailed(code, "?", code == "R000001", blame)


def test_the_table_is_the_documented_one() -> None:
    assert set(result_codes.REVERSAL_FAILURES) == {
        "1", "11", "21", "2001", "2006", "2028", "8006", "R000001", "R000002",
    }  # fmt: skip


@pytest.mark.parametrize("code", [2, 3, 15, 17, 26, 1032, 4999, "R000003", "r000001", "SFC_IC0003", -1])
def test_a_code_that_this_api_does_not_document_proves_nothing(code: int | str) -> None:
    outcome = read(with_envelope(FAILED[0], ResultCode=code)).outcome

    assert isinstance(outcome, OutcomeUnknown)
    assert f"ResultCode {code}:" in outcome.reason
    assert outcome.references == REFERENCES


@pytest.mark.parametrize("code", ["21", "R000001", "1"])
def test_a_failure_that_tells_of_a_reversal_made_contradicts_itself(code: str) -> None:
    assert isinstance(read(with_envelope(ResultCode=code)).outcome, OutcomeUnknown)


@pytest.mark.parametrize("kind", [1, "1", None, "x"])
def test_a_result_that_is_not_the_last_word_proves_nothing(kind: Any) -> None:
    assert isinstance(read(with_envelope(ResultType=kind)).outcome, OutcomeUnknown)


@pytest.mark.parametrize("receipt", [None, "", "UI10000000", "UI1M4N557P", "UI1 T8O71D"])
def test_a_success_without_a_receipt_of_its_own_proves_nothing(receipt: Any) -> None:
    outcome = read(with_envelope(TransactionID=receipt)).outcome

    assert outcome == OutcomeUnknown("ResultCode 0 without a receipt of its own", REFERENCES)


@pytest.mark.parametrize(
    "changes",
    [
        {"Amount": None},
        {"Amount": 0},
        {"Amount": -450},
        {"Amount": "450.005"},
        {"TransCompletedTime": None},
        {"TransCompletedTime": "yesterday"},
    ],
)
def test_a_success_that_lacks_amount_or_time_proves_nothing(changes: dict[str, Any]) -> None:
    assert isinstance(outcome_with(**changes), OutcomeUnknown)


def test_a_success_may_leave_the_original_out() -> None:
    outcome = outcome_with(OriginalTransactionID=None)

    assert isinstance(outcome, Returned)
    assert outcome.original_receipt is None


@pytest.mark.parametrize(
    ("charge", "read_as"),
    [
        (0.0, Money("KES", 0)),
        ("12.50", Money("KES", 1_250)),
        ("Reversal Charge|KES|12.50", Money("KES", 1_250)),
        ("", None),
        (None, None),
        (-1, None),
        ("free", None),
    ],
)
def test_a_charge_is_read_where_it_is_told(charge: Any, read_as: Money | None) -> None:
    outcome = outcome_with(Charge=charge)

    assert isinstance(outcome, Returned)
    assert outcome.charge == read_as


@pytest.mark.parametrize("moment", [20260901130209, "20260901130209", "01.09.2026 13:02:09"])
def test_a_time_is_read_in_either_form(moment: Any) -> None:
    outcome = outcome_with(TransCompletedTime=moment)

    assert isinstance(outcome, Returned)
    assert outcome.completed_at == RETURNED.completed_at


def test_a_timeout_that_echoes_the_request_is_unknown_and_its_credential_is_not_kept() -> None:
    callback = read(example("reversal-request.json"), "timeout")

    assert callback == ReversalCallback(None, OutcomeUnknown("queue timeout: the request was not processed in time"))


def test_a_timeout_as_a_thin_result_is_unknown_even_where_it_says_failed() -> None:
    callback = read(example("reversal-result-failed-1.json"), "timeout")

    assert callback.conversation_id == CONVERSATION_ID
    assert callback.outcome == OutcomeUnknown(
        "queue timeout: The balance is insufficient for the transaction.", REFERENCES
    )


@pytest.mark.parametrize("name", others("reversal-re", "b2", "transaction", "account"))
@pytest.mark.parametrize("kind", ["result", "timeout"])
def test_no_other_message_is_taken_for_a_reversals(kind: str, name: str) -> None:
    assert isinstance(read_reversal_callback(kind, example(name)), CallbackUnreadable)


OTHER_SUCCESSES = ["b2c-result-success.json", "transaction-status-result-completed.json", "account-balance-result.json"]


@pytest.mark.parametrize("name", OTHER_SUCCESSES)
def test_the_success_of_another_call_is_no_reversal(name: str) -> None:
    assert isinstance(read(example(name)).outcome, OutcomeUnknown)


@pytest.mark.parametrize("kind", ["", "results", "validation"])
def test_an_unknown_kind_of_callback_is_unreadable(kind: str) -> None:
    assert isinstance(read_reversal_callback(kind, example(SUCCESS)), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(kind=st.sampled_from(["result", "timeout"]), body=st.binary(max_size=500) | JSON.map(encode))
def test_nothing_makes_the_reader_raise(kind: str, body: bytes) -> None:
    assert isinstance(read_reversal_callback(kind, body), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(
    fields=st.dictionaries(st.sampled_from(["ResultType", "ResultCode", "TransactionID"]), JSON, max_size=2),
    key=st.sampled_from(["Amount", "TransCompletedTime", "OriginalTransactionID", "Charge"]),
    value=JSON,
)
def test_a_mangled_success_is_a_return_only_with_its_proof_intact(fields: dict[str, Any], key: str, value: Any) -> None:
    document = json.loads(changed(SUCCESS, {key: value}))
    document["Result"].update(fields)

    callback = read_reversal_callback("result", encode(document))

    if isinstance(callback, ReversalCallback) and isinstance(callback.outcome, Returned):
        assert str(document["Result"]["ResultCode"]) == "0"
        assert str(document["Result"]["ResultType"]) == "0"
        expected = Decimal(str(value)) if key == "Amount" and value is not None else Decimal(450)
        assert Decimal(callback.outcome.amount.minor_units) / 100 == expected
        assert callback.outcome.receipt != callback.outcome.original_receipt
