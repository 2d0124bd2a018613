"""What a callback says about a reversal: the result, or the queue timeout. Pure; never raises on any bytes.

A timeout is never a failure, and a code that nobody documents neither: the money may have gone back.
"""

from __future__ import annotations

from adapters import documents
from adapters.collecting import ReversalCallback
from adapters.daraja import account_strings, envelope, query_results, references, result_codes, reversal, wire
from adapters.daraja.envelope import Envelope, Parameters
from adapters.provider import CallbackUnreadable
from ledger.money import Money
from ledger.outbox.collecting import Returned, ReturnFailed, ReversalOutcome
from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled

_ORIGINAL_RECEIPT = "OriginalTransactionID"
_COMPLETED_AT = "TransCompletedTime"

_TIMED_OUT = "queue timeout: the request was not processed in time"


def read_reversal_callback(kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
    """Reads a callback's body; `kind` is "result" or "timeout", from the path it came by."""
    try:
        document = documents.parse_document(body)
        if kind == "result":
            return _read_result(envelope.read_judged(document))
        if kind == "timeout":
            return _read_timeout(document)
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)
    return CallbackUnreadable("the callback is neither a result nor a timeout")


def read_reversal_query_callback(kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
    """Reads the answer to a status query about a reversal, which is told like any transaction: its own receipt and its
    own ids among the parameters."""
    read = query_results.read_query_callback(kind, body)
    if isinstance(read, CallbackUnreadable):
        return read
    outcome: ReversalOutcome
    match read.outcome:
        case Settled(receipt=receipt, amount=amount, completed_at=completed_at, charge=charge):
            outcome = Returned(receipt, None, amount, completed_at, charge)
        case Failed(code=code, description=description):
            outcome = ReturnFailed(code, description)
        case unknown:
            outcome = unknown
    return ReversalCallback(read.conversation_id, outcome)


def _read_result(result: Envelope) -> ReversalCallback:
    return ReversalCallback(documents.identifier(result.ids["ConversationID"]), _judge(result))


def _judge(result: Envelope) -> ReversalOutcome:
    ids = references.references_of(result.ids, provider_reference=None)
    if not result.is_final:
        return OutcomeUnknown(f"not final, {result.told}", ids)
    if result.code == envelope.SUCCESS:
        return _judge_success(result, ids)
    # A failure that tells of a reversal made contradicts itself, as a documented sample with 21 does.
    contradicted = _ORIGINAL_RECEIPT in result.parameters or _COMPLETED_AT in result.parameters
    if result.code in result_codes.REVERSAL_FAILURES and not contradicted:
        return ReturnFailed(
            result.code,
            result.description,
            returned_before=result.code == result_codes.REVERSED_BEFORE,
            blame=result_codes.blame_for_payment(result.code),
        )
    return OutcomeUnknown(result.told, ids)


def _judge_success(result: Envelope, ids: tuple[tuple[str, str], ...]) -> Returned | OutcomeUnknown:
    """The receipt stands beside the parameters; it counts where they are those of a reversal, and where it is not the
    receipt reversed."""
    parameters = result.parameters
    receipt = references.receipt(result.transaction_id)
    original = references.receipt(parameters.get(_ORIGINAL_RECEIPT))
    amount = account_strings.money(parameters.get("Amount"))
    completed_at = wire.timestamp(parameters.get(_COMPLETED_AT)) or wire.completed_at(parameters.get(_COMPLETED_AT))
    if receipt is None or receipt == original:
        return OutcomeUnknown("ResultCode 0 without a receipt of its own", ids)
    if amount is None or amount.minor_units <= 0:
        return OutcomeUnknown("ResultCode 0 without an amount", ids)
    if completed_at is None:
        return OutcomeUnknown("ResultCode 0 without a time of completion", ids)
    return Returned(receipt, original, amount, completed_at, _charge(parameters))


def _charge(parameters: Parameters) -> Money | None:
    """A plain amount here; None where nothing is told."""
    told = parameters.get("Charge")
    plain = account_strings.money(told)
    return account_strings.charge(told) if plain is None or plain.minor_units < 0 else plain


def _read_timeout(document: dict[str, object]) -> ReversalCallback:
    """A thin Result, or our own request come back, SecurityCredential included: nothing of it is read."""
    if "Result" not in document:
        if not reversal.is_request(document):
            raise documents.Unreadable("the body is neither a Result nor a reversal request")
        return ReversalCallback(None, OutcomeUnknown(_TIMED_OUT))
    result = envelope.read(document)
    ids = references.references_of(result.ids, provider_reference=None)
    return ReversalCallback(
        documents.identifier(result.ids["ConversationID"]), OutcomeUnknown(f"queue timeout: {result.description}", ids)
    )
