"""Money that comes in unasked (C2B): where Daraja is to tell of it, the question before it, the confirmation. Pure.

Never raises on any bytes. A confirmation is settled money, whatever it is answered. Source: Daraja's C2B pages; the
wire forms are in tests/examples/daraja.
"""

from __future__ import annotations

import json
from typing import TypeAlias

from adapters import documents
from adapters.collecting import Registered, Registration, RegistrationAnswer
from adapters.daraja import answers, payers, references, wire
from adapters.daraja.answers import TokenRefused
from adapters.daraja.request import Request
from adapters.provider import CallbackUnreadable
from ledger.outbox.collecting import Received, Refusal
from ledger.outbox.instruction import OutcomeUnknown

Answer: TypeAlias = RegistrationAnswer | TokenRefused

_ALREADY_REGISTERED_CODE = "500.003.1001"
_ALREADY_REGISTERED_TEXT = "already registered"

# C2B00014, the payer's KYC, is nothing that we would know of.
_REFUSALS = {
    Refusal.PAYER: "C2B00011",
    Refusal.ACCOUNT: "C2B00012",
    Refusal.AMOUNT: "C2B00013",
    Refusal.SHORTCODE: "C2B00015",
    Refusal.OTHER: "C2B00016",
}

# A reference has up to 20 characters by the documents. What a person typed is bounded here and trusted nowhere.
_REFERENCE_LENGTH_MAX = 100


def registration(wanted: Registration) -> Request:
    """Tells Daraja where to tell of money. ResponseType is what it does where the question stays unanswered."""
    document = {
        "ShortCode": wanted.shortcode,
        "ResponseType": "Completed" if wanted.accepts_unanswered else "Cancelled",
        "ConfirmationURL": wanted.confirmation_url,
        "ValidationURL": wanted.validation_url,
    }
    return Request("/mpesa/c2b/v2/registerurl", document, sent_under=None)


def read_registration_answer(status: int, body: bytes) -> Answer:
    """Whether the addresses are in force. In production they can be registered once, and the first ones stay."""
    document = answers.read_document(status, body)
    if isinstance(document, OutcomeUnknown):
        return document
    if 200 <= status < 300:
        code = documents.text(document.get("ResponseCode"))
        return Registered() if code == "0" else answers.accepted_oddly(code)
    told = (documents.text(document.get("errorMessage")) or "").casefold()
    if documents.code(document.get("errorCode")) == _ALREADY_REGISTERED_CODE and _ALREADY_REGISTERED_TEXT in told:
        return Registered(before=True)
    return answers.read_submission_error(status, document)


def read_payment(body: bytes) -> Received | CallbackUnreadable:
    """The payment that a validation asks about or a confirmation tells of: one shape for both."""
    try:
        return _read_payment(documents.parse_document(body))
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)


def answer_validation(refusal: Refusal | None) -> bytes:
    """The answer to a validation: None for a payment that is wanted."""
    if refusal is None:
        return _compact({"ResultCode": "0", "ResultDesc": "Accepted"})
    return _compact({"ResultCode": _REFUSALS[refusal], "ResultDesc": "Rejected"})


def reference(value: object) -> str:
    """What the payer typed as the account, bounded and printable; "" for nothing."""
    return documents.printable(documents.text(value) or "")[:_REFERENCE_LENGTH_MAX]


def _read_payment(document: dict[str, object]) -> Received:
    receipt = references.receipt(document.get("TransID"))
    shortcode = wire.shortcode(document.get("BusinessShortCode"))
    amount = wire.amount(document.get("TransAmount"))
    completed_at = wire.timestamp(document.get("TransTime"))
    if receipt is None:
        raise documents.Unreadable("the body names no TransID")
    if shortcode is None:
        raise documents.Unreadable("the body names no BusinessShortCode")
    if amount is None or amount.minor_units <= 0:
        raise documents.Unreadable("the body names no TransAmount")
    if completed_at is None:
        raise documents.Unreadable("the body names no TransTime")
    names = (document.get(key) for key in ("FirstName", "MiddleName", "LastName"))
    return Received(
        receipt=receipt,
        shortcode=shortcode,
        amount=amount,
        completed_at=completed_at,
        payer=payers.payer(document.get("MSISDN"), *names),
        reference=reference(document.get("BillRefNumber")),
        # Empty in a validation.
        balance_after=wire.amount(document.get("OrgAccountBalance")),
    )


def _compact(document: dict[str, str]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
