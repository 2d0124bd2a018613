"""STK callbacks as read: a receipt only with its proof, a failure only where it is documented, pending otherwise."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.collecting import PromptCallback
from adapters.daraja import result_codes
from adapters.daraja.stk_results import read_prompt_callback
from adapters.provider import CallbackUnreadable
from ledger.money import Money
from ledger.outbox.collecting import (
    Payer,
    PayerForm,
    PromptFailed,
    PromptOutcome,
    PromptPaid,
    PromptPending,
    Received,
)
from ledger.outbox.instruction import Blame
from tests.adapters.daraja.collecting import (
    CHECKOUT,
    JSON,
    PAYER,
    encode,
    names,
    others,
    stk_callback,
    stk_callback_with,
)
from tests.adapters.daraja.examples import example

FAILED = names("stk-callback-failed-")
RECEIVED = Received(
    receipt="UI18QASZS3",
    shortcode="",
    amount=Money("KES", 150_000),
    completed_at=datetime(2026, 9, 1, 7, 15, 54, tzinfo=UTC),
    payer=Payer(PayerForm.PLAIN, PAYER),
)


def read(body: bytes) -> PromptCallback:
    callback = read_prompt_callback(body)
    assert isinstance(callback, PromptCallback)
    return callback


def outcome(document: Any) -> PromptOutcome:
    return read(encode(document)).outcome


@pytest.mark.parametrize("name", names("stk-callback-success"))
def test_a_success_is_a_receipt_with_amount_time_and_payer(name: str) -> None:
    callback = read(example(name))

    assert callback == PromptCallback(CHECKOUT, PromptPaid(RECEIVED))


@pytest.mark.parametrize("name", names("stk-callback-"))
def test_neither_the_id_of_a_prompt_nor_its_payer_is_shown(name: str) -> None:
    shown = repr(read(example(name)))

    assert [secret for secret in (CHECKOUT, PAYER, PAYER[3:]) if secret in shown] == []


@pytest.mark.parametrize("name", FAILED)
def test_each_documented_failure_is_one_and_says_where_the_fault_lies(name: str) -> None:
    told = json.loads(example(name))["Body"]["stkCallback"]
    code = str(told["ResultCode"])

    callback = read(example(name))

    blame = Blame.ACCESS if code in {"2028", "8006", "SFC_IC0003"} else Blame.PAYMENT
    assert callback == PromptCallback(CHECKOUT, PromptFailed(code, told["ResultDesc"], blame))


def test_every_failure_in_the_table_has_its_example() -> None:
    codes = {str(json.loads(example(name))["Body"]["stkCallback"]["ResultCode"]) for name in FAILED}

    assert codes == set(result_codes.PROMPT_FAILURES)


@pytest.mark.parametrize("name", FAILED)
def test_a_code_may_be_a_string_or_a_number(name: str) -> None:
    code = json.loads(example(name))["Body"]["stkCallback"]["ResultCode"]

    assert outcome(stk_callback(name, ResultCode=str(code))) == read(example(name)).outcome


@given(st.integers(-(10**8), 10**8) | st.from_regex(r"[A-Z]{2}[0-9]{1,6}", fullmatch=True))
def test_a_code_that_nobody_documents_is_kept_verbatim_and_pending(code: int | str) -> None:
    told = outcome(stk_callback("stk-callback-failed-1.json", ResultCode=code))

    if str(code) in result_codes.PROMPT_FAILURES:
        assert isinstance(told, PromptFailed)
    elif str(code) == "0":
        assert told == PromptPending("ResultCode 0 without a receipt")
    else:
        assert isinstance(told, PromptPending)
        assert f"ResultCode {code}:" in told.reason


@pytest.mark.parametrize("code", [4999, "4999", 15, 21, 11, "R000001", "C2B00012"])
def test_still_processing_and_other_apis_codes_are_pending(code: int | str) -> None:
    assert isinstance(outcome(stk_callback("stk-callback-failed-1.json", ResultCode=code)), PromptPending)


def test_a_failure_that_names_a_receipt_contradicts_itself() -> None:
    told = outcome(stk_callback(ResultCode=1032, ResultDesc="Request cancelled by user"))

    assert told == PromptPending("a receipt beside ResultCode 1032: Request cancelled by user")


@pytest.mark.parametrize(
    "items",
    [
        {"MpesaReceiptNumber": None},
        {"MpesaReceiptNumber": ""},
        {"MpesaReceiptNumber": "UI10000000"},
        {"MpesaReceiptNumber": ["UI18QASZS3"]},
        {"Amount": None},
        {"Amount": 0},
        {"Amount": "-1500.0"},
        {"Amount": "1500.005"},
        {"Amount": "1,500"},
        {"Amount": True},
        {"TransactionDate": None},
        {"TransactionDate": 20261301101554},
        {"TransactionDate": "01.09.2026 10:15:54"},
    ],
)
def test_a_success_that_lacks_a_part_of_its_proof_is_pending_and_no_receipt(items: dict[str, Any]) -> None:
    told = outcome(stk_callback_with(**items))

    assert isinstance(told, PromptPending)
    assert told.reason.startswith("ResultCode 0 without")


def test_an_item_told_twice_differently_is_not_told() -> None:
    document = stk_callback()
    document["Body"]["stkCallback"]["CallbackMetadata"]["Item"].append({"Name": "Amount", "Value": 15000.0})

    assert outcome(document) == PromptPending("ResultCode 0 without an amount")


@pytest.mark.parametrize("metadata", [None, {}, [], {"Item": None}, {"Item": []}, {"Item": "x"}, {"Item": [1, None]}])
def test_a_success_without_metadata_is_pending(metadata: Any) -> None:
    assert outcome(stk_callback(CallbackMetadata=metadata)) == PromptPending("ResultCode 0 without a receipt")


@pytest.mark.parametrize(
    "balance", ["{Amount={CurrencyCode=KES, MinimumAmount=618683, BasicAmount=6186.83}}", 12.5, "", {"a": 1}]
)
def test_a_balance_of_whatever_form_changes_nothing(balance: Any) -> None:
    assert outcome(stk_callback_with(Balance=balance)) == PromptPaid(RECEIVED)


def test_items_are_read_by_name_and_in_any_order() -> None:
    document = stk_callback()
    document["Body"]["stkCallback"]["CallbackMetadata"]["Item"].reverse()

    assert outcome(document) == PromptPaid(RECEIVED)


def test_items_under_key_as_in_other_apis_are_not_taken_for_a_receipt() -> None:
    document = stk_callback()
    for item in document["Body"]["stkCallback"]["CallbackMetadata"]["Item"]:
        item["Key"] = item.pop("Name")

    assert isinstance(outcome(document), PromptPending)


@pytest.mark.parametrize(
    ("number", "payer"),
    [
        ("254700000017", Payer(PayerForm.PLAIN, PAYER)),
        ("2547 ***** 017", Payer(PayerForm.MASKED, "2547 ***** 017")),
        ("a" * 64, Payer(PayerForm.HASHED, "a" * 64)),
        (None, None),
        ("", None),
    ],
)
def test_the_payers_number_is_kept_as_what_it_is(number: Any, payer: Payer | None) -> None:
    told = outcome(stk_callback_with(PhoneNumber=number))

    assert isinstance(told, PromptPaid)
    assert told.received is not None
    assert told.received.payer == payer


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"Body": None},
        {"Body": {}},
        {"Body": {"stkCallback": []}},
        {"Body": {"stkCallback": {}}},
        {"stkCallback": {"CheckoutRequestID": CHECKOUT, "ResultCode": 0}},
        {"Body": {"stkCallback": {"CheckoutRequestID": CHECKOUT}}},
        {"Body": {"stkCallback": {"ResultCode": 1032}}},
        {"Body": {"stkCallback": {"CheckoutRequestID": "a b", "ResultCode": 1032}}},
    ],
)
def test_a_callback_without_its_id_or_its_code_is_unreadable(document: Any) -> None:
    callback = read_prompt_callback(encode(document))

    assert isinstance(callback, CallbackUnreadable)
    assert CHECKOUT not in repr(callback)


@pytest.mark.parametrize("name", others("stk-callback-"))
def test_no_other_message_is_taken_for_an_stk_callback(name: str) -> None:
    assert isinstance(read_prompt_callback(example(name)), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=500) | JSON.map(encode))
def test_nothing_makes_the_reader_raise(body: bytes) -> None:
    assert isinstance(read_prompt_callback(body), CallbackUnreadable)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_byte_that_changed_leaves_no_receipt_that_the_bytes_do_not_tell(place: int, byte: int) -> None:
    body = bytearray(example("stk-callback-success.json"))
    body[place % len(body)] = byte

    callback = read_prompt_callback(bytes(body))

    if isinstance(callback, PromptCallback) and isinstance(callback.outcome, PromptPaid):
        received = callback.outcome.received
        assert received is not None
        items = json.loads(body, parse_float=Decimal)["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
        [amount] = [item["Value"] for item in items if item.get("Name") == "Amount"]
        assert amount * 100 == received.amount.minor_units
        assert received.receipt.encode() in body


@hypothesis_settings(deadline=None)
@given(
    fields=st.dictionaries(st.sampled_from(["ResultCode", "ResultDesc", "CallbackMetadata"]), JSON, max_size=2),
    name=st.sampled_from(["MpesaReceiptNumber", "TransactionDate", "PhoneNumber", "Balance", "Amount"]),
    value=JSON,
)
def test_a_mangled_success_is_a_receipt_only_with_its_proof_intact(
    fields: dict[str, Any], name: str, value: Any
) -> None:
    document = stk_callback_with(**{name: value})
    document["Body"]["stkCallback"].update(fields)

    callback = read_prompt_callback(encode(document))

    if isinstance(callback, PromptCallback) and isinstance(callback.outcome, PromptPaid):
        received = callback.outcome.received
        assert received is not None
        assert str(document["Body"]["stkCallback"]["ResultCode"]) == "0"
        expected = Decimal(str(value)) if name == "Amount" and value is not None else Decimal(1500)
        assert Decimal(received.amount.minor_units) / 100 == expected
        assert received.completed_at.tzinfo is UTC


@given(cents=st.integers(1, 10**9), seconds=st.integers(0, 10**9))
def test_amount_and_time_come_back_as_daraja_wrote_them(cents: int, seconds: int) -> None:
    moment = datetime(2017, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    written = int(f"{moment + timedelta(hours=3):%Y%m%d%H%M%S}")

    told = outcome(stk_callback_with(Amount=f"{cents // 100}.{cents % 100:02d}", TransactionDate=written))

    assert isinstance(told, PromptPaid)
    assert told.received is not None
    assert (told.received.amount, told.received.completed_at) == (Money("KES", cents), moment)
