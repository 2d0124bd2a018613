"""Closing the cases of the review queues: a verb, the evidence for it, and the entry the verb posts. One transaction.

The verbs move money through the same door as any outcome; a case is closed once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, driver
from ledger.errors import ReviewNotResolvable, TextInvalid
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.outbox.instruction import Failed, Settled
from ledger.outcomes import Applied, OutcomeRecorder
from ledger.payouts import reviews, writing
from ledger.payouts.outcome import Charged, ClawedBack, Outcome, Report
from ledger.payouts.payout import State
from ledger.payouts.reviews import Review
from ledger.payouts.writing import LockedPayout
from ledger.text import check_text

EVIDENCE_LENGTH_MAX = 1000
# What everybody may read of a person's decision; its evidence may name people and stays with the case.
_TOLD = "decided by a person on evidence"
# Cases that hold money: while the payout stands so, its case is where a person finds it, and is not dismissed.
_HOLDING = {"submit-unknown": State.UNKNOWN, "provider-conflict": State.CONFLICTED}


class Verb(enum.Enum):
    """What a person may decide. The value is the word on the wire and in the books."""

    SETTLE = "settle"
    RELEASE = "release"
    CHARGE = "charge"
    CLAW_BACK = "claw-back"
    DISMISS = "dismiss"


# A payout that may still be on its way is nobody's to decide: only one whose outcome is unknown, or came too late.
_MOVABLE = {
    Verb.SETTLE: frozenset({State.UNKNOWN, State.RELEASED, State.CANCELLED}),
    Verb.RELEASE: frozenset({State.UNKNOWN}),
    Verb.CHARGE: frozenset({State.CONFLICTED}),
    Verb.CLAW_BACK: frozenset({State.CONFLICTED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A decision. `receipt` and `completed_at` are the provider's proof, for SETTLE alone."""

    verb: Verb
    evidence: str
    receipt: str = ""
    completed_at: datetime | None = None

    def __post_init__(self) -> None:
        check_text(self.evidence, field="evidence", length_max=EVIDENCE_LENGTH_MAX)
        if not self.evidence.strip():
            raise TextInvalid("say what the decision rests on", field="evidence")
        if (self.verb is Verb.SETTLE) != bool(self.receipt):
            raise TextInvalid("settling needs the provider's receipt, and no other verb takes one", field="receipt")
        if self.receipt:
            check_text(self.receipt, field="receipt", length_max=100)
            # The provider's own message will be compared with it, character by character.
            if self.receipt.split() != [self.receipt]:
                raise TextInvalid("a receipt has no spaces; write it as the provider shows it", field="receipt")


async def resolve_review(
    connection: AsyncConnection,
    *,
    ledger: Ledger,
    review_id: int,
    resolution: Resolution,
    actor: str,
    recorder: OutcomeRecorder,
    now: datetime,
) -> Review:
    """Closes a case by what its verb posts. Raises ReviewNotFound, ReviewNotResolvable, FloorWouldBreak."""
    session = await driver(connection)
    review = await reviews.get_review(connection, ledger_id=ledger.id, review_id=review_id)
    if review.payout_id is None and resolution.verb is not Verb.DISMISS:
        raise ReviewNotResolvable("this case has no payout; it can only be dismissed", field="verb")
    entry_id = None
    if review.payout_id is not None:
        locked = await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=[review.payout_id])
        # Read again under the payout's lock: somebody may have closed the case meanwhile.
        review = await reviews.get_review(connection, ledger_id=ledger.id, review_id=review_id)
        _check_open(review)
        (payout,) = locked.values()
        if resolution.verb is Verb.DISMISS:
            _check_dismissible(review, payout)
        else:
            entry_id = await _post(session, ledger, payout, resolution, actor=actor, recorder=recorder, now=now)
    closed = await reviews.write_resolution(
        session,
        ledger_id=ledger.id,
        review_id=review_id,
        verb=resolution.verb.value,
        evidence=resolution.evidence,
        actor=actor,
        entry_id=entry_id,
        now=now,
    )
    found = await reviews.get_review(connection, ledger_id=ledger.id, review_id=review_id)
    if not closed:
        _check_open(found)
    return found


async def _post(
    session: Driver,
    ledger: Ledger,
    payout: LockedPayout,
    resolution: Resolution,
    *,
    actor: str,
    recorder: OutcomeRecorder,
    now: datetime,
) -> int:
    if payout.state not in _MOVABLE[resolution.verb]:
        raise _does_nothing(resolution.verb, payout.state)
    outcome = _outcome(resolution, payout, now)
    report = Report(payout_id=payout.id, outcome=outcome, source=Source.MANUAL, actor=actor)
    (recorded,) = await recorder.record(session, ledger=ledger, reports=[report], now=now)
    if not isinstance(recorded, Applied) or recorded.entry_id is None:
        raise _does_nothing(resolution.verb, recorded.state)
    return recorded.entry_id


def _does_nothing(verb: Verb, state: State) -> ReviewNotResolvable:
    return ReviewNotResolvable(
        f"the payout is {state.value}: {verb.value} does nothing to it", field="verb", state=state.value
    )


def _check_dismissible(review: Review, payout: LockedPayout) -> None:
    if _HOLDING.get(review.queue) is payout.state:
        raise ReviewNotResolvable(
            f"the payout is {payout.state.value} and its money waits for this case: choose a verb that moves it",
            field="verb",
            state=payout.state.value,
        )


def _check_open(review: Review) -> None:
    if review.verb is not None:
        raise ReviewNotResolvable(
            f"the case was closed by {review.actor} with {review.verb}", field="review_id", verb=review.verb
        )


def _outcome(resolution: Resolution, payout: LockedPayout, now: datetime) -> Outcome:
    match resolution.verb:
        case Verb.SETTLE:
            return Settled(resolution.receipt, payout.amount, resolution.completed_at or now)
        case Verb.RELEASE:
            return Failed("MANUAL", _TOLD)
        case Verb.CHARGE:
            return Charged(_TOLD)
        case _:
            return ClawedBack(_TOLD)
