"""Every callback about a reversal. The reversal's own receipt is the envelope's, the original's a parameter. Pure."""

from __future__ import annotations

from adapters.sandbox import envelope, identifiers, names, wire
from adapters.sandbox.behaviours import Notice
from adapters.sandbox.envelope import RESULT_TEXTS, WRONG_AMOUNT_ADDED_CENTS, Conversation
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Declined, Movement, ReversalOrder

_REFERENCE_DATA: Document = {
    "ReferenceItem": {
        "Key": "QueueTimeoutURL",
        "Value": "https://internalapi.safaricom.co.ke/mpesa/reversalresults/v1/submit",
    }
}


def document(notice: Notice, conversation: Conversation, order: ReversalOrder, shortcode: str) -> Document:
    """The body of a callback about a reversal that was decided; `shortcode` is ours."""
    outcome = order.outcome
    assert outcome is not None
    if isinstance(outcome, Declined):
        return failure(conversation, outcome)
    parameters = _parameters(outcome, order, shortcode)
    match notice:
        case Notice.RESULT_WITHOUT_PARAMETERS:
            told: Document = None
        case Notice.RESULT_SINGLE_PARAMETER:
            told = {"ResultParameter": envelope.item("OriginalTransactionID", order.reversal.original_receipt)}
        case Notice.RESULT_WRONG_AMOUNT:
            wrong = wire.balance_number(outcome.amount_cents + WRONG_AMOUNT_ADDED_CENTS)
            told = envelope.items(parameters | {"Amount": wrong})
        case _:
            told = envelope.items(parameters)
    result = _result(conversation, "0", outcome.receipt, told)
    return envelope.stringified(result) if notice is Notice.RESULT_AS_TEXT else result


def failure(conversation: Conversation, declined: Declined) -> Document:
    """The body of a callback that tells of a failure."""
    return _result(conversation, declined.result_code, declined.transaction_id, None)


def _parameters(movement: Movement, order: ReversalOrder, shortcode: str) -> dict[str, Document]:
    balance_cents = movement.balances_after.of(movement.account)
    return {
        "DebitAccountBalance": wire.account_text(movement.account.value, balance_cents),
        "Amount": wire.balance_number(movement.amount_cents),
        "TransCompletedTime": identifiers.compact_time(movement.completed_at),
        "OriginalTransactionID": order.reversal.original_receipt,
        "Charge": wire.balance_number(0),
        "CreditPartyPublicName": names.person(order.msisdn),
        "DebitPartyPublicName": names.organisation(shortcode),
    }


def _result(conversation: Conversation, code: str, transaction_id: str, parameters: Document) -> Document:
    told: dict[str, Document] = {} if parameters is None else {"ResultParameters": parameters}
    return {
        "Result": {
            "ResultType": 0,
            "ResultCode": envelope.code_number(code),
            "ResultDesc": RESULT_TEXTS[code],
            "OriginatorConversationID": conversation.originator_conversation_id,
            "ConversationID": conversation.conversation_id,
            "TransactionID": transaction_id,
            **told,
            "ReferenceData": _REFERENCE_DATA,
        }
    }
