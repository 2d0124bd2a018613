"""Every B2C document that leaves the sandbox: the acknowledgement, results in all forms, timeout notices. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from adapters.sandbox import identifiers, wire
from adapters.sandbox.magic import Notice
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Movement

# Daraja B2C result codes and texts; 9405 is made up, to stand for a code that no document lists.
RESULT_TEXTS = {
    "0": "The service request is processed successfully.",
    "1": "The balance is insufficient for the transaction.",
    "2": "Declined due to limit rule: less than the minimum transaction amount.",
    "3": "Declined due to limit rule: greater than the maximum transaction amount.",
    "4": "Declined due to limit rule: would exceed daily transfer limit.",
    "8": "Declined due to limit rule: would exceed the maximum balance.",
    "11": "The DebitParty is in an invalid state.",
    "15": "Duplicate Detected",
    "17": "System internal error.",
    "21": "The initiator is not allowed to initiate this request.",
    "26": "System busy. The service request is rejected.",
    "2001": "The initiator information is invalid.",
    "2006": "Declined due to account rule: The account status does not allow this transaction.",
    "2028": "The request is not permitted according to product assignment.",
    "2040": "Credit Party customer type (Unregistered or Registered Customer) can't be supported by the service.",
    "8006": "The security credential is locked.",
    "9405": "The request could not be completed.",
    "SFC_IC0003": "The operator does not exist.",
    "TP40153": "The operator has no permission for this API.",
}
FALSE_FAILURE_CODE = "8"
WRONG_AMOUNT_ADDED_CENTS = 10_000
WRONG_RECEIVER = "254700000999"
UNREADABLE_BODY = b'{"Result":{"ResultType":0,"ResultCode":0,"ResultDesc":"The service req'

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
_FIRST_NAMES = ("OTIENO", "AMINA", "KAMAU", "NAFULA", "JUMA", "CHEBET", "HALIMA", "WANJIRU", "MUTUA", "FATUMA")
_MIDDLE_NAMES = ("NJERI", "ACHIENG", "KIPROP", "WAFULA", "MUTHONI", "OMONDI", "WAIRIMU", "BARAKA", "JEPKOECH", "AKINYI")


@dataclass(frozen=True, slots=True)
class Declined:
    """The core declined. `transaction_id` is a placeholder, or for code 2001 looks like a receipt and is none."""

    result_code: str
    result_text: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that a callback about one request may tell. `gateway_id` is the originator id the gateway made up; `outcome`
    is None for a request that is never decided, about which only timeout notices can speak."""

    originator_conversation_id: str
    conversation_id: str
    gateway_id: str
    outcome: Movement | Declined | None
    opened_at: datetime
    request_body: bytes = field(repr=False)


def acknowledgement(*, originator_conversation_id: str, conversation_id: str) -> Document:
    """The synchronous answer: taken in, nothing decided."""
    return {
        "ConversationID": conversation_id,
        "OriginatorConversationID": originator_conversation_id,
        "ResponseCode": "0",
        "ResponseDescription": "Accept the service request successfully.",
    }


def render(notice: Notice, conversation: Conversation) -> bytes:
    """The exact body of a callback."""
    return _RENDERERS[notice](conversation)


def public_name(msisdn: str) -> str:
    """A receiver's registered name, always the same for one MSISDN."""
    return f"{msisdn} - {_FIRST_NAMES[int(msisdn[-1])]} {_MIDDLE_NAMES[int(msisdn[-2])]} TESTER"


def _result(conversation: Conversation) -> bytes:
    return wire.encode(_result_document(conversation, _listed(_parameters(conversation))))


def _result_of_2017(conversation: Conversation) -> bytes:
    parameters = _parameters(conversation)
    if isinstance(conversation.outcome, Movement):
        parameters |= _whole_shilling_balances(conversation.outcome)
    in_order = {key: parameters[key] for key in _ORDER_OF_2017 if key in parameters}
    return wire.encode(_result_document(conversation, _listed(in_order)))


def _result_as_text(conversation: Conversation) -> bytes:
    return wire.encode(_stringified(_result_document(conversation, _listed(_parameters(conversation)))))


def _result_with_single_parameter(conversation: Conversation) -> bytes:
    # Documented for failures; a success in this form carries its receipt and nothing to check the amount by.
    match conversation.outcome:
        case Movement(receipt=receipt):
            parameter: Document = {"Key": "TransactionReceipt", "Value": receipt}
        case _:
            parameter = {"Key": "BOCompletedTime", "Value": identifiers.compact_time(conversation.opened_at)}
    return wire.encode(_result_document(conversation, {"ResultParameter": parameter}))


def _result_under_gateway_id(conversation: Conversation) -> bytes:
    document = _result_document(conversation, _listed(_parameters(conversation)))
    inner = document["Result"]
    assert isinstance(inner, Mapping)
    return wire.encode({"Result": {**inner, "OriginatorConversationID": conversation.gateway_id}})


def _result_with_wrong_amount(conversation: Conversation) -> bytes:
    parameters = _parameters(conversation)
    if isinstance(conversation.outcome, Movement):
        parameters["TransactionAmount"] = (conversation.outcome.amount_cents + WRONG_AMOUNT_ADDED_CENTS) // 100
    return wire.encode(_result_document(conversation, _listed(parameters)))


def _result_with_wrong_receiver(conversation: Conversation) -> bytes:
    parameters = _parameters(conversation)
    if parameters:
        parameters["ReceiverPartyPublicName"] = public_name(WRONG_RECEIVER)
    return wire.encode(_result_document(conversation, _listed(parameters)))


def _false_failure(conversation: Conversation) -> bytes:
    placeholder = identifiers.placeholder_transaction_id(conversation.opened_at)
    declined = Declined(FALSE_FAILURE_CODE, RESULT_TEXTS[FALSE_FAILURE_CODE], placeholder)
    return wire.encode(_envelope(conversation, declined, None))


def _timeout_envelope(conversation: Conversation) -> bytes:
    return wire.encode(
        {
            "Result": {
                "ResultType": 1,
                "ResultCode": 1,
                "ResultDesc": "The service request timed out.",
                "OriginatorConversationID": conversation.originator_conversation_id,
                "ConversationID": conversation.conversation_id,
            }
        }
    )


_RENDERERS: dict[Notice, Callable[[Conversation], bytes]] = {
    Notice.RESULT: _result,
    Notice.RESULT_2017_ORDER: _result_of_2017,
    Notice.RESULT_AS_TEXT: _result_as_text,
    Notice.RESULT_SINGLE_PARAMETER: _result_with_single_parameter,
    Notice.RESULT_UNDER_GATEWAY_ID: _result_under_gateway_id,
    Notice.RESULT_WRONG_AMOUNT: _result_with_wrong_amount,
    Notice.RESULT_WRONG_RECEIVER: _result_with_wrong_receiver,
    Notice.FALSE_FAILURE: _false_failure,
    Notice.UNREADABLE: lambda _conversation: UNREADABLE_BODY,
    # As Safaricom's staff describe it, the notice is the request itself, credential and all.
    Notice.TIMEOUT_ECHO: lambda conversation: conversation.request_body,
    Notice.TIMEOUT_ENVELOPE: _timeout_envelope,
}


def _parameters(conversation: Conversation) -> dict[str, Document]:
    """The success parameters in today's order; none for a failure."""
    movement = conversation.outcome
    if not isinstance(movement, Movement) or movement.payment is None:
        return {}
    balances = movement.balances_after
    return {
        "TransactionAmount": movement.amount_cents // 100,
        "TransactionReceipt": movement.receipt,
        "ReceiverPartyPublicName": public_name(movement.payment.msisdn),
        "TransactionCompletedDateTime": identifiers.dotted_time(movement.completed_at),
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


def _listed(parameters: Mapping[str, Document]) -> Document:
    if not parameters:
        return None
    return {"ResultParameter": [{"Key": key, "Value": value} for key, value in parameters.items()]}


def _result_document(conversation: Conversation, parameters: Document) -> Mapping[str, Document]:
    assert conversation.outcome is not None
    return _envelope(conversation, conversation.outcome, parameters)


def _envelope(conversation: Conversation, outcome: Movement | Declined, parameters: Document) -> Mapping[str, Document]:
    match outcome:
        case Movement(receipt=receipt):
            code, text, transaction_id = "0", RESULT_TEXTS["0"], receipt
        case Declined(result_code=code, result_text=text, transaction_id=transaction_id):
            pass
    result: dict[str, Document] = {
        "ResultType": 0,
        "ResultCode": int(code) if code.isdigit() else code,
        "ResultDesc": text,
        "OriginatorConversationID": conversation.originator_conversation_id,
        "ConversationID": conversation.conversation_id,
        "TransactionID": transaction_id,
    }
    if parameters is not None:
        result["ResultParameters"] = parameters
    return {"Result": result | {"ReferenceData": _REFERENCE_DATA}}


def _stringified(document: Document) -> Document:
    match document:
        case Decimal():
            return f"{document:.2f}"
        case Mapping():
            return {key: _stringified(value) for key, value in document.items()}
        case str() | None:
            return document
        case int():
            return str(document)
        case _:
            return [_stringified(item) for item in document]
