"""Every B2B and tax callback that leaves the sandbox. Success is told in strings, failure in numbers. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from adapters.sandbox import envelope, identifiers, names, wire
from adapters.sandbox.behaviours import Notice
from adapters.sandbox.envelope import RESULT_TEXTS, WRONG_AMOUNT_ADDED_CENTS, Conversation
from adapters.sandbox.transactions import payment_charge_text
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Declined, Movement

Outcome = Movement | Declined

WRONG_RECEIVER = "600999"
SUCCESS_TEXT = "The service request is processed successfully"  # without its full stop, unlike B2C's

_TIMEOUT_ITEM = envelope.item("QueueTimeoutURL", "https://internalapi.safaricom.co.ke/mpesa/b2bresults/v1/submit")


def document(notice: Notice, conversation: Conversation, outcome: Outcome) -> Document:
    """The body of a callback about a decided payment."""
    if isinstance(outcome, Declined):
        return _failure(conversation, outcome)
    return _FORMS.get(notice, _plain)(conversation, outcome)


def _plain(conversation: Conversation, movement: Movement) -> Document:
    return _success(conversation, movement, envelope.items(_parameters(movement)))


def _as_numbers(conversation: Conversation, movement: Movement) -> Document:
    parameters = _parameters(movement) | {
        "Amount": Decimal(wire.exact_text(movement.amount_cents)),
        "TransCompletedTime": identifiers.compact_time(movement.completed_at),
    }
    document = _success(conversation, movement, envelope.items(parameters))
    return {"Result": document["Result"] | {"ResultType": 0, "ResultCode": 0}}


def _with_single_parameter(conversation: Conversation, movement: Movement) -> Document:
    parameter = envelope.item("Amount", wire.exact_text(movement.amount_cents))
    return _success(conversation, movement, {"ResultParameter": parameter})


def _without_parameters(conversation: Conversation, movement: Movement) -> Document:
    return envelope.without_parameters(_plain(conversation, movement))


def _with_wrong_amount(conversation: Conversation, movement: Movement) -> Document:
    amount = wire.exact_text(movement.amount_cents + WRONG_AMOUNT_ADDED_CENTS)
    return _success(conversation, movement, envelope.items(_parameters(movement) | {"Amount": amount}))


def _with_wrong_receiver(conversation: Conversation, movement: Movement) -> Document:
    receiver: dict[str, Document] = {"ReceiverPartyPublicName": names.business(WRONG_RECEIVER)}
    return _success(conversation, movement, envelope.items(_parameters(movement) | receiver))


_FORMS: dict[Notice, Callable[[Conversation, Movement], Document]] = {
    Notice.RESULT_AS_NUMBERS: _as_numbers,
    Notice.RESULT_SINGLE_PARAMETER: _with_single_parameter,
    Notice.RESULT_WITHOUT_PARAMETERS: _without_parameters,
    Notice.RESULT_WRONG_AMOUNT: _with_wrong_amount,
    Notice.RESULT_WRONG_RECEIVER: _with_wrong_receiver,
}


def _parameters(movement: Movement) -> dict[str, Document]:
    payment = movement.payment
    assert payment is not None
    account = payment.product.debits
    balance_cents = movement.balances_after.of(account)
    return {
        "DebitAccountBalance": wire.braced_amount(balance_cents),
        "Amount": wire.exact_text(movement.amount_cents),
        "DebitPartyAffectedAccountBalance": wire.account_text(account.value, balance_cents),
        "TransCompletedTime": str(identifiers.compact_time(movement.completed_at)),
        "DebitPartyCharges": payment_charge_text(payment),
        "ReceiverPartyPublicName": names.business(payment.shortcode),
        "Currency": wire.CURRENCY,
        "InitiatorAccountCurrentBalance": wire.braced_amount(balance_cents),
    }


def _success(conversation: Conversation, movement: Movement, parameters: Document) -> dict[str, dict[str, Document]]:
    payment = movement.payment
    assert payment is not None
    occasion = envelope.item("Occassion", payment.reference) if payment.reference else envelope.item("Occassion")
    return {
        "Result": {
            "ResultType": "0",
            "ResultCode": "0",
            "ResultDesc": SUCCESS_TEXT,
            "OriginatorConversationID": conversation.originator_conversation_id,
            "ConversationID": conversation.conversation_id,
            "TransactionID": movement.receipt,
            "ResultParameters": parameters,
            "ReferenceData": {
                "ReferenceItem": [envelope.item("BillReferenceNumber", payment.account), _TIMEOUT_ITEM, occasion]
            },
        }
    }


def _failure(conversation: Conversation, declined: Declined) -> Document:
    completed = envelope.item("BOCompletedTime", identifiers.compact_time(conversation.opened_at))
    return {
        "Result": {
            "ResultType": 0,
            "ResultCode": envelope.code_number(declined.result_code),
            "ResultDesc": RESULT_TEXTS[declined.result_code],
            "OriginatorConversationID": conversation.originator_conversation_id,
            "ConversationID": conversation.conversation_id,
            "TransactionID": declined.transaction_id,
            "ResultParameters": {"ResultParameter": completed},
            "ReferenceData": {"ReferenceItem": _TIMEOUT_ITEM},
        }
    }
