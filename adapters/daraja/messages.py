"""The B2C request document and the answer that comes back at once. Pure: builds and reads, sends nothing.

Source: Daraja's B2C page; the wire forms are in tests/examples/daraja.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from adapters import transport
from adapters.daraja import gateway, wire
from adapters.daraja.credentials import ApiVersion, DarajaSettings
from adapters.provider import CallbackUrls
from adapters.transport import Secret
from ledger.errors import AmountNotPayable
from ledger.outbox.instruction import Acknowledged, Answer, NotSent, OutcomeUnknown, PayoutInstruction, Rejected
from ledger.payouts.limits import RailLimits, check_payable

RAIL = "daraja"

# Minor units of KES. Whole shillings, 10 to 250,000 a payment: Daraja's B2C page.
PAYOUT_LIMITS = {wire.CURRENCY: RailLimits(step=100, minimum=1_000, maximum=25_000_000)}

# Daraja's CommandID by purpose; any other purpose is an ordinary BusinessPayment.
_COMMAND_IDS = {"salary": "SalaryPayment", "promotion": "PromotionPayment"}

_REMARKS_LENGTH_MAX = 100
_REMARKS_WHEN_TOO_SHORT = "Payout"

# Kinds of provider references: ids of Daraja's own that its later messages may come under.
CONVERSATION_ID = "daraja.conversation_id"
ORIGINATOR_CONVERSATION_ID = "daraja.originator_conversation_id"


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The gateway refused the access token before the core saw the request: with a fresh one it may be sent again."""


SubmissionAnswer: TypeAlias = Answer | TokenRefused


def payout_path(api_version: ApiVersion) -> str:
    """The path of the payment request under the base URL."""
    return f"/mpesa/b2c/{api_version}/paymentrequest"


def payout_request(
    instruction: PayoutInstruction,
    *,
    settings: DarajaSettings,
    security_credential: Secret,
    callback_urls: CallbackUrls,
) -> dict[str, str]:
    """The request document, in the order documented. Raises AmountNotPayable unless the amount is whole shillings
    within Daraja's limits: nothing is rounded."""
    document = {
        "OriginatorConversationID": instruction.provider_reference,
        "InitiatorName": settings.initiator_name,
        "SecurityCredential": security_credential.reveal(),
        "CommandID": _COMMAND_IDS.get(instruction.purpose.lower(), "BusinessPayment"),
        "Amount": _whole_shillings(instruction),
        "PartyA": instruction.shortcode,
        "PartyB": instruction.payee.digits,
        "Remarks": _remarks(instruction.remarks),
        "QueueTimeOutURL": callback_urls.timeout_url,
        "ResultURL": callback_urls.result_url,
        # Daraja spells it this way. Our reference, so that a person can find the payment in the portal.
        "Occassion": instruction.provider_reference,
    }
    return document if settings.api_version == "v3" else _as_version_1(document)


def _as_version_1(document: dict[str, str]) -> dict[str, str]:
    # v1 has no id of ours, and spells the occasion as the dictionary does.
    older = {key: value for key, value in document.items() if key not in {"OriginatorConversationID", "Occassion"}}
    return {**older, "Occasion": document["Occassion"]}


def _whole_shillings(instruction: PayoutInstruction) -> str:
    limits = PAYOUT_LIMITS.get(instruction.amount.currency)
    if limits is None:
        raise AmountNotPayable(f"{RAIL} pays {wire.CURRENCY} only", field="amount", rail=RAIL)
    check_payable(instruction.amount, limits, rail=RAIL)
    return str(instruction.amount.minor_units // limits.step)


def _remarks(remarks: str) -> str:
    # Required, 2 to 100 characters; words for a person, so they are fitted rather than refused.
    printable = "".join(character if character.isprintable() else " " for character in remarks).strip()
    return printable[:_REMARKS_LENGTH_MAX] if len(printable) >= 2 else _REMARKS_WHEN_TOO_SHORT


def read_payout_answer(status: int, body: bytes, *, provider_reference: str) -> SubmissionAnswer:
    """What the answer to a payment request proves; `provider_reference` is what it was sent under. Never raises."""
    try:
        document = wire.parse_document(body)
    except wire.Unreadable as error:
        return OutcomeUnknown(f"HTTP {status}: {error.reason}")
    if 200 <= status < 300:
        return _read_acceptance(document, provider_reference=provider_reference)
    return _read_refusal(status, document)


def _read_acceptance(document: dict[str, object], *, provider_reference: str) -> Acknowledged | OutcomeUnknown:
    references = references_of(document, provider_reference=provider_reference)
    response_code = wire.text(document.get("ResponseCode"))
    if response_code == "0":
        return Acknowledged(references)
    # No other ResponseCode is documented, and an answer of 2xx has passed the gateway, so the core may hold the
    # payment: a code that nobody explains proves nothing.
    told = "no ResponseCode" if response_code is None else f"ResponseCode {response_code}"
    return OutcomeUnknown(transport.redact(f"accepted with {told}"), references)


def _read_refusal(status: int, document: dict[str, object]) -> SubmissionAnswer:
    error = gateway.read_error(status, document)
    match error.meaning:
        case gateway.Meaning.ACCESS_REFUSED:
            return TokenRefused()
        case gateway.Meaning.THROTTLED:
            return NotSent(str(error), error.retry_after_seconds)
        case gateway.Meaning.REFUSED:
            return Rejected(error.code, error.description)
        case gateway.Meaning.DUPLICATE:
            return OutcomeUnknown(
                "seen before under this OriginatorConversationID, which does not say that it was paid"
            )
        case gateway.Meaning.UNPROVEN:
            return OutcomeUnknown(str(error))


def references_of(document: dict[str, object], *, provider_reference: str | None) -> tuple[tuple[str, str], ...]:
    """Daraja's own ids in a message: the ConversationID, and an OriginatorConversationID that is not ours."""
    found = (
        (CONVERSATION_ID, wire.identifier(document.get("ConversationID"))),
        (ORIGINATOR_CONVERSATION_ID, wire.identifier(document.get("OriginatorConversationID"))),
    )
    return tuple((kind, value) for kind, value in found if value is not None and value != provider_reference)
