"""Returns across the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from daftari.v1 import returns_pb2 as pb

from api.conversion.collections import receipt_id_of
from api.conversion.entries import entry_id_text
from api.conversion.fields import request_fields
from api.conversion.money import money_message, money_of
from api.conversion.times import moment_of, timestamp_of
from ledger.collections.return_asking import ReturnRequest, TakenBack
from ledger.collections.returning import PREFIX, Return, ReturnEvent, State
from ledger.errors import TextInvalid
from ledger.idempotency import claim
from ledger.ids import decode, encode
from ledger.journal.entry import Source

REQUEST_METHOD, TAKE_BACK_METHOD = "RequestReturn", "TakeBackReceipt"
_RECEIPT_PREFIX = "rcp"
_SEPARATOR = "\x1f"  # check_text lets no text hold it
_STATES = {state: pb.Return.State.Value(f"STATE_{state.value}") for state in State}
_STATES_BY_NUMBER = {int(number): state for state, number in _STATES.items()}


def known_return_id(text: str) -> int | None:
    """None for what is no id of ours, and may be a provider's receipt number."""
    return decode(PREFIX, text)


def return_request_of(request: pb.RequestReturnRequest, *, client_id: int, actor: str) -> ReturnRequest:
    """The return to make. Raises what makes it impossible, with its field."""
    with request_fields():
        amount = money_of(request.amount, field="amount") if request.HasField("amount") else None
        content = (request.receipt_id, str(amount), request.reason)
        key = claim(
            client_id=client_id,
            key=request.request_id,
            method=REQUEST_METHOD,
            content=_SEPARATOR.join(content).encode("utf-8", "surrogatepass"),
        )
        receipt_id = receipt_id_of(request.receipt_id)
        return ReturnRequest(key=key, actor=actor, receipt_id=receipt_id, amount=amount, reason=request.reason)


def states_of(numbers: Sequence[int]) -> list[State]:
    """The states a list is narrowed to; unspecified ones do not narrow it."""
    return [_STATES_BY_NUMBER[number] for number in numbers if number in _STATES_BY_NUMBER]


def taken_back_of(request: pb.TakeBackReceiptRequest, *, client_id: int, actor: str, now: datetime) -> TakenBack:
    """What the provider took back. Raises what makes it impossible, with its field."""
    with request_fields():
        amount = money_of(request.amount, field="amount") if request.HasField("amount") else None
        told = request.HasField("complete_time")
        completed_at = moment_of(request.complete_time, field="complete_time") if told else now
        content = (request.receipt_id, str(amount), request.return_receipt, request.evidence)
        key = claim(
            client_id=client_id,
            key=request.request_id,
            method=TAKE_BACK_METHOD,
            content=_SEPARATOR.join(content).encode("utf-8", "surrogatepass"),
        )
        if not request.return_receipt:
            raise TextInvalid("the provider's receipt of the reversal is its proof", field="return_receipt")
        return TakenBack(
            key=key,
            receipt_id=receipt_id_of(request.receipt_id),
            amount=amount,
            return_receipt=request.return_receipt,
            completed_at=completed_at,
            reason=request.evidence,
            actor=actor,
            source=Source.MANUAL,
        )


def return_message(shown: Return) -> pb.Return:
    """A return as it stands."""
    return pb.Return(
        id=encode(PREFIX, shown.id),
        receipt_id=encode(_RECEIPT_PREFIX, shown.receipt_id),
        amount=money_message(shown.amount.currency, shown.amount.minor_units),
        state=_STATES[shown.state],
        reason=shown.reason,
        return_receipt=shown.return_receipt or "",
        failure_code=shown.failure_code or "",
        failure_text=shown.failure_text or "",
        version=shown.version,
        create_time=timestamp_of(shown.created_at),
        update_time=timestamp_of(shown.updated_at),
        unasked=shown.unasked,
    )


def return_event_message(event: ReturnEvent) -> pb.ReturnEvent:
    """One change of a return."""
    return pb.ReturnEvent(
        version=event.version,
        state=_STATES[event.state],
        event=event.event,
        entry_id=entry_id_text(event.entry_id) if event.entry_id is not None else "",
        detail=event.detail or "",
        actor=event.actor,
        record_time=timestamp_of(event.recorded_at),
    )
