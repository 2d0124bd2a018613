"""Review cases across the wire."""

from __future__ import annotations

from daftari.v1 import reviews_pb2 as pb

from api.conversion.entries import entry_id_text
from api.conversion.times import moment_of, timestamp_of
from ledger.errors import ChoiceInvalid, ReviewNotFound
from ledger.ids import decode, encode
from ledger.payouts.reviews import Review
from ledger.resolutions import Resolution, Verb

REVIEW_PREFIX = "rev"
_VERBS = {
    pb.ResolveReviewRequest.VERB_SETTLE: Verb.SETTLE,
    pb.ResolveReviewRequest.VERB_RELEASE: Verb.RELEASE,
    pb.ResolveReviewRequest.VERB_CHARGE: Verb.CHARGE,
    pb.ResolveReviewRequest.VERB_CLAW_BACK: Verb.CLAW_BACK,
    pb.ResolveReviewRequest.VERB_REFUTE: Verb.REFUTE,
    pb.ResolveReviewRequest.VERB_DISMISS: Verb.DISMISS,
}


def review_id_of(text: str) -> int:
    """Raises ReviewNotFound for what no case's id looks like, just as for an id that no case has."""
    review_id = decode(REVIEW_PREFIX, text)
    if review_id is None:
        raise ReviewNotFound("no such case in this ledger; see ListReviews", field="review_id")
    return review_id


def resolution_of(request: pb.ResolveReviewRequest) -> Resolution:
    """The decision a request makes. Raises ChoiceInvalid, TextInvalid, TimeInvalid."""
    verb = _VERBS.get(request.verb)
    if verb is None:
        raise ChoiceInvalid("name one of the verbs", field="verb")
    told = request.HasField("complete_time")
    return Resolution(
        verb=verb,
        evidence=request.evidence,
        receipt=request.receipt,
        completed_at=moment_of(request.complete_time, field="complete_time") if told else None,
    )


def review_message(review: Review) -> pb.Review:
    """A case as it stands."""
    message = pb.Review(
        id=encode(REVIEW_PREFIX, review.id),
        queue=review.queue,
        payout_id=encode("pay", review.payout_id) if review.payout_id is not None else "",
        reason=review.reason,
        open_time=timestamp_of(review.opened_at),
        verb=review.verb or "",
        evidence=review.evidence or "",
        actor=review.actor or "",
        entry_id=entry_id_text(review.entry_id) if review.entry_id is not None else "",
        receipt_id=encode("rcp", review.receipt_id) if review.receipt_id is not None else "",
        return_id=encode("rtn", review.return_id) if review.return_id is not None else "",
        held_entry_id=entry_id_text(review.held_entry_id) if review.held_entry_id is not None else "",
    )
    if review.resolved_at is not None:
        message.resolve_time.CopyFrom(timestamp_of(review.resolved_at))
    return message
