"""Every B2C callback that leaves the sandbox: results in all forms. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from adapters.sandbox import envelope, identifiers, names, wire
from adapters.sandbox.behaviours import Notice
from adapters.sandbox.envelope import RESULT_TEXTS, WRONG_AMOUNT_ADDED_CENTS, Conversation
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Declined, Movement

Outcome = Movement | Declined

WRONG_RECEIVER = "254700000999"

_REFERENCE_DATA: Document = {
    "ReferenceItem": {
        "Key": "QueueTimeoutURL",
        "Value": "https://internalapi.safaricom.co.ke/mpesa/b2cresults/v1/submit",
    }
}
_ORDER_OF_2017 = (
    "TransactionReceipt",
    "TransactionAmount",
    "B2CWorkingAccountAvailableFunds",
    "B2CUtilityAccountAvailableFunds",
    "TransactionCompletedDateTime",
    "ReceiverPartyPublicName",
    "B2CChargesPaidAccountAvailableFunds",
    "B2CRecipientIsRegisteredCustomer",
)


def document(notice: Notice, conversation: Conversation, outcome: Outcome) -> Document:
    """The body of a callback about a decided payment."""
    return _FORMS.get(notice, _plain)(conversation, outcome)


def _plain(conversation: Conversation, outcome: Outcome) -> Document:
    return _result(conversation, outcome, envelope.items(_parameters(outcome)))


def _of_2017(conversation: Conversation, outcome: Outcome) -> Document:
    parameters = _parameters(outcome)
    if isinstance(outcome, Movement):
        parameters |= _whole_shilling_balances(outcome)
    in_order = {key: parameters[key] for key in _ORDER_OF_2017 if key in parameters}
    return _result(conversation, outcome, envelope.items(in_order))


def _as_text(conversation: Conversation, outcome: Outcome) -> Document:
    return envelope.stringified(_plain(conversation, outcome))


def _with_single_parameter(conversation: Conversation, outcome: Outcome) -> Document:
    # Documented for failures; a success in this form carries its receipt and nothing to check the amount by.
    match outcome:
        case Movement(receipt=receipt):
            parameter = envelope.item("TransactionReceipt", receipt)
        case Declined():
            parameter = envelope.item("BOCompletedTime", identifiers.compact_time(conversation.opened_at))
    return _result(conversation, outcome, {"ResultParameter": parameter})


def _without_parameters(conversation: Conversation, outcome: Outcome) -> Document:
    return _result(conversation, outcome, None)


def _under_gateway_id(conversation: Conversation, outcome: Outcome) -> Document:
    return _plain(replace(conversation, originator_conversation_id=conversation.gateway_id), outcome)


def _with_wrong_amount(conversation: Conversation, outcome: Outcome) -> Document:
    parameters = _parameters(outcome)
    if isinstance(outcome, Movement):
        parameters["TransactionAmount"] = (outcome.amount_cents + WRONG_AMOUNT_ADDED_CENTS) // 100
    return _result(conversation, outcome, envelope.items(parameters))


def _with_wrong_receiver(conversation: Conversation, outcome: Outcome) -> Document:
    parameters = _parameters(outcome)
    if parameters:
        parameters["ReceiverPartyPublicName"] = names.person(WRONG_RECEIVER)
    return _result(conversation, outcome, envelope.items(parameters))


_FORMS: dict[Notice, Callable[[Conversation, Outcome], Document]] = {
    Notice.RESULT_2017_ORDER: _of_2017,
    Notice.RESULT_AS_TEXT: _as_text,
    Notice.RESULT_SINGLE_PARAMETER: _with_single_parameter,
    Notice.RESULT_WITHOUT_PARAMETERS: _without_parameters,
    Notice.RESULT_UNDER_GATEWAY_ID: _under_gateway_id,
    Notice.RESULT_WRONG_AMOUNT: _with_wrong_amount,
    Notice.RESULT_WRONG_RECEIVER: _with_wrong_receiver,
}


def _parameters(outcome: Outcome) -> dict[str, Document]:
    """The success parameters in today's order; none for a failure."""
    if not isinstance(outcome, Movement) or outcome.payment is None:
        return {}
    balances = outcome.balances_after
    return {
        "TransactionAmount": outcome.amount_cents // 100,
        "TransactionReceipt": outcome.receipt,
        "ReceiverPartyPublicName": names.person(outcome.payment.msisdn),
        "TransactionCompletedDateTime": identifiers.dotted_time(outcome.completed_at),
        "B2CUtilityAccountAvailableFunds": wire.balance_number(balances.utility_cents),
        "B2CWorkingAccountAvailableFunds": wire.balance_number(balances.working_cents),
        "B2CRecipientIsRegisteredCustomer": "Y",
        "B2CChargesPaidAccountAvailableFunds": wire.balance_number(balances.charges_paid_cents),
    }


def _whole_shilling_balances(movement: Movement) -> dict[str, Document]:
    balances = movement.balances_after
    return {
        "B2CUtilityAccountAvailableFunds": wire.whole_shillings(balances.utility_cents),
        "B2CWorkingAccountAvailableFunds": wire.whole_shillings(balances.working_cents),
        "B2CChargesPaidAccountAvailableFunds": wire.whole_shillings(balances.charges_paid_cents),
    }


def _result(conversation: Conversation, outcome: Outcome, parameters: Document) -> Mapping[str, Document]:
    match outcome:
        case Movement(receipt=transaction_id):
            code = "0"
        case Declined(result_code=code, transaction_id=transaction_id):
            pass
    result: dict[str, Document] = {
        "ResultType": 0,
        "ResultCode": envelope.code_number(code),
        "ResultDesc": RESULT_TEXTS[code],
        "OriginatorConversationID": conversation.originator_conversation_id,
        "ConversationID": conversation.conversation_id,
        "TransactionID": transaction_id,
    }
    if parameters is not None:
        result["ResultParameters"] = parameters
    return {"Result": result | {"ReferenceData": _REFERENCE_DATA}}
