"""Requests about money in, each one that succeeds, with fields to change; and customers who pay."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx

from tests.adapters.sandbox.rig import Callback, Rig

STK_PATH = "/mpesa/stkpush/v1/processrequest"
STK_QUERY_PATH = "/mpesa/stkpushquery/v1/query"
REGISTER_PATH = "/mpesa/c2b/v2/registerurl"
SIMULATE_PATH = "/mpesa/c2b/v2/simulate"
REVERSAL_PATH = "/mpesa/reversal/v1/request"
PULL_REGISTER_PATH = "/pulltransactions/v1/register"
PULL_QUERY_PATH = "/pulltransactions/v1/query"

PAYER = "254700000017"
TIMESTAMP = "20260901101530"


def password(rig: Rig) -> str:
    """The Password of a prompt at TIMESTAMP."""
    return base64.b64encode(f"{rig.settings.shortcode}{rig.settings.passkey}{TIMESTAMP}".encode()).decode()


def push(rig: Rig, **changes: object) -> dict[str, object]:
    """An STK push to a paybill."""
    return {
        "BusinessShortCode": rig.settings.shortcode,
        "Password": password(rig),
        "Timestamp": TIMESTAMP,
        "TransactionType": "CustomerPayBillOnline",
        "Amount": "1500",
        "PartyA": PAYER,
        "PartyB": rig.settings.shortcode,
        "PhoneNumber": PAYER,
        "CallBackURL": f"{rig.receiver.base_url}/stk/k7Qd2",
        "AccountReference": "LN000417",
        "TransactionDesc": "Repayment",
    } | changes


def stk_query(rig: Rig, checkout_request_id: str, **changes: object) -> dict[str, object]:
    """An STK query."""
    return {
        "BusinessShortCode": rig.settings.shortcode,
        "Password": password(rig),
        "Timestamp": TIMESTAMP,
        "CheckoutRequestID": checkout_request_id,
    } | changes


def registration(rig: Rig, **changes: object) -> dict[str, object]:
    """C2B addresses."""
    return {
        "ShortCode": rig.settings.shortcode,
        "ResponseType": "Completed",
        "ConfirmationURL": f"{rig.receiver.base_url}/confirm/k7Qd2",
        "ValidationURL": f"{rig.receiver.base_url}/validate/k7Qd2",
    } | changes


def simulation(rig: Rig, **changes: object) -> dict[str, object]:
    """A pretended payment to a paybill."""
    return {
        "ShortCode": rig.settings.shortcode,
        "CommandID": "CustomerPayBillOnline",
        "Amount": 450,
        "Msisdn": PAYER,
        "BillRefNumber": "LN000417",
    } | changes


def reversal(rig: Rig, receipt: str, **changes: object) -> dict[str, object]:
    """A reversal of KES 450."""
    return {
        "Initiator": rig.settings.initiator_name,
        "SecurityCredential": rig.security_credential,
        "CommandID": "TransactionReversal",
        "TransactionID": receipt,
        "Amount": "450",
        "ReceiverParty": rig.settings.shortcode,
        "RecieverIdentifierType": "11",
        "ResultURL": f"{rig.receiver.base_url}/reversal/result/k7Qd2",
        "QueueTimeOutURL": f"{rig.receiver.base_url}/reversal/timeout/k7Qd2",
        "Remarks": "Paid twice",
        "Occasion": "RF-0009",
    } | changes


def pull_registration(rig: Rig, **changes: object) -> dict[str, object]:
    """Pull, switched on."""
    return {
        "ShortCode": rig.settings.shortcode,
        "RequestType": "Pull",
        "NominatedNumber": "254700000099",
        "CallBackURL": f"{rig.receiver.base_url}/pull/k7Qd2",
    } | changes


def pull_query(rig: Rig, **changes: object) -> dict[str, object]:
    """All payments of the day."""
    return {
        "ShortCode": rig.settings.shortcode,
        "StartDate": "2026-09-01 00:00:00",
        "EndDate": "2026-09-01 23:59:59",
        "OffSetValue": "0",
    } | changes


async def prompted(rig: Rig, suffix: str = "", **changes: object) -> str:
    """Sends a prompt, to a magic number where a suffix is given, and returns its CheckoutRequestID."""
    number = {"PhoneNumber": f"254700000{suffix}", "PartyA": f"254700000{suffix}"} if suffix else {}
    response = await rig.send(STK_PATH, push(rig, **number | changes))
    assert response.status_code == 200, response.text
    checkout_request_id: str = response.json()["CheckoutRequestID"]
    return checkout_request_id


async def found(rig: Rig, checkout_request_id: str) -> str:
    """What an STK query finds: a ResultCode, or an HTTP status."""
    response = await rig.send(STK_QUERY_PATH, stk_query(rig, checkout_request_id))
    return str(response.json()["ResultCode"]) if response.status_code == 200 else f"HTTP {response.status_code}"


async def registered(rig: Rig, **changes: object) -> None:
    """Registers C2B addresses and expects it to be taken."""
    assert (await rig.send(REGISTER_PATH, registration(rig, **changes))).status_code == 200


async def pays(rig: Rig, **changes: object) -> dict[str, Any]:
    """A customer pays KES 450 to the paybill by the control API; what came of it."""
    wanted = {"msisdn": PAYER, "amount_cents": 45_000, "reference": "LN000417"} | changes
    response = await rig.http.post("/sandbox/customers/pay", json=wanted)
    assert response.status_code == 200, response.text
    attempt: dict[str, Any] = response.json()
    return attempt


async def reverses(rig: Rig, receipt: str, **changes: object) -> httpx.Response:
    """Sends a reversal."""
    return await rig.send(REVERSAL_PATH, reversal(rig, receipt, **changes))


def document(callback: Callback) -> dict[str, Any]:
    """The JSON of a callback."""
    read: dict[str, Any] = json.loads(callback.body)
    return read


def told(rig: Rig) -> list[str]:
    """The callbacks so far, each in a few words."""
    return [described(callback) for callback in rig.receiver.received]


def described(callback: Callback) -> str:
    """A callback in a few words: where it went, and what it says."""
    try:
        read = document(callback)
    except ValueError:
        return "unreadable"
    if "Body" in read:
        return f"prompt {read['Body']['stkCallback']['ResultCode']}"
    if "Result" in read:
        return f"result {read['Result']['ResultCode']}"
    return f"{callback.path.split('/')[1]} {read.get('TransAmount', 'echo')}"
