"""What the answer that comes back at once proves, to a payment and to a question. Pure; never raises.

An acknowledgement says nothing of the money. An error answer to a question says nothing of the payment asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from adapters import documents, transport
from adapters.daraja import gateway, references
from adapters.daraja.gateway import GatewayError, Meaning
from ledger.outbox.instruction import Acknowledged, Answer, NotSent, OutcomeUnknown, Rejected


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The gateway refused the access token before the core saw the request: with a fresh one it may be sent again."""


# What an error answer may prove, to something submitted and to a question.
ErrorAnswer: TypeAlias = Rejected | NotSent | OutcomeUnknown | TokenRefused
QuestionErrorAnswer: TypeAlias = NotSent | OutcomeUnknown | TokenRefused
SubmissionAnswer: TypeAlias = Answer | TokenRefused
QuestionAnswer: TypeAlias = Acknowledged | NotSent | OutcomeUnknown | TokenRefused

# A refused question is refused alike until somebody changes the set-up.
REFUSED_QUESTION_SECONDS = 300.0


def read_payout_answer(status: int, body: bytes, *, sent_under: str | None) -> SubmissionAnswer:
    """What the answer to a payment request proves; `sent_under` as in adapters.daraja.request."""
    document = read_document(status, body)
    if isinstance(document, OutcomeUnknown):
        return document
    if 200 <= status < 300:
        return _read_acceptance(document, references.references_of(document, provider_reference=sent_under))
    return read_submission_error(status, document)


def read_submission_error(status: int, document: dict[str, object]) -> ErrorAnswer:
    """What an error answer proves of something submitted that must not be done twice."""
    return _judge_payout_error(gateway.read_error(status, document))


def read_question_answer(status: int, body: bytes) -> QuestionAnswer:
    """What the answer to a status or balance query proves: whether the question was taken in, and nothing else."""
    document = read_document(status, body)
    if isinstance(document, OutcomeUnknown):
        return document
    if 200 <= status < 300:
        return _read_acceptance(document, references.query_references_of(document))
    return read_question_error(status, document)


def read_question_error(status: int, document: dict[str, object]) -> QuestionErrorAnswer:
    """What an error answer proves of a question, which may be asked again."""
    return _judge_question_error(gateway.read_error(status, document))


def read_document(status: int, body: bytes) -> dict[str, object] | OutcomeUnknown:
    """The document of an answer, whatever its status; a body that is none proves nothing."""
    try:
        return documents.parse_document(body)
    except documents.Unreadable as error:
        return OutcomeUnknown(f"HTTP {status}: {error.reason}")


def _read_acceptance(document: dict[str, object], ids: tuple[tuple[str, str], ...]) -> Acknowledged | OutcomeUnknown:
    response_code = documents.text(document.get("ResponseCode"))
    return Acknowledged(ids) if response_code == "0" else accepted_oddly(response_code, ids)


def accepted_oddly(code: str | None, ids: tuple[tuple[str, str], ...] = ()) -> OutcomeUnknown:
    """An answer of 2xx has passed the gateway, so the core may hold the request: a code that nobody explains proves
    nothing."""
    told = "no ResponseCode" if code is None else f"ResponseCode {code}"
    return OutcomeUnknown(transport.redact(f"accepted with {told}"), ids)


def _judge_payout_error(error: GatewayError) -> ErrorAnswer:
    match error.meaning:
        case Meaning.ACCESS_REFUSED:
            return TokenRefused()
        case Meaning.THROTTLED:
            return NotSent(str(error), error.retry_after_seconds)
        case Meaning.REFUSED:
            return Rejected(error.code, error.description)
        case Meaning.DUPLICATE:
            return OutcomeUnknown(
                "seen before under this OriginatorConversationID, which does not say that it was paid"
            )
        case Meaning.BUSY | Meaning.UNPROVEN:
            return OutcomeUnknown(str(error))


def _judge_question_error(error: GatewayError) -> QuestionErrorAnswer:
    match error.meaning:
        case Meaning.ACCESS_REFUSED:
            return TokenRefused()
        case Meaning.THROTTLED | Meaning.BUSY:
            return NotSent(str(error), error.retry_after_seconds)
        case Meaning.REFUSED:
            return NotSent(f"the question was refused: {error}", REFUSED_QUESTION_SECONDS)
        case Meaning.DUPLICATE | Meaning.UNPROVEN:
            return OutcomeUnknown(str(error))
