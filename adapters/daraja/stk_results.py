"""What became of a prompt: by its callback, and as the answer to a question tells it. Pure; never raises on any bytes.

Only ResultCode 0 with a receipt, an amount and a time is a receipt. Only a documented failure is one: 4999 says that
nothing is decided, and a code that nobody documents says nothing.
"""

from __future__ import annotations

from datetime import datetime

from adapters import documents, transport
from adapters.collecting import PromptCallback
from adapters.daraja import envelope, payers, references, result_codes, wire
from adapters.daraja.envelope import Parameters
from adapters.provider import CallbackUnreadable
from ledger.money import Money
from ledger.outbox.collecting import PromptFailed, PromptOutcome, PromptPaid, PromptPending, Received

_RECEIPT = "MpesaReceiptNumber"


def read_prompt_callback(body: bytes) -> PromptCallback | CallbackUnreadable:
    """Reads the answer to a prompt."""
    try:
        return _read_callback(documents.parse_document(body))
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)


def judge_query(document: dict[str, object]) -> PromptOutcome:
    """What the answer to a question says of the prompt; it never names a receipt. A ResultCode is a string here."""
    code = documents.code(document.get("ResultCode"))
    if code == envelope.SUCCESS:
        return PromptPaid(None)
    return _judge_failure(code, _description(document))


def _read_callback(document: dict[str, object]) -> PromptCallback:
    body = document.get("Body")
    told = body.get("stkCallback") if isinstance(body, dict) else None
    if not isinstance(told, dict):
        raise documents.Unreadable("the body has no stkCallback")
    checkout, code = documents.identifier(told.get("CheckoutRequestID")), documents.code(told.get("ResultCode"))
    if checkout is None:
        raise documents.Unreadable("the stkCallback names no CheckoutRequestID")
    if code is None:
        raise documents.Unreadable("the stkCallback has no ResultCode")
    return PromptCallback(checkout, _judge(code, _description(told), _metadata(told)))


def _metadata(told: dict[str, object]) -> Parameters:
    """Present on success only, and keyed by Name where every other API has Key."""
    holder = told.get("CallbackMetadata")
    return envelope.read_parameters(holder.get("Item") if isinstance(holder, dict) else None, named="Name")


def _judge(code: str, description: str, metadata: Parameters) -> PromptOutcome:
    if code == envelope.SUCCESS:
        return _judge_success(metadata)
    # A failure that names a receipt contradicts itself.
    if _RECEIPT in metadata:
        return PromptPending(f"a receipt beside ResultCode {code}: {description}")
    return _judge_failure(code, description)


def _judge_success(metadata: Parameters) -> PromptPaid | PromptPending:
    receipt = references.receipt(metadata.get(_RECEIPT))
    amount = wire.amount(metadata.get("Amount"))
    completed_at = wire.timestamp(metadata.get("TransactionDate"))
    if receipt is None:
        return PromptPending("ResultCode 0 without a receipt")
    if amount is None or amount.minor_units <= 0:
        return PromptPending("ResultCode 0 without an amount")
    if completed_at is None:
        return PromptPending("ResultCode 0 without a time of completion")
    return PromptPaid(_received(receipt, amount, completed_at, metadata))


def _received(receipt: str, amount: Money, completed_at: datetime, metadata: Parameters) -> Received:
    # Neither the shortcode nor the account reference comes back; whose Balance that is, where it has a Value, is
    # nowhere said.
    return Received(
        receipt=receipt,
        shortcode="",
        amount=amount,
        completed_at=completed_at,
        payer=payers.payer(metadata.get("PhoneNumber")),
    )


def _judge_failure(code: str | None, description: str) -> PromptFailed | PromptPending:
    if code is not None and code in result_codes.PROMPT_FAILURES:
        return PromptFailed(code, description, result_codes.blame_for_prompt(code))
    return PromptPending(f"ResultCode {code}: {description}")


def _description(told: dict[str, object]) -> str:
    return transport.redact(documents.text(told.get("ResultDesc")) or "")
