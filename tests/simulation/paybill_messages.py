"""What a Daraja of a history says of money that comes in, byte for byte: confirmations, prompts, lists, reversals.
Pure.

Written from the provider's documents (tests/examples/daraja), not from the adapter that reads them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

EAST_AFRICA = timedelta(hours=3)
PLACEHOLDER = "UI10000000"
SUCCESS_TEXT = "The service request is processed successfully."
STILL_PROCESSING = "4999"
_TEXTS = {
    "1": "The balance is insufficient for the transaction.",
    "1019": "Transaction has expired",
    "1032": "Request cancelled by user",
    "1037": "DS timeout user cannot be reached",
    "2001": "The initiator information is invalid.",
    STILL_PROCESSING: "The transaction is still under processing",
}


def payment(
    *, receipt: str, cents: int, at: datetime, shortcode: str, typed: str, payer: str, balance_cents: int | None
) -> bytes:
    """A payment to the paybill: asked about beforehand (no balance), or confirmed."""
    return _json(
        TransactionType="Pay Bill",
        TransID=receipt,
        TransTime=_compact(at),
        TransAmount=f"{cents / 100:.2f}",
        BusinessShortCode=shortcode,
        BillRefNumber=typed,
        InvoiceNumber="",
        OrgAccountBalance="" if balance_cents is None else f"{balance_cents / 100:.2f}",
        ThirdPartyTransID="",
        MSISDN=payer,
        FirstName="TEST",
        MiddleName="",
        LastName="",
    )


def masked(msisdn: str) -> str:
    """A number with its middle hidden, as Daraja prints it."""
    return f"{msisdn[:4]} ***** {msisdn[-3:]}"


def hashed(msisdn: str) -> str:
    """A number as a hash."""
    return hashlib.sha256(msisdn.encode()).hexdigest()


def registered() -> bytes:
    """The addresses are in force."""
    return _json(OriginatorCoversationID="af0d-0026", ResponseCode="0", ResponseDescription="Success")


def prompted(checkout: str) -> bytes:
    """A prompt is taken in."""
    return _json(
        MerchantRequestID=f"ddb7-{checkout}",
        CheckoutRequestID=checkout,
        ResponseCode="0",
        ResponseDescription="Success. Request accepted for processing",
        CustomerMessage="Success. Request accepted for processing",
    )


def prompt_paid(*, checkout: str, receipt: str, cents: int, at: datetime, msisdn: str) -> bytes:
    """The callback of a prompt that was paid."""
    items = {
        "Amount": cents / 100,
        "MpesaReceiptNumber": receipt,
        "TransactionDate": int(_compact(at)),
        "PhoneNumber": int(msisdn),
    }
    metadata = {"Item": [{"Name": name, "Value": value} for name, value in items.items()]}
    return _prompt_callback(checkout, 0, SUCCESS_TEXT, CallbackMetadata=metadata)


def prompt_failed(*, checkout: str, code: str) -> bytes:
    """The callback of one that was not."""
    return _prompt_callback(checkout, int(code), _TEXTS[code])


def prompt_status(*, checkout: str, code: str) -> bytes:
    """The answer to a question about a prompt."""
    return _json(
        ResponseCode="0",
        ResponseDescription="The service request has been accepted successsfully",
        MerchantRequestID=f"ddb7-{checkout}",
        CheckoutRequestID=checkout,
        ResultCode=code,
        ResultDesc=_TEXTS.get(code, SUCCESS_TEXT),
    )


def being_processed() -> bytes:
    """The other answer to a question too early."""
    return _json(
        requestId="e6f2-6069-4189", errorCode="500.001.1001", errorMessage="The transaction is being processed"
    )


def listing(rows: Sequence[tuple[str, datetime, str, str, int]]) -> bytes:
    """What came in, by Pull: (receipt, time, payer, account, cents)."""
    told = [
        {
            "transactionId": receipt,
            "trxDate": f"{(at + EAST_AFRICA).strftime('%Y-%m-%dT%H:%M:%S')}+03:00",
            "msisdn": payer,
            "sender": "MPESA",
            "transactiontype": "c2b-pay-bill-debit",
            "billreference": typed,
            "amount": f"{cents / 100:.1f}",
            "organizationname": "Daftari Test Org",
        }
        for receipt, at, payer, typed, cents in rows
    ]
    code, text = ("1000", "Success") if told else ("1001", "Null")
    return _json(ResponseRefID="7f2a1b44-0b0e", ResponseCode=code, ResponseMessage=text, Response=[told])


def accepted(conversation: str, originator: str) -> bytes:
    """A reversal is taken in."""
    return _json(
        OriginatorConversationID=originator,
        ConversationID=conversation,
        ResponseCode="0",
        ResponseDescription="Accept the service request successfully.",
    )


def reversed_back(
    *, originator: str, conversation: str, number: str, original: str, cents: int, at: datetime, utility_cents: int
) -> bytes:
    """The result of a reversal that was made."""
    held = f"{utility_cents / 100:.2f}"
    parameters = {
        "DebitAccountBalance": f"Utility Account|KES|{held}|{held}|0.00|0.00",
        "Amount": cents / 100,
        "TransCompletedTime": int(_compact(at)),
        "OriginalTransactionID": original,
        "Charge": 0.0,
        "CreditPartyPublicName": "254700000017 - TEST PERSON",
        "DebitPartyPublicName": "600584 - Daftari Test Org",
    }
    listed = [{"Key": key, "Value": value} for key, value in parameters.items()]
    return _result(0, SUCCESS_TEXT, originator, conversation, number, ResultParameters={"ResultParameter": listed})


def not_reversed(*, originator: str, conversation: str, code: str) -> bytes:
    """The result of one that was not."""
    told: int | str = int(code) if code.isdigit() else code
    return _result(told, f"refused with {code}", originator, conversation, PLACEHOLDER)


def reversal_timed_out(*, originator: str, conversation: str) -> bytes:
    """The notice of a queue timeout, in its thin form."""
    return _result(1, "The service request timed out.", originator, conversation, PLACEHOLDER)


def status(
    *, question: str, originator: str, conversation: str, told: str, cents: int, receipt: str, at: datetime
) -> bytes:
    """The answer to a status query about money in, or about a reversal of it."""
    parameters = {
        "DebitPartyName": "254700000017 - TEST PERSON",
        "CreditPartyName": "600584 - Daftari Test Org",
        "OriginatorConversationID": originator,
        "InitiatedTime": int(_compact(at)),
        "DebitPartyCharges": "",
        "TransactionStatus": told,
        "FinalisedTime": int(_compact(at)),
        "Amount": cents / 100,
        "ConversationID": conversation,
        "ReceiptNo": receipt,
    }
    listed = [{"Key": key, "Value": value} for key, value in parameters.items()]
    more = {"ResultParameters": {"ResultParameter": listed}}
    return _result(0, SUCCESS_TEXT, question, f"AG_{question}", PLACEHOLDER, **more)


def read_local(text: str) -> datetime:
    """A moment as a Pull request names it, in UTC."""
    return datetime.fromisoformat(f"{text}+00:00") - EAST_AFRICA


def _prompt_callback(checkout: str, code: int, text: str, **more: Any) -> bytes:
    told = {"MerchantRequestID": f"ddb7-{checkout}", "CheckoutRequestID": checkout, "ResultCode": code}
    return _json(Body={"stkCallback": {**told, "ResultDesc": text, **more}})


def _result(code: int | str, text: str, originator: str, conversation: str, transaction: str, **more: Any) -> bytes:
    return _json(
        Result={
            "ResultType": 0,
            "ResultCode": code,
            "ResultDesc": text,
            "OriginatorConversationID": originator,
            "ConversationID": conversation,
            "TransactionID": transaction,
            **more,
        }
    )


def _compact(at: datetime) -> str:
    return (at + EAST_AFRICA).strftime("%Y%m%d%H%M%S")


def _json(**document: Any) -> bytes:
    return json.dumps(document).encode()
