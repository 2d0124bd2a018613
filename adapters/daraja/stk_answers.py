"""What the answer that comes back at once proves, to a prompt and to the question what became of one. Pure; never
raises.

One error code stands for refusals and for a prompt under way: its text decides.
"""

from __future__ import annotations

from typing import TypeAlias

from adapters import documents, transport
from adapters.daraja import answers, stk_results
from adapters.daraja.answers import TokenRefused
from ledger.outbox.collecting import PromptAnswer, Prompted, PromptPending, PromptQueryAnswer
from ledger.outbox.instruction import Blame, NotSent, OutcomeUnknown, Rejected

SubmissionAnswer: TypeAlias = PromptAnswer | TokenRefused
QuestionAnswer: TypeAlias = PromptQueryAnswer | TokenRefused

_MANY_MEANINGS_CODE = "500.001.1001"
_STILL_PROCESSED_TEXT = "the transaction is being processed"

# Documented with HTTP 500, and yet refusals: no payer was prompted. The first two are about our shortcode and passkey,
# and fail every prompt. Production puts words before them: "[MerchantValidate] - Wrong credentials".
_REFUSAL_TEXTS = {
    "merchant does not exist": Blame.ACCESS,
    "wrong credentials": Blame.ACCESS,
    "unable to lock subscriber": Blame.PAYMENT,
}


def read_prompt_answer(status: int, body: bytes) -> SubmissionAnswer:
    """What the answer to a prompt proves: that it was taken in, and under which id, or what became of the request."""
    document = answers.read_document(status, body)
    if isinstance(document, OutcomeUnknown):
        return document
    if 200 <= status < 300:
        return _read_acceptance(document)
    return _refusal(document) or answers.read_submission_error(status, document)


def read_query_answer(status: int, body: bytes, *, checkout: str) -> QuestionAnswer:
    """What the answer to a question says of the prompt `checkout`. An error says nothing of it, but for the one that
    says that it is under way."""
    document = answers.read_document(status, body)
    if isinstance(document, OutcomeUnknown):
        return document
    if 200 <= status < 300:
        return _read_outcome(document, checkout)
    if _STILL_PROCESSED_TEXT in _text(document):
        return PromptPending(_STILL_PROCESSED_TEXT)
    refusal = _refusal(document)
    if refusal is not None:
        return NotSent(f"the question was refused: {refusal.description}", answers.REFUSED_QUESTION_SECONDS)
    return answers.read_question_error(status, document)


def _read_acceptance(document: dict[str, object]) -> Prompted | OutcomeUnknown:
    code = documents.text(document.get("ResponseCode"))
    if code != "0":
        return answers.accepted_oddly(code)
    checkout = documents.identifier(document.get("CheckoutRequestID"))
    return OutcomeUnknown("accepted without a CheckoutRequestID") if checkout is None else Prompted(checkout)


def _read_outcome(document: dict[str, object], checkout: str) -> PromptQueryAnswer:
    code = documents.text(document.get("ResponseCode"))
    if code != "0":
        return answers.accepted_oddly(code)
    if document.get("CheckoutRequestID", checkout) != checkout:
        return OutcomeUnknown("the answer is about another prompt")
    if documents.code(document.get("ResultCode")) is None:
        return OutcomeUnknown("the answer has no ResultCode")
    return stk_results.judge_query(document)


def _refusal(document: dict[str, object]) -> Rejected | None:
    text = _text(document)
    for told, blame in _REFUSAL_TEXTS.items():
        if told in text:
            return Rejected(
                _MANY_MEANINGS_CODE, transport.redact(documents.text(document.get("errorMessage")) or ""), blame
            )
    return None


def _text(document: dict[str, object]) -> str:
    """The text of the code that has many meanings; "" under any other."""
    if documents.code(document.get("errorCode")) != _MANY_MEANINGS_CODE:
        return ""
    return (documents.text(document.get("errorMessage")) or "").casefold()
