"""B2B callbacks as read by the same reader as B2C's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.daraja.results import read_payout_callback
from adapters.provider import CallbackUnreadable, PayoutCallback
from ledger.money import Money
from ledger.outbox.instruction import Blame, Failed, OutcomeUnknown, Settled
from tests.adapters.daraja.examples import changed, example

SUCCESS = "b2b-result-success.json"
CONVERSATION_ID = "AG_20260901_201059f0951457a7f6a2"
REFERENCES = (
    ("daraja.conversation_id", CONVERSATION_ID),
    ("daraja.originator_conversation_id", "3fa6-3db6-953f-4371aeffee382906074"),
)


def result(body: bytes) -> PayoutCallback:
    callback = read_payout_callback("result", body)
    assert isinstance(callback, PayoutCallback)
    return callback


def outcome_with(**changes: Any) -> Settled | Failed | OutcomeUnknown:
    return result(changed(SUCCESS, changes)).outcome


def settled_with(**changes: Any) -> Settled:
    outcome = outcome_with(**changes)
    assert isinstance(outcome, Settled)
    return outcome


def with_envelope(**changes: Any) -> bytes:
    document = json.loads(example(SUCCESS))
    document["Result"].update(changes)
    return json.dumps(document).encode()


def test_a_success_settles_with_receipt_amount_time_charge_and_balance() -> None:
    callback = result(example(SUCCESS))

    assert callback == PayoutCallback(
        outcome=Settled(
            receipt="UI1W0VR847",
            amount=Money("KES", 1_900_000),
            completed_at=datetime(2026, 9, 1, 7, 15, 39, tzinfo=UTC),
            references=REFERENCES,
            facts={"working_available_minor_units": "34021550"},
            charge=Money("KES", 11_000),
        ),
        reference=None,
        conversation_id=CONVERSATION_ID,
        msisdn=None,
        amount=Money("KES", 1_900_000),
        shortcode=None,
        receiver_shortcode="600977",
    )


def test_a_failure_with_a_single_parameter_object_is_failed() -> None:
    callback = result(example("b2b-result-failed-2001.json"))

    assert callback.outcome == Failed("2001", "The initiator information is invalid.", REFERENCES, Blame.ACCESS)
    assert (callback.reference, callback.receiver_shortcode) == (None, None)


@pytest.mark.parametrize(
    ("charges", "charge"),
    [
        ("Business Pay Bill Charge|KES|77.00", Money("KES", 7_700)),
        ("Fee For B2C Payment|KES|22.40", Money("KES", 2_240)),
        ("Free|KES|0", Money("KES", 0)),
        ("", None),
        (None, None),
        ("77.00", None),
        ("Charge|USD|77.00", None),
        ("Charge|KES|-77.00", None),
        ("Charge|KES|77.005", None),
    ],
)
def test_a_charge_is_told_exactly_or_not_at_all(charges: str | None, charge: Money | None) -> None:
    assert settled_with(DebitPartyCharges=charges).charge == charge


@pytest.mark.parametrize(
    "amount",
    [
        "190.00",
        190,
        190.0,
        "{Amount={CurrencyCode=KES, MinimumAmount=19000, BasicAmount=190.00}}",
        "{Amount={BasicAmount=190.00, MinimumAmount=19000, CurrencyCode=KES}}",
    ],
)
def test_amounts_are_read_from_every_form(amount: object) -> None:
    assert settled_with(Amount=amount).amount == Money("KES", 19_000)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Amount", None),
        ("Amount", "0.00"),
        ("Amount", "-190.00"),
        ("Amount", "{Amount={CurrencyCode=KES, MinimumAmount=19001, BasicAmount=190.00}}"),
        ("Amount", "{Amount={CurrencyCode=USD, MinimumAmount=19000, BasicAmount=190.00}}"),
        ("Currency", "USD"),
        ("TransCompletedTime", "20260231101539"),
        ("TransCompletedTime", "soon"),
        ("TransCompletedTime", None),
    ],
)
def test_a_success_without_amount_or_time_is_unknown(key: str, value: object) -> None:
    assert isinstance(outcome_with(**{key: value}), OutcomeUnknown)


@pytest.mark.parametrize("key", ["OriginalTransactionID", "TransactionStatus", "ReceiptNo", "AccountBalance"])
def test_the_result_of_another_api_is_not_taken_for_a_payment(key: str) -> None:
    assert isinstance(outcome_with(**{key: "UI1W0VR847"}), OutcomeUnknown)


@pytest.mark.parametrize("transaction_id", ["UI10000000", "", None])
def test_a_success_under_a_placeholder_is_unknown(transaction_id: str | None) -> None:
    assert isinstance(result(with_envelope(TransactionID=transaction_id)).outcome, OutcomeUnknown)


def test_a_result_that_announces_more_is_unknown() -> None:
    assert isinstance(result(with_envelope(ResultType="1")).outcome, OutcomeUnknown)


def test_a_failure_that_names_a_time_of_completion_is_unknown() -> None:
    assert isinstance(result(with_envelope(ResultCode="2001")).outcome, OutcomeUnknown)


@pytest.mark.parametrize(
    ("name", "shortcode"),
    [
        ("600977 - Mfano Supplies Ltd", "600977"),
        ("600977\u2013 Mfano Supplies Ltd", "600977"),
        ("572572", "572572"),
        ("254700000017 - WANJIRU", None),
        ("Mfano Supplies Ltd", None),
        (None, None),
    ],
)
def test_the_receivers_shortcode_is_read_where_one_stands(name: str | None, shortcode: str | None) -> None:
    callback = result(changed(SUCCESS, {"ReceiverPartyPublicName": name}))

    assert callback.receiver_shortcode == shortcode
    assert "Mfano" not in repr(callback)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.sampled_from(
    ["Amount", "TransCompletedTime", "DebitPartyCharges", "DebitPartyAffectedAccountBalance", "Currency"]
)


@hypothesis_settings(deadline=None)
@given(key=KEYS, value=JSON | st.from_regex(r"[A-Za-z ]{0,5}(\|[A-Z]{0,3}\|-?[0-9.E]{0,20})*", fullmatch=True))
def test_a_mangled_success_never_raises_and_settles_only_with_its_proof_intact(key: str, value: Any) -> None:
    document = json.loads(example(SUCCESS))
    document["Result"]["ResultParameters"]["ResultParameter"] = [
        {"Key": item["Key"], "Value": value} if item["Key"] == key else item
        for item in document["Result"]["ResultParameters"]["ResultParameter"]
    ]

    callback = read_payout_callback("result", json.dumps(document).encode())

    assert isinstance(callback, PayoutCallback | CallbackUnreadable)
    if isinstance(callback, PayoutCallback) and isinstance(callback.outcome, Settled):
        assert callback.outcome.amount.minor_units > 0
        assert callback.outcome.charge is None or callback.outcome.charge.minor_units >= 0
