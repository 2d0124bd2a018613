"""Pindo's SMS API as text: JSON both ways, a bearer token, errors by HTTP status. Pure.

POST /v1/sms/. An answer names its cost and no currency, which is a matter of the account."""

from __future__ import annotations

import json
from decimal import Decimal

from adapters.provider import CallbackUnreadable
from adapters.sms import DELIVERY, Delivery, DeliveryReport, cost_of, message_id_of
from adapters.transport import redact
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.sms.message import Accepted, Refused, SmsAnswer, Text

NAME = "pindo"
PATH = "/v1/sms/"
REFUSED_ACCESS_SECONDS = 300.0
# SMPP's words.
_DELIVERIES = {
    "DELIVRD": Delivery.DELIVERED,
    "UNDELIV": Delivery.FAILED,
    "EXPIRED": Delivery.FAILED,
    "REJECTD": Delivery.FAILED,
    "ACCEPTD": Delivery.UNDER_WAY,
    "ENROUTE": Delivery.UNDER_WAY,
}


def document(text: Text) -> bytes:
    """The body of the request."""
    return json.dumps({"to": f"+{text.to.digits}", "text": text.body, "sender": text.sender}).encode()


def read_answer(status: int, body: bytes, *, currency: str) -> SmsAnswer:
    """What an answer proved."""
    try:
        told = json.loads(body, parse_float=Decimal)
    except ValueError:
        told = None
    fields = told if isinstance(told, dict) else {}
    message_id = message_id_of(fields.get("sms_id"))
    if status == 201 and message_id is not None:
        return Accepted(message_id, cost_of(str(fields.get("total_cost", "")), currency))
    if status == 401:
        return NotSent("the provider refuses our access: HTTP 401", REFUSED_ACCESS_SECONDS)
    # 404 and 409 are documented with the same error's body: nothing was taken in. An unknown sender is our account's.
    if status in (404, 409) and fields.get("status") == status:
        return Refused(f"http-{status}", redact(str(fields.get("message", ""))), elsewhere=status == 409)
    return OutcomeUnknown(f"HTTP {status}")


def read_callback(kind: str, body: bytes) -> DeliveryReport | CallbackUnreadable:
    """A delivery report; its id is a number here and a text in the answer."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if kind != DELIVERY or not isinstance(told, dict):
        return CallbackUnreadable("this provider documents no such message")
    delivery = _DELIVERIES.get(str(told.get("status")))
    message_id = message_id_of(told.get("sms_id"))
    if message_id is None or delivery is None:
        return CallbackUnreadable("it has no id, or a status that is not documented")
    return DeliveryReport(message_id, delivery, str(told["status"]))
