"""Callback bodies as a provider, or somebody who would be one, might send them. Forms: tests/examples/daraja."""

from __future__ import annotations

import json
from typing import Any

GATEWAY_ID = "29115-34620561-1"


def result(
    reference: str,
    *,
    receipt: str = "UI1XXXXXX1",
    shillings: float | str = 1500,
    payee: str = "254712345678 - JANE TESTER",
    code: int | str = 0,
    completed: str = "01.09.2026 10:15:36",
    **changes: Any,
) -> bytes:
    """A result of today's form; `changes` replace members of the envelope."""
    parameters = {
        "TransactionAmount": shillings,
        "TransactionReceipt": receipt,
        "ReceiverPartyPublicName": payee,
        "TransactionCompletedDateTime": completed,
        "B2CUtilityAccountAvailableFunds": 998_500.0,
        "B2CWorkingAccountAvailableFunds": 0.0,
        "B2CRecipientIsRegisteredCustomer": "Y",
        "B2CChargesPaidAccountAvailableFunds": -5.0,
    }
    envelope = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "The service request is processed successfully.",
        "OriginatorConversationID": reference,
        "ConversationID": "AG_20260901_00000000000000000001",
        "TransactionID": receipt,
        "ResultParameters": {"ResultParameter": [{"Key": key, "Value": value} for key, value in parameters.items()]},
    }
    return json.dumps({"Result": envelope | changes}).encode()


def failure(
    reference: str,
    *,
    code: int | str = 2040,
    text: str = "not registered",
    conversation: str = "AG_20260901_00000000000000000002",
) -> bytes:
    """A result that tells of a failure."""
    envelope = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": text,
        "OriginatorConversationID": reference,
        "ConversationID": conversation,
        "TransactionID": "UI10000000",
    }
    return json.dumps({"Result": envelope}).encode()


def timeout_echo(reference: str, *, shillings: int = 1500, payee: str = "254712345678", payer: str = "600584") -> bytes:
    """The queue-timeout notice that sends the request back."""
    document = {
        "OriginatorConversationID": reference,
        "InitiatorName": "daftari_api",
        "SecurityCredential": "c2VjcmV0IGNyZWRlbnRpYWw=",
        "CommandID": "BusinessPayment",
        "Amount": str(shillings),
        "PartyA": payer,
        "PartyB": payee,
        "Remarks": "order-1",
        "QueueTimeOutURL": "https://example.invalid/timeout",
        "ResultURL": "https://example.invalid/result",
        "Occassion": reference,
    }
    return json.dumps(document).encode()


# What nobody can read, each in its own way.
GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<html>503</html>",
    "cut off": b'{"Result":{"ResultType":0,"ResultCode":0',
    "not UTF-8": b'{"Result":"\xff\xfe"}',
    "UTF-16": '{"Result":{}}'.encode("utf-16"),
    "NUL": b'{"Result":{"ResultType":0,"ResultCode":0,"ResultDesc":"a\\u0000b"}}',
    "half a surrogate": b'{"Result":{"ResultType":0,"ResultCode":0,"ResultDesc":"\\ud800"}}',
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"Result":{"ResultCode":NaN}}',
    "deep": b'{"Result":' * 20_000 + b"1" + b"}" * 20_000,
    "deep lists": b"[" * 60_000,
    "wide": b'{"Result":{' + b",".join(b'"k%d":1' % number for number in range(9_000)) + b"}}",
    "long": b'{"Result":{"ResultDesc":"' + b"x" * 200_000 + b'"}}',
    "a key told twice": b'{"Result":{"ResultCode":0},"Result":{"ResultCode":1}}',
    "no ResultCode": b'{"Result":{"ResultType":0}}',
    "a huge number": b'{"Result":{"ResultType":0,"ResultCode":' + b"9" * 30_000 + b"}}",
    "SQL": b"'; DROP TABLE payouts; --",
}
