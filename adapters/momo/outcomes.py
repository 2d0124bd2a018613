"""What became of a transfer and of a request to pay, as the status read and the callback tell it. Pure; never raises.

Both have one shape, and the callback has no signature and does not name our X-Reference-Id: it is a hint to ask, never
an outcome. SUCCESSFUL counts with a financialTransactionId alone, FAILED with a documented reason or none. MoMo tells
no time: what is told is dated by whoever read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from adapters import documents, transport
from adapters.collecting import PromptCallback
from adapters.momo import amounts, reasons
from adapters.provider import CallbackUnreadable, PayoutCallback
from ledger.errors import MsisdnInvalid
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import (
    Payer,
    PayerForm,
    PromptFailed,
    PromptInquiry,
    PromptOutcome,
    PromptPaid,
    PromptPending,
    Received,
)
from ledger.outbox.instruction import Failed, OutcomeUnknown, PayoutInquiry, Settled

PENDING, SUCCESSFUL, FAILED = "PENDING", "SUCCESSFUL", "FAILED"
_HINT = "a callback of this rail is a hint; the status is read"


@dataclass(frozen=True, slots=True)
class Told:
    """What a status document says; what it does not say, or says unreadably, is None. `reason` is a code."""

    status: str
    receipt: str | None
    amount: Money | None
    external_id: str | None
    party: Msisdn | None
    reason: str | None
    description: str
    reason_readable: bool


def read_told(document: dict[str, object]) -> Told | None:
    """None for a document that is no status."""
    status = documents.code(document.get("status"))
    if status is None:
        return None
    reason, description, readable = _reason(document.get("reason"))
    return Told(
        status=status,
        receipt=documents.identifier(document.get("financialTransactionId")),
        amount=amounts.read_amount(document.get("amount"), document.get("currency")),
        external_id=documents.text(document.get("externalId")),
        party=_party(document.get("payee") or document.get("payer")),
        reason=reason,
        description=description,
        reason_readable=readable,
    )


def judge_transfer(
    document: dict[str, object], inquiry: PayoutInquiry, *, now: datetime
) -> Settled | Failed | OutcomeUnknown:
    """What the status read proves of a payout."""
    told = read_told(document)
    if told is None:
        return OutcomeUnknown("the answer has no status")
    if told.external_id != inquiry.provider_reference:
        return OutcomeUnknown("the answer is about another payment")
    if told.status == SUCCESSFUL:
        if told.receipt is None or told.amount is None:
            return OutcomeUnknown("SUCCESSFUL without a financialTransactionId or an amount")
        return Settled(told.receipt, told.amount, now)
    code = _failure(told)
    if code is None:
        return OutcomeUnknown(_words(told))
    return Failed(code, told.description, blame=reasons.blame_for(code))


def judge_request_to_pay(document: dict[str, object], inquiry: PromptInquiry, *, now: datetime) -> PromptOutcome:
    """What the status read proves of a prompt."""
    told = read_told(document)
    if told is None:
        return PromptPending("the answer has no status")
    if inquiry.amount is not None and told.amount != inquiry.amount:
        return PromptPending("the answer is about another amount")
    if told.status == SUCCESSFUL:
        if told.receipt is None or told.amount is None:
            return PromptPending("SUCCESSFUL without a financialTransactionId or an amount")
        payer = Payer(PayerForm.PLAIN, told.party.digits) if told.party else None
        return PromptPaid(Received(told.receipt, "", told.amount, now, payer))
    code = _failure(told)
    if code is None:
        return PromptPending(_words(told))
    return PromptFailed(code, told.description, reasons.blame_for(code))


def read_payout_callback(body: bytes) -> PayoutCallback | CallbackUnreadable:
    """What a callback about a transfer says of whom: enough to compare, and no outcome."""
    told = _read_callback(body)
    if isinstance(told, CallbackUnreadable):
        return told
    return PayoutCallback(
        outcome=OutcomeUnknown(_HINT),
        reference=told.external_id,
        conversation_id=None,
        msisdn=told.party,
        amount=told.amount,
        shortcode=None,
    )


def read_prompt_callback(body: bytes) -> PromptCallback | CallbackUnreadable:
    """A callback about a request to pay: it names no id of ours, and is no outcome."""
    told = _read_callback(body)
    return told if isinstance(told, CallbackUnreadable) else PromptCallback(None, PromptPending(_HINT))


def _read_callback(body: bytes) -> Told | CallbackUnreadable:
    try:
        told = read_told(documents.parse_document(body))
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)
    return told or CallbackUnreadable("the body has no status")


def _failure(told: Told) -> str | None:
    """The code of a definite failure; None where nothing is proved."""
    if told.status != FAILED or told.receipt is not None or not told.reason_readable:
        return None
    if told.reason is None:
        return FAILED
    return told.reason if told.reason in reasons.FAILURES else None


def _words(told: Told) -> str:
    return " ".join(part for part in (told.status, told.reason, "and a receipt" if told.receipt else None) if part)


def _reason(value: object) -> tuple[str | None, str, bool]:
    """A string by MTN's samples, {code, message} by its schema; whether it could be read."""
    if value is None or value == "":
        return None, "", True
    told, message = (value.get("code"), value.get("message")) if isinstance(value, dict) else (value, "")
    code = documents.code(told)
    return code, transport.redact(documents.text(message) or ""), code is not None


def _party(value: object) -> Msisdn | None:
    if not isinstance(value, dict) or documents.text(value.get("partyIdType")) != "MSISDN":
        return None
    try:
        return Msisdn((documents.text(value.get("partyId")) or "").removeprefix("+"))
    except MsisdnInvalid:
        return None
