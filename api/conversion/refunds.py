"""Refunds across the wire."""

from __future__ import annotations

from datetime import datetime

from daftari.v1 import refunds_pb2 as pb

from api.conversion.fields import request_fields
from api.conversion.money import money_message, money_of
from api.conversion.payouts import payout_id_of
from api.conversion.times import moment_of, timestamp_of
from ledger.collections.refusals import RefundNotFound
from ledger.idempotency import claim
from ledger.ids import decode, encode
from ledger.refunds import PREFIX, Refund, RefundRequest, State

REQUEST_METHOD = "RequestRefund"
_SEPARATOR = "\x1f"  # check_text lets no text hold it
_STATES = {state: pb.Refund.State.Value(f"STATE_{state.value}") for state in State}


def refund_id_of(text: str) -> int:
    """Raises RefundNotFound for what no refund's id looks like, just as for an id that none has."""
    refund_id = decode(PREFIX, text)
    if refund_id is None:
        raise RefundNotFound("no such refund in this ledger", field="refund_id")
    return refund_id


def refund_request_of(request: pb.RequestRefundRequest, *, client_id: int, actor: str, now: datetime) -> RefundRequest:
    """The refund to ask for. Raises what makes it impossible, with its field."""
    with request_fields():
        told = request.HasField("complete_time")
        completed_at = moment_of(request.complete_time, field="complete_time") if told else now
        amount = money_of(request.amount, field="amount")
        content = (
            request.payout_id, request.provider, request.shortcode, request.receipt, str(amount),
            completed_at.isoformat() if told else "", request.evidence,
        )  # fmt: skip
        key = claim(
            client_id=client_id,
            key=request.request_id,
            method=REQUEST_METHOD,
            content=_SEPARATOR.join(content).encode("utf-8", "surrogatepass"),
        )
        return RefundRequest(
            key=key,
            payout_id=payout_id_of(request.payout_id),
            provider=request.provider,
            shortcode=request.shortcode,
            receipt=request.receipt,
            amount=amount,
            completed_at=completed_at,
            evidence=request.evidence,
            actor=actor,
        )


def refund_message(shown: Refund) -> pb.Refund:
    """A refund as it stands."""
    return pb.Refund(
        id=encode(PREFIX, shown.id),
        payout_id=encode("pay", shown.payout_id),
        provider=shown.provider,
        shortcode=shown.shortcode,
        receipt=shown.receipt,
        amount=money_message(shown.amount.currency, shown.amount.minor_units),
        complete_time=timestamp_of(shown.completed_at),
        evidence=shown.evidence,
        state=_STATES[shown.state],
        requested_by=shown.requested_by,
        decided_by=shown.decided_by or "",
        reason=shown.reason or "",
        receipt_id=encode("rcp", shown.receipt_id) if shown.receipt_id is not None else "",
        create_time=timestamp_of(shown.created_at),
        decide_time=timestamp_of(shown.decided_at) if shown.decided_at is not None else None,
    )
