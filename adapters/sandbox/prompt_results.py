"""What is said about a prompt: the acknowledgement, the callback in all forms, the answer to a query. Pure.

A callback has its code as a number and names its items by `Name`; a query's answer has the code as a string.
"""

from __future__ import annotations

from collections.abc import Callable

from adapters.sandbox import envelope, identifiers, wire
from adapters.sandbox.b2c_results import WRONG_RECEIVER
from adapters.sandbox.behaviours import Notice
from adapters.sandbox.envelope import RESULT_TEXTS, WRONG_AMOUNT_ADDED_CENTS
from adapters.sandbox.prompts import Prompt
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Declined, Movement

FALSE_FAILURE_CODE = "1037"
EXPIRED_CODE = "1019"

# Where STK words a code in its own way, or has it alone; for all others the texts of the other APIs hold.
STK_TEXTS = RESULT_TEXTS | {
    "2": "Declined due to limit rule.",
    "17": "Rule limited.",
    "1001": "Unable to lock subscriber, a transaction is already in process for the current subscriber",
    "1019": "Transaction has expired.",
    "1025": "An error occurred while sending a push request",
    "1031": "Request cancelled by user",
    "1032": "Request cancelled by user",
    "1036": "SMSC ACK timeout.",
    "1037": "DS timeout user cannot be reached",
    "4999": "The transaction is still under processing",
    "9999": "Error occurred while sending push request",
}

Item = dict[str, Document]


def acknowledgement(prompt: Prompt) -> Document:
    """The prompt is on its way; nothing is paid."""
    accepted = "Success. Request accepted for processing"
    return _ids(prompt) | {"ResponseCode": "0", "ResponseDescription": accepted, "CustomerMessage": accepted}


def query_answer(prompt: Prompt, code: str) -> Document:
    """The answer to a query that finds this code."""
    return {
        "ResponseCode": "0",
        "ResponseDescription": "The service request has been accepted successsfully",  # the provider's spelling
        **_ids(prompt),
        "ResultCode": code,
        "ResultDesc": STK_TEXTS[code],
    }


def callback(notice: Notice, prompt: Prompt, outcome: Movement | Declined) -> Document:
    """The body of a callback about a prompt that was acted on."""
    if notice is Notice.FALSE_FAILURE:
        return _callback(prompt, FALSE_FAILURE_CODE)
    if isinstance(outcome, Declined):
        return _callback(prompt, outcome.result_code)
    told = _FORMS.get(notice, _plain)(_items(prompt, outcome), outcome)
    if notice is Notice.RESULT_WITHOUT_PARAMETERS:
        return _callback(prompt, "0")
    document = _callback(prompt, "0", {"Item": told})
    return envelope.stringified(document) if notice is Notice.RESULT_AS_TEXT else document


def _items(prompt: Prompt, movement: Movement) -> list[Item]:
    return [
        _item("Amount", wire.balance_number(movement.amount_cents)),
        _item("MpesaReceiptNumber", movement.receipt),
        _item("TransactionDate", identifiers.compact_time(movement.completed_at)),
        _item("PhoneNumber", int(prompt.msisdn)),
    ]


def _plain(items: list[Item], _movement: Movement) -> Document:
    return items


def _with_balance(items: list[Item], balance: Item) -> list[Item]:
    return [*items[:2], balance, *items[2:]]


def _balance_without_value(items: list[Item], _movement: Movement) -> Document:
    return _with_balance(items, {"Name": "Balance"})


def _balance_as_text(items: list[Item], movement: Movement) -> Document:
    cents = movement.balances_after.of(movement.account)
    return _with_balance(items, _item("Balance", wire.braced_amount(cents)))


def _another_order(items: list[Item], _movement: Movement) -> Document:
    return list(reversed(items))


def _single(items: list[Item], _movement: Movement) -> Document:
    return items[1]


def _wrong_amount(items: list[Item], movement: Movement) -> Document:
    return [_item("Amount", wire.balance_number(movement.amount_cents + WRONG_AMOUNT_ADDED_CENTS)), *items[1:]]


def _wrong_payer(items: list[Item], _movement: Movement) -> Document:
    return [*items[:-1], _item("PhoneNumber", int(WRONG_RECEIVER))]


_FORMS: dict[Notice, Callable[[list[Item], Movement], Document]] = {
    Notice.RESULT_BALANCE_WITHOUT_VALUE: _balance_without_value,
    Notice.RESULT_BALANCE_AS_TEXT: _balance_as_text,
    Notice.RESULT_ANOTHER_ORDER: _another_order,
    Notice.RESULT_SINGLE_PARAMETER: _single,
    Notice.RESULT_WRONG_AMOUNT: _wrong_amount,
    Notice.RESULT_WRONG_RECEIVER: _wrong_payer,
}


def _callback(prompt: Prompt, code: str, metadata: Document = None) -> Document:
    told: dict[str, Document] = {} if metadata is None else {"CallbackMetadata": metadata}
    result = {"ResultCode": envelope.code_number(code), "ResultDesc": STK_TEXTS[code]}
    return {"Body": {"stkCallback": _ids(prompt) | result | told}}


def _item(name: str, value: Document) -> Item:
    return {"Name": name, "Value": value}


def _ids(prompt: Prompt) -> dict[str, Document]:
    return {"MerchantRequestID": prompt.merchant_request_id, "CheckoutRequestID": prompt.checkout_request_id}
