"""Africa's Talking's SMS API as text: the form that sends, its answer, what is called back. Pure.

POST /version1/messaging (docs: sms/sending, sms/notifications). A failure comes with HTTP 201 as well; no reference of
ours is taken, so a message whose answer was lost may not be sent again."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlencode

from adapters.provider import CallbackUnreadable
from adapters.sms import DELIVERY, OPT_OUT, Delivery, DeliveryReport, SmsCallback, Wish, cost_of, message_id_of, wish_of
from adapters.transport import redact
from ledger.errors import MsisdnInvalid
from ledger.msisdn import parse_msisdn
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.sms.message import Accepted, Refused, SmsAnswer, Text

NAME = "africastalking"
PATH = "/version1/messaging"
# By status, how long to rest.
_NOT_PASSED_ON = {401: 300.0, 429: 30.0}
# 100 Processed, 101 Sent, 102 Queued.
_TAKEN_IN = frozenset({100, 101, 102})
# 401 RiskHold, 403 InvalidPhoneNumber, 404 UnsupportedNumberType, 406 UserInBlacklist, 409 DoNotDisturbRejection, 502
# RejectedByGateway.
_REFUSED = frozenset({401, 403, 404, 406, 409, 502})
# 402 InvalidSenderId, 405 InsufficientBalance, 407 CouldNotRoute: another provider may carry it.
_REFUSED_HERE = frozenset({402, 405, 407})
_DELIVERIES = {
    "Sent": Delivery.UNDER_WAY,
    "Submitted": Delivery.UNDER_WAY,
    "Buffered": Delivery.UNDER_WAY,
    "Success": Delivery.DELIVERED,
    "Failed": Delivery.FAILED,
    "Rejected": Delivery.FAILED,
}


def form(text: Text, *, username: str) -> bytes:
    """The body of the request."""
    fields = {"username": username, "to": f"+{text.to.digits}", "message": text.body, "bulkSMSMode": "1"}
    if text.sender:
        fields["from"] = text.sender
    return urlencode(fields | {"enqueue": "1"}).encode()


def read_answer(status: int, body: bytes, text: Text) -> SmsAnswer:
    """What an answer proved. Whatever is not documented leaves open whether something was sent."""
    if status in _NOT_PASSED_ON:
        return NotSent(f"the provider refuses our access or our haste: HTTP {status}", _NOT_PASSED_ON[status])
    try:
        told = json.loads(body)["SMSMessageData"]
        recipients, words = told["Recipients"], told["Message"]
    except (ValueError, KeyError, TypeError):
        recipients, words = None, ""
    if status != 201 or not isinstance(recipients, list):
        return OutcomeUnknown(f"HTTP {status}, with a body that is not documented or does not count")
    if not recipients and words == "InvalidSenderId":
        return Refused(words, "nothing was sent", elsewhere=True)
    ours = [one for one in recipients if isinstance(one, dict) and one.get("number") == f"+{text.to.digits}"]
    return _of_recipient(ours[0]) if len(ours) == 1 else OutcomeUnknown("HTTP 201 that names another recipient")


def read_callback(kind: str, body: bytes) -> SmsCallback | CallbackUnreadable:
    """A delivery report, a message that somebody sent us, or their wish to get no more: forms all."""
    try:
        fields = {name: values[0] for name, values in parse_qs(body.decode(), strict_parsing=True).items()}
    except (UnicodeDecodeError, ValueError):
        return CallbackUnreadable("the body is no form")
    if kind == DELIVERY:
        return _delivery(fields)
    try:
        phone = parse_msisdn(fields.get("phoneNumber" if kind == OPT_OUT else "from", ""))
    except MsisdnInvalid:
        return CallbackUnreadable("it names no phone")
    return Wish(phone, False if kind == OPT_OUT else wish_of(fields.get("text", "")))


def _of_recipient(told: dict[str, Any]) -> SmsAnswer:
    status = told.get("statusCode")
    code = status if isinstance(status, int) else None
    words, message_id = redact(str(told.get("status", ""))), message_id_of(told.get("messageId"))
    if code in _TAKEN_IN and message_id is not None and message_id != "None":
        currency, _, amount = str(told.get("cost", "")).partition(" ")
        return Accepted(message_id, cost_of(amount, currency) if amount else None)
    if code in _REFUSED or code in _REFUSED_HERE:
        return Refused(f"{code} {words}", "nothing was sent", elsewhere=code in _REFUSED_HERE)
    return OutcomeUnknown("the status is not documented as sent or refused")


def _delivery(fields: dict[str, str]) -> DeliveryReport | CallbackUnreadable:
    message_id, delivery = message_id_of(fields.get("id")), _DELIVERIES.get(fields.get("status", ""))
    if message_id is None or delivery is None:
        return CallbackUnreadable("it has no id, or a status that is not documented")
    return DeliveryReport(message_id, delivery, redact(fields.get("failureReason", "")))
