"""What a Daraja of a history says, byte for byte: answers, results, timeouts, statuses, balances. Pure.

Written from the provider's documents (tests/examples/daraja), not from the adapter that reads them.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

EAST_AFRICA = timedelta(hours=3)
ORGANISATION = "600584 - Daftari Test Org"
PLACEHOLDER = "UI10000000"
SUCCESS_TEXT = "The service request is processed successfully."


def answered(conversation: str, originator: str) -> bytes:
    """Taken in."""
    return _json(
        ConversationID=conversation,
        OriginatorConversationID=originator,
        ResponseCode="0",
        ResponseDescription="Accept the service request successfully.",
    )


def refused(code: str, text: str) -> bytes:
    """Daraja's own form of an error."""
    return _json(requestId="11728-2929992-1", errorCode=code, errorMessage=text)


def throttled() -> bytes:
    """The gateway product's form of one."""
    detail = {"errorcode": "policies.ratelimit.SpikeArrestViolation"}
    return _json(fault={"faultstring": "Spike arrest violation", "detail": detail})


def token(text: str) -> bytes:
    """An access token for an hour."""
    return _json(access_token=text, expires_in="3599")


def paid(
    *, originator: str, conversation: str, receipt: str, msisdn: str, cents: int, at: datetime, utility_cents: int
) -> bytes:
    """The result of a payment that was made."""
    parameters = {
        "TransactionReceipt": receipt,
        "TransactionAmount": _shillings(cents),
        "B2CWorkingAccountAvailableFunds": 0,
        "B2CUtilityAccountAvailableFunds": _shillings(utility_cents),
        "TransactionCompletedDateTime": (at + EAST_AFRICA).strftime("%d.%m.%Y %H:%M:%S"),
        "ReceiverPartyPublicName": f"{msisdn} - TEST PERSON",
        "B2CChargesPaidAccountAvailableFunds": 0,
        "B2CRecipientIsRegisteredCustomer": "Y",
    }
    return _result("0", SUCCESS_TEXT, originator, conversation, receipt, parameters)


def declined(*, originator: str, conversation: str, code: str) -> bytes:
    """The result of a payment that was not made."""
    return _result(code, f"declined with {code}", originator, conversation, PLACEHOLDER, None)


def timed_out(*, originator: str, conversation: str) -> bytes:
    """The notice of a queue timeout, in its thin form."""
    return _json(
        Result={
            "ResultType": 1,
            "ResultCode": 1,
            "ResultDesc": "The service request timed out.",
            "OriginatorConversationID": originator,
            "ConversationID": conversation,
        }
    )


def status(
    *, question: str, originator: str, conversation: str, told: str, msisdn: str, cents: int, receipt: str, at: datetime
) -> bytes:
    """The answer to a status query about a payment that is known."""
    moment = (at + EAST_AFRICA).strftime("%Y%m%d%H%M%S")
    parameters = {
        "DebitPartyName": ORGANISATION,
        "CreditPartyName": f"{msisdn} - TEST PERSON",
        "OriginatorConversationID": originator,
        "InitiatedTime": moment,
        "DebitAccountType": "Utility Account",
        "DebitPartyCharges": "",
        "ReasonType": "Business Payment to Customer via API",
        "TransactionStatus": told,
        "FinalisedTime": moment,
        "Amount": _shillings(cents),
        "ConversationID": conversation,
        "ReceiptNo": receipt,
    }
    return _result("0", SUCCESS_TEXT, question, f"AG_{question}", PLACEHOLDER, parameters)


def not_found(*, question: str) -> bytes:
    """The answer to one about a payment that is not."""
    return _result(
        "2033", "The transaction receipt number is not found.", question, f"AG_{question}", PLACEHOLDER, None
    )


def balances(*, question: str, utility_cents: int, working_cents: int, at: datetime) -> bytes:
    """The answer to a balance query."""
    told = "&".join(
        f"{name}|KES|{cents / 100:.2f}|{cents / 100:.2f}|0.00|0.00"
        for name, cents in (("Working Account", working_cents), ("Utility Account", utility_cents))
    )
    parameters = {"AccountBalance": told, "BOCompletedTime": (at + EAST_AFRICA).strftime("%Y%m%d%H%M%S")}
    return _result("0", SUCCESS_TEXT, question, f"AG_{question}", PLACEHOLDER, parameters)


def _result(
    code: str, text: str, originator: str, conversation: str, transaction: str, parameters: dict[str, Any] | None
) -> bytes:
    result: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": int(code),
        "ResultDesc": text,
        "OriginatorConversationID": originator,
        "ConversationID": conversation,
        "TransactionID": transaction,
    }
    if parameters is not None:
        listed = [{"Key": key, "Value": value} for key, value in parameters.items()]
        result["ResultParameters"] = {"ResultParameter": listed}
    return _json(Result=result)


def _shillings(cents: int) -> float | int:
    return cents // 100 if cents % 100 == 0 else cents / 100


def _json(**document: Any) -> bytes:
    return json.dumps(document).encode()
