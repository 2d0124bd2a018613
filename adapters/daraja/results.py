"""What a callback says about a payment, B2C or B2B: the result, or the queue timeout in either of its two forms. Pure.

Never raises on any bytes, and never keeps the recipient's name or the credential that a timeout echoes.
"""

from __future__ import annotations

from adapters import documents
from adapters.daraja import b2b, b2b_results, envelope, references, result_codes, wire
from adapters.daraja.envelope import Envelope, Parameters
from adapters.provider import CallbackUnreadable, PayoutCallback
from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled

_RECEIPT = "TransactionReceipt"

# The balances after the payment, as facts for whoever compares them with the books.
_BALANCE_FACTS = {
    "B2CUtilityAccountAvailableFunds": "utility_available_minor_units",
    "B2CWorkingAccountAvailableFunds": "working_available_minor_units",
    "B2CChargesPaidAccountAvailableFunds": "charges_paid_available_minor_units",
}


def read_payout_callback(kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
    """Reads a callback's body; `kind` is "result" or "timeout", from the path it came by. A timeout is never a failure:
    the result may still come."""
    try:
        document = documents.parse_document(body)
        if kind == "result":
            return _read_result(envelope.read_judged(document))
        if kind == "timeout":
            return _read_timeout(document)
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)
    return CallbackUnreadable("the callback is neither a result nor a timeout")


def _read_result(result: Envelope) -> PayoutCallback:
    """B2B by what it tells, since its envelope is B2C's; a failure tells nothing, and reads alike for both."""
    if _RECEIPT not in result.parameters and b2b_results.is_business(result.parameters):
        return b2b_results.read_result(result)
    reference = references.our_reference(result.ids["OriginatorConversationID"])
    return PayoutCallback(
        outcome=_judge(result, references.references_of(result.ids, provider_reference=reference)),
        reference=reference,
        conversation_id=documents.identifier(result.ids["ConversationID"]),
        msisdn=wire.party_msisdn(result.parameters.get("ReceiverPartyPublicName")),
        amount=wire.amount(result.parameters.get("TransactionAmount")),
        shortcode=None,
    )


def _judge(result: Envelope, ids: tuple[tuple[str, str], ...]) -> Settled | Failed | OutcomeUnknown:
    if not result.is_final:
        return OutcomeUnknown(f"not final, {result.told}", ids)
    if result.code == envelope.SUCCESS:
        return _judge_success(result.parameters, ids)
    # A failure that names a receipt contradicts itself.
    if result.code in result_codes.DEFINITE_FAILURES and _RECEIPT not in result.parameters:
        return Failed(result.code, result.description, ids, result_codes.blame_for_payment(result.code))
    return OutcomeUnknown(result.told, ids)


def _judge_success(parameters: Parameters, ids: tuple[tuple[str, str], ...]) -> Settled | OutcomeUnknown:
    """Only a ResultCode of 0 with a receipt proves success; the TransactionID beside it never does."""
    receipt = references.receipt(parameters.get(_RECEIPT))
    amount = wire.amount(parameters.get("TransactionAmount"))
    completed_at = wire.completed_at(parameters.get("TransactionCompletedDateTime"))
    if receipt is None:
        return OutcomeUnknown("ResultCode 0 without a receipt", ids)
    if amount is None or amount.minor_units <= 0:
        return OutcomeUnknown("ResultCode 0 without an amount", ids)
    if completed_at is None:
        return OutcomeUnknown("ResultCode 0 without a time of completion", ids)
    return Settled(receipt, amount, completed_at, ids, _facts(parameters))


def _facts(parameters: Parameters) -> dict[str, str]:
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
    if "Result" in document:
        return _read_timeout_envelope(envelope.read(document))
    if b2b.is_request(document):
        return b2b_results.read_echo(document)
    return _read_timeout_echo(document)


def _read_timeout_envelope(result: Envelope) -> PayoutCallback:
    reference = references.our_reference(result.ids["OriginatorConversationID"])
    ids = references.references_of(result.ids, provider_reference=reference)
    return PayoutCallback(
        outcome=OutcomeUnknown(f"queue timeout: {result.description}", ids),
        reference=reference,
        conversation_id=documents.identifier(result.ids["ConversationID"]),
        msisdn=None,
        amount=None,
        shortcode=None,
    )


def _read_timeout_echo(document: dict[str, object]) -> PayoutCallback:
    """Our own request come back, SecurityCredential included: only its identifying fields are read."""
    if not all(documents.text(document.get(key)) for key in ("InitiatorName", "CommandID", "PartyA", "PartyB")):
        raise documents.Unreadable("the body is neither a Result nor a payment request")
    return PayoutCallback(
        outcome=OutcomeUnknown("queue timeout: the request was not processed in time"),
        reference=documents.identifier(document.get("OriginatorConversationID")),
        conversation_id=None,
        msisdn=wire.party_msisdn(document.get("PartyB")),
        amount=wire.amount(document.get("Amount")),
        shortcode=documents.identifier(document.get("PartyA")),
    )
