"""What the documents of all APIs share: acknowledgements, result codes and their texts, timeout notices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from adapters.sandbox.wire import Document

# Daraja result codes and texts. 9405 is made up, to stand for a code that no document lists; the text of 2033 too,
# since it is known by its meaning only.
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
    "25": "The format of parameter null is invalid.",
    "26": "System busy. The service request is rejected.",
    "2001": "The initiator information is invalid.",
    "2006": "Declined due to account rule: The account status does not allow this transaction.",
    "2028": "The request is not permitted according to product assignment.",
    "2033": "The transaction receipt number does not exist.",
    "2040": "Credit Party customer type (Unregistered or Registered Customer) can't be supported by the service.",
    "8006": "The security credential is locked.",
    "9405": "The request could not be completed.",
    "R000001": "The transaction has already been reversed.",
    "R000002": "The OriginalTransactionID is invalid.",
    "SFC_IC0003": "The operator does not exist.",
    "TP40153": "The operator has no permission for this API.",
}
WAIT_FOR_MORE = 1  # ResultType: further messages follow
FALSE_FAILURE_CODE = "8"
WRONG_AMOUNT_ADDED_CENTS = 10_000
UNREADABLE_BODY = b'{"Result":{"ResultType":0,"ResultCode":0,"ResultDesc":"The service req'


@dataclass(frozen=True, slots=True)
class Conversation:
    """The ids of one request, whatever it asked for. `gateway_id` is the originator id that the gateway made up, used
    where the client gave none."""

    originator_conversation_id: str
    conversation_id: str
    gateway_id: str
    opened_at: datetime
    request_body: bytes = field(repr=False)


def acknowledgement(conversation: Conversation, *, own_id_first: bool) -> Document:
    """Taken in, nothing decided. B2C puts its own id first."""
    ids: dict[str, Document] = {
        "OriginatorConversationID": conversation.originator_conversation_id,
        "ConversationID": conversation.conversation_id,
    }
    in_order = sorted(ids) if own_id_first else list(ids)
    accepted: dict[str, Document] = {
        "ResponseCode": "0",
        "ResponseDescription": "Accept the service request successfully.",
    }
    return {key: ids[key] for key in in_order} | accepted


def item(key: str, *value: Document) -> dict[str, Document]:
    """One parameter: a key with its value, or without one, as Daraja sometimes leaves it."""
    return {"Key": key, "Value": value[0]} if value else {"Key": key}


def items(pairs: Mapping[str, Document]) -> Document:
    """Parameters as Daraja lists them; None where there are none."""
    return {"ResultParameter": [item(key, value) for key, value in pairs.items()]} if pairs else None


def code_number(code: str) -> Document:
    """A result code as most APIs write it: a number where it is one."""
    return int(code) if code.isdigit() else code


def timeout_document(conversation: Conversation) -> Document:
    """The thin queue-timeout notice."""
    return {
        "Result": {
            "ResultType": WAIT_FOR_MORE,
            "ResultCode": 1,
            "ResultDesc": "The service request timed out.",
            "OriginatorConversationID": conversation.originator_conversation_id,
            "ConversationID": conversation.conversation_id,
        }
    }


def interim_document(conversation: Conversation) -> Document:
    """A result that asks to wait for further messages."""
    return {
        "Result": {
            "ResultType": WAIT_FOR_MORE,
            "ResultCode": 0,
            "ResultDesc": "The service request is being processed.",
            "OriginatorConversationID": conversation.originator_conversation_id,
            "ConversationID": conversation.conversation_id,
            "TransactionID": "",
        }
    }


def stringified(document: Document) -> Document:
    """The document with every number as a string."""
    match document:
        case Decimal():
            return f"{document:.2f}"
        case Mapping():
            return {key: stringified(value) for key, value in document.items()}
        case str() | None:
            return document
        case int():
            return str(document)
        case Sequence():
            return [stringified(part) for part in document]


def without_parameters(document: Document) -> Document:
    """The result document as it is but for its parameters."""
    assert isinstance(document, Mapping)
    result = document["Result"]
    assert isinstance(result, Mapping)
    return {"Result": {key: value for key, value in result.items() if key != "ResultParameters"}}
