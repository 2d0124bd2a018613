"""What a B2C callback says about a payment: the result, or the queue timeout in either of its two forms. Pure.

Never raises on any bytes, and never keeps the recipient's name or the credential that a timeout echoes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters import transport
from adapters.daraja import messages, result_codes, wire
from adapters.provider import CallbackUnreadable, PayoutCallback
from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled

# ResultType 0 is the last word; 1 announces further messages.
_FINAL = "0"

_RECEIPT = "TransactionReceipt"

# Failures and queries carry the day's prefix and seven zeros where a receipt would stand.
_PLACEHOLDER = re.compile(r"[A-Z0-9]{3}0{7}")

# Ids the gateway makes itself: 29115-34620561-1, or f663-55dc-c417- with 12 hex and 7 decimal digits.
_GATEWAY_ID = re.compile(r"[0-9]+-[0-9]+-[0-9]+|[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}[0-9]{7}")

# The balances after the payment, as facts for whoever compares them with the books.
_BALANCE_FACTS = {
    "B2CUtilityAccountAvailableFunds": "utility_available_minor_units",
    "B2CWorkingAccountAvailableFunds": "working_available_minor_units",
    "B2CChargesPaidAccountAvailableFunds": "charges_paid_available_minor_units",
}


@dataclass(frozen=True, slots=True)
class _Result:
    """The Result envelope, with what both callback paths need of it."""

    result_type: str | None
    code: str | None
    description: str
    reference: str | None
    conversation_id: str | None
    references: tuple[tuple[str, str], ...]
    parameters: dict[str, str]


def read_payout_callback(kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
    """Reads a callback's body; `kind` is "result" or "timeout", from the path it came by. A timeout is never a failure:
    the result may still come."""
    try:
        document = wire.parse_document(body)
        if kind == "result":
            return _read_result(document)
        if kind == "timeout":
            return _read_timeout(document)
    except wire.Unreadable as error:
        return CallbackUnreadable(error.reason)
    return CallbackUnreadable("the callback is neither a result nor a timeout")


def _read_result(document: dict[str, object]) -> PayoutCallback:
    result = _envelope(document)
    if result.code is None:
        raise wire.Unreadable("the Result has no ResultCode")
    return PayoutCallback(
        outcome=_judge(result, result.code),
        reference=result.reference,
        conversation_id=result.conversation_id,
        msisdn=wire.party_msisdn(result.parameters.get("ReceiverPartyPublicName")),
        amount=wire.amount(result.parameters.get("TransactionAmount")),
        shortcode=None,
    )


def _judge(result: _Result, code: str) -> Settled | Failed | OutcomeUnknown:
    told = f"ResultCode {code}: {result.description}"
    if result.result_type != _FINAL:
        return OutcomeUnknown(f"not final, {told}", result.references)
    if code == result_codes.SUCCESS:
        return _judge_success(result)
    # A failure that names a receipt contradicts itself.
    if code in result_codes.DEFINITE_FAILURES and _RECEIPT not in result.parameters:
        return Failed(code, result.description, result.references)
    return OutcomeUnknown(told, result.references)


def _judge_success(result: _Result) -> Settled | OutcomeUnknown:
    """Only a ResultCode of 0 with a receipt proves success; the TransactionID beside it never does."""
    receipt = wire.identifier(result.parameters.get(_RECEIPT))
    amount = wire.amount(result.parameters.get("TransactionAmount"))
    completed_at = wire.completed_at(result.parameters.get("TransactionCompletedDateTime"))
    if receipt is None or _PLACEHOLDER.fullmatch(receipt):
        return OutcomeUnknown("ResultCode 0 without a receipt", result.references)
    if amount is None or amount.minor_units <= 0:
        return OutcomeUnknown("ResultCode 0 without an amount", result.references)
    if completed_at is None:
        return OutcomeUnknown("ResultCode 0 without a time of completion", result.references)
    return Settled(receipt, amount, completed_at, result.references, _facts(result.parameters))


def _facts(parameters: dict[str, str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for key, name in _BALANCE_FACTS.items():
        balance = wire.amount(parameters.get(key))
        if balance is not None:
            facts[name] = str(balance.minor_units)
    registered = parameters.get("B2CRecipientIsRegisteredCustomer")
    if registered in {"Y", "N"}:
        facts["recipient_is_registered"] = registered
    return facts


def _read_timeout(document: dict[str, object]) -> PayoutCallback:
    return _read_timeout_envelope(document) if "Result" in document else _read_timeout_echo(document)


def _read_timeout_envelope(document: dict[str, object]) -> PayoutCallback:
    result = _envelope(document)
    return PayoutCallback(
        outcome=OutcomeUnknown(f"queue timeout: {result.description}", result.references),
        reference=result.reference,
        conversation_id=result.conversation_id,
        msisdn=None,
        amount=None,
        shortcode=None,
    )


def _read_timeout_echo(document: dict[str, object]) -> PayoutCallback:
    """Our own request come back, SecurityCredential included: only its identifying fields are read."""
    if not all(wire.text(document.get(key)) for key in ("InitiatorName", "CommandID", "PartyA", "PartyB")):
        raise wire.Unreadable("the body is neither a Result nor a payment request")
    return PayoutCallback(
        outcome=OutcomeUnknown("queue timeout: the request was not processed in time"),
        reference=wire.identifier(document.get("OriginatorConversationID")),
        conversation_id=None,
        msisdn=wire.party_msisdn(document.get("PartyB")),
        amount=wire.amount(document.get("Amount")),
        shortcode=wire.identifier(document.get("PartyA")),
    )


def _envelope(document: dict[str, object]) -> _Result:
    result = document.get("Result")
    if not isinstance(result, dict):
        raise wire.Unreadable("the body has no Result")
    originator = wire.identifier(result.get("OriginatorConversationID"))
    reference = None if originator is None or _GATEWAY_ID.fullmatch(originator) else originator
    return _Result(
        result_type=wire.text(result.get("ResultType")),
        code=wire.code(result.get("ResultCode")),
        description=transport.redact(wire.text(result.get("ResultDesc")) or ""),
        reference=reference,
        conversation_id=wire.identifier(result.get("ConversationID")),
        references=messages.references_of(result, provider_reference=reference),
        parameters=_parameters(result.get("ResultParameters")),
    )


def _parameters(holder: object) -> dict[str, str]:
    """ResultParameter by key: a list, a single object, or missing. A key told twice differently is not told at all."""
    inner = holder.get("ResultParameter", holder) if isinstance(holder, dict) else holder
    told: dict[str, str] = {}
    contradicted: set[str] = set()
    for item in inner if isinstance(inner, list) else [inner]:
        key, value = _key_and_value(item)
        if key is not None and value is not None and told.setdefault(key, value) != value:
            contradicted.add(key)
    return {key: value for key, value in told.items() if key not in contradicted}


def _key_and_value(item: object) -> tuple[str | None, str | None]:
    # An item may lack its Value altogether.
    return (wire.text(item.get("Key")), wire.text(item.get("Value"))) if isinstance(item, dict) else (None, None)
