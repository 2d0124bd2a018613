"""The answers to questions as read: a payment's fate by its TransactionStatus alone, and balances."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.daraja.query_results import read_balance_callback, read_query_callback
from adapters.provider import BalanceReport, CallbackUnreadable, PayoutCallback, SubAccountBalance
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled
from tests.adapters.daraja.examples import AMOUNT, CONVERSATION_ID, MSISDN, REFERENCE, changed, example, index

COMPLETED = "transaction-status-result-completed.json"
BALANCES = "account-balance-result.json"
REFERENCES = (("daraja.conversation_id", CONVERSATION_ID),)
SETTLED = PayoutCallback(
    outcome=Settled(
        receipt="UI1YOXP20E",
        amount=AMOUNT,
        completed_at=datetime(2026, 9, 1, 7, 15, 36, tzinfo=UTC),
        references=REFERENCES,
        facts={"debit_sub_account": "utility"},
        charge=Money("KES", 900),
    ),
    reference=REFERENCE,
    conversation_id=CONVERSATION_ID,
    msisdn=Msisdn(MSISDN),
    amount=AMOUNT,
    shortcode="600584",
)


def status(body: bytes) -> PayoutCallback:
    callback = read_query_callback("result", body)
    assert isinstance(callback, PayoutCallback)
    return callback


def status_with(**changes: Any) -> PayoutCallback:
    return status(changed(COMPLETED, changes))


def test_a_completed_payment_is_settled() -> None:
    assert status(example(COMPLETED)) == SETTLED


def test_the_form_with_strings_and_both_parties_under_one_key_reads_alike() -> None:
    assert status(example("transaction-status-result-completed-strings.json")) == SETTLED


def test_the_spaced_keys_of_2017_read_alike() -> None:
    document = json.loads(example(COMPLETED))
    for item in document["Result"]["ResultParameters"]["ResultParameter"]:
        item["Key"] = item["Key"].replace("ConversationID", " Conversation ID").strip()

    assert status(json.dumps(document).encode()) == SETTLED


def test_a_time_and_an_amount_printed_as_doubles_read_alike() -> None:
    callback = status_with(FinalisedTime="2.0260901101536E13", Amount="2.5E3")

    assert callback.outcome == SETTLED.outcome


def test_the_ids_of_the_question_are_not_taken_for_the_payments() -> None:
    callback = status_with(OriginatorConversationID=None, ConversationID=None)

    assert (callback.reference, callback.conversation_id, callback.outcome.references) == (None, None, ())


def test_a_gateways_originator_id_among_the_parameters_is_not_ours() -> None:
    callback = status_with(OriginatorConversationID="78383-90385802-2")

    assert callback.reference is None
    assert ("daraja.originator_conversation_id", "78383-90385802-2") in callback.outcome.references


def test_a_failed_payment_is_failed_although_the_question_succeeded() -> None:
    callback = status(example("transaction-status-result-failed.json"))

    assert callback.outcome == Failed("Failed", "TransactionStatus of a status query", REFERENCES)
    assert (callback.reference, callback.msisdn, callback.amount) == (REFERENCE, Msisdn(MSISDN), AMOUNT)


@pytest.mark.parametrize("word", ["Cancelled", "Declined", "Expired", "Failed", "failed", " DECLINED "])
def test_the_final_words_for_not_paid_are_failures(word: str) -> None:
    assert isinstance(status_with(TransactionStatus=word).outcome, Failed)


@pytest.mark.parametrize(
    "word",
    ["Initiated", "Authorized", "Authorised", "Pending Authorized", "Reversed", "Complete", "", "0", 0],
)
def test_any_other_word_is_unknown_and_kept(word: object) -> None:
    callback = status_with(TransactionStatus=word)

    assert callback.outcome == OutcomeUnknown(f"TransactionStatus {word}", REFERENCES)


def test_a_pending_payment_is_unknown() -> None:
    callback = status(example("transaction-status-result-pending.json"))

    assert callback.outcome == OutcomeUnknown("TransactionStatus Pending Authorized", REFERENCES)


def test_a_question_that_was_refused_says_nothing_of_the_payment() -> None:
    callback = status(example("transaction-status-result-query-rejected.json"))

    assert callback == PayoutCallback(
        outcome=OutcomeUnknown(
            "the question was not answered, ResultCode 25: The format of parameter null is invalid."
        ),
        reference=None,
        conversation_id=None,
        msisdn=None,
        amount=None,
        shortcode=None,
    )


@pytest.mark.parametrize("fields", [{"ResultCode": 2001}, {"ResultCode": "1"}, {"ResultType": 1}, {"ResultType": None}])
@pytest.mark.parametrize("name", [COMPLETED, "transaction-status-result-failed.json"])
def test_parameters_beside_anything_but_a_final_zero_count_for_nothing(fields: dict[str, Any], name: str) -> None:
    document = json.loads(example(name))
    document["Result"].update(fields)

    callback = status(json.dumps(document).encode())

    assert isinstance(callback.outcome, OutcomeUnknown)
    assert (callback.reference, callback.amount, callback.msisdn) == (None, None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ReceiptNo", None),
        ("ReceiptNo", "UI10000000"),
        ("Amount", None),
        ("Amount", 0),
        ("Amount", "2500.001"),
        ("FinalisedTime", None),
        ("FinalisedTime", "20260231101536"),
        ("FinalisedTime", 20260901),
        ("TransactionStatus", None),
        ("TransactionStatus", {"Completed": True}),
    ],
)
def test_completed_without_receipt_amount_or_time_is_unknown(key: str, value: object) -> None:
    assert isinstance(status_with(**{key: value}).outcome, OutcomeUnknown)


@pytest.mark.parametrize("key", ["TransactionStatus", "ReceiptNo", "Amount", "FinalisedTime"])
def test_a_parameter_told_twice_differently_proves_nothing(key: str) -> None:
    document = json.loads(example(COMPLETED))
    document["Result"]["ResultParameters"]["ResultParameter"].append({"Key": key, "Value": "Failed"})

    assert isinstance(status(json.dumps(document).encode()).outcome, OutcomeUnknown)


@pytest.mark.parametrize(
    ("charges", "charge"),
    [("Fee For B2C Payment|KES|22.40", Money("KES", 2_240)), ("", None), (None, None), ("nothing", None)],
)
def test_the_providers_own_charge_is_told_where_it_stands(charges: str | None, charge: Money | None) -> None:
    outcome = status_with(DebitPartyCharges=charges).outcome

    assert isinstance(outcome, Settled)
    assert outcome.charge == charge


def test_a_business_as_payee_is_told_by_its_shortcode() -> None:
    callback = status_with(CreditPartyName="600977 - Mfano Supplies Ltd")

    assert (callback.msisdn, callback.receiver_shortcode) == (None, "600977")


def test_two_businesses_under_one_key_are_not_told_apart() -> None:
    document = json.loads(changed(COMPLETED, {"CreditPartyName": None}))
    document["Result"]["ResultParameters"]["ResultParameter"].append({
        "Key": "DebitPartyName", "Value": "600977 - Mfano Supplies Ltd",
    })  # fmt: skip

    callback = status(json.dumps(document).encode())

    assert (callback.shortcode, callback.msisdn, callback.receiver_shortcode) == (None, None, None)
    assert isinstance(callback.outcome, Settled)


def test_a_name_is_never_kept() -> None:
    assert "WANJIRU" not in repr(status(example(COMPLETED)))


def test_a_question_that_timed_out_is_unknown_in_either_form() -> None:
    echo = read_query_callback("timeout", example("transaction-status-request-by-originator.json"))
    thin = read_query_callback("timeout", example(COMPLETED))

    assert isinstance(echo, PayoutCallback)
    assert isinstance(thin, PayoutCallback)
    assert isinstance(echo.outcome, OutcomeUnknown)
    assert isinstance(thin.outcome, OutcomeUnknown)
    assert (echo.reference, echo.shortcode) == (REFERENCE, "600584")
    assert (thin.reference, thin.shortcode) == (None, None)


NOT_STATUS = sorted(name for name in index() if not name.startswith("transaction-status-result"))


@pytest.mark.parametrize("name", NOT_STATUS)
def test_no_other_message_says_anything_of_a_payments_fate(name: str) -> None:
    callback = read_query_callback("result", example(name))

    assert isinstance(callback, CallbackUnreadable) or isinstance(callback.outcome, OutcomeUnknown)


@pytest.mark.parametrize("kind", ["", "results", "validation"])
def test_an_unknown_kind_of_callback_is_unreadable(kind: str) -> None:
    assert isinstance(read_query_callback(kind, example(COMPLETED)), CallbackUnreadable)
    assert isinstance(read_balance_callback(kind, example(BALANCES)), CallbackUnreadable)


def test_balances_are_told_by_sub_account_with_the_providers_time() -> None:
    report = read_balance_callback("result", example(BALANCES))

    assert report == BalanceReport(
        shortcode=None,
        balances=(
            SubAccountBalance("working", "KES", 34_021_550),
            SubAccountBalance("float", "KES", 0),
            SubAccountBalance("utility", "KES", 120_431_050),
            SubAccountBalance("charges_paid", "KES", -48_600),
            SubAccountBalance("settlement", "KES", 0),
        ),
        asserted_at=datetime(2026, 9, 1, 7, 15, 42, tzinfo=UTC),
    )


def test_balances_without_a_time_are_told_without_one() -> None:
    report = read_balance_callback("result", changed(BALANCES, {"BOCompletedTime": None}))

    assert isinstance(report, BalanceReport)
    assert report.asserted_at is None


def test_a_balance_query_that_was_refused_tells_no_balance_and_says_why() -> None:
    document = json.loads(example(BALANCES))
    document["Result"].update(ResultCode="2001", ResultDesc="The initiator information is invalid.")

    report = read_balance_callback("result", json.dumps(document).encode())

    assert report == CallbackUnreadable("no balance was told, ResultCode 2001: The initiator information is invalid.")


@pytest.mark.parametrize("name", sorted(set(index()) - {BALANCES}))
@pytest.mark.parametrize("kind", ["result", "timeout"])
def test_no_other_message_tells_a_balance(kind: str, name: str) -> None:
    assert isinstance(read_balance_callback(kind, example(name)), CallbackUnreadable)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
KINDS = st.sampled_from(["result", "timeout"])
FIELDS = st.sampled_from(["ResultType", "ResultCode", "ResultDesc", "OriginatorConversationID", "ResultParameters"])
KEYS = st.sampled_from([
    "TransactionStatus", "ReceiptNo", "Amount", "FinalisedTime", "DebitPartyName", "CreditPartyName",
    "DebitPartyCharges", "OriginatorConversationID", "ConversationID", "DebitAccountType",
])  # fmt: skip


@given(kind=KINDS, body=st.binary(max_size=500))
def test_no_bytes_make_the_readers_raise(kind: str, body: bytes) -> None:
    assert isinstance(read_query_callback(kind, body), CallbackUnreadable)
    assert isinstance(read_balance_callback(kind, body), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(kind=KINDS, document=JSON)
def test_no_json_makes_the_readers_raise(kind: str, document: Any) -> None:
    assert isinstance(read_query_callback(kind, json.dumps(document).encode()), CallbackUnreadable)
    assert isinstance(read_balance_callback(kind, json.dumps(document).encode()), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(kind=KINDS, fields=st.dictionaries(FIELDS, JSON, max_size=2), key=KEYS, values=st.lists(JSON, max_size=3))
def test_a_mangled_answer_never_raises_and_settles_only_with_its_proof_intact(
    kind: str, fields: dict[str, Any], key: str, values: list[Any]
) -> None:
    document = json.loads(changed(COMPLETED, {key: None}))
    document["Result"]["ResultParameters"]["ResultParameter"] += [{"Key": key, "Value": value} for value in values]
    document["Result"].update(fields)

    callback = read_query_callback(kind, json.dumps(document).encode())

    if isinstance(callback, PayoutCallback) and isinstance(callback.outcome, Settled | Failed):
        assert kind == "result"
        assert str(document["Result"]["ResultCode"]) == "0"
        assert str(document["Result"]["ResultType"]) == "0"


@hypothesis_settings(deadline=None)
@given(
    value=JSON | st.text(alphabet="AaKES|&.-0123456789 ", max_size=80), fields=st.dictionaries(FIELDS, JSON, max_size=1)
)
def test_a_mangled_balance_never_raises(value: Any, fields: dict[str, Any]) -> None:
    document = json.loads(changed(BALANCES, {"AccountBalance": value}))
    document["Result"].update(fields)

    assert isinstance(
        read_balance_callback("result", json.dumps(document).encode()), BalanceReport | CallbackUnreadable
    )
