"""Closing the cases of the review queues: a verb, the evidence for it, and the entry the verb posts. One transaction.

The verbs move money through the same door as any outcome; a case is closed once.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections import returning
from ledger.collections.receipt import Place
from ledger.collections.return_outcome import Report as ReturnReport
from ledger.collections.returning import Return
from ledger.collections.returning import State as ReturnState
from ledger.collections.writing import lock_receipts
from ledger.database import Driver, driver
from ledger.errors import ReviewNotResolvable, TextInvalid
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.outbox.collecting import Returned, ReturnFailed
from ledger.outbox.instruction import Failed, Settled
from ledger.outcomes import Applied, OutcomeRecorder
from ledger.payouts import reviews, writing
from ledger.payouts.outcome import Cancelled, Charged, ClawedBack, Decision, Outcome, Refuted, Report
from ledger.payouts.payout import State
from ledger.payouts.reviews import Review
from ledger.payouts.writing import LockedPayout
from ledger.returns import ReturnRecorder
from ledger.text import check_text

EVIDENCE_LENGTH_MAX = 1000
# What everybody may read of a person's decision; its evidence may name people and stays with the case.
_TOLD = "decided by a person on evidence"
# While the payout stands so, its case is where a person finds its money, and is not dismissed.
_HOLDING = {"submit-unknown": State.UNKNOWN}
# The same of a receipt, by where its money waits.
_WAITING = {"receipt-unallocated": Place.SUSPENDED, "submit-unknown": Place.RETURNING}


class Verb(enum.Enum):
    """What a person may decide. The value is the word on the wire and in the books."""

    SETTLE = "settle"
    RELEASE = "release"
    CHARGE = "charge"
    CLAW_BACK = "claw-back"
    REFUTE = "refute"
    DISMISS = "dismiss"


# A payout that may still be on its way is nobody's to decide: only one that is not sent, whose outcome is unknown, or
# came too late.
_MOVABLE = {
    Verb.SETTLE: frozenset({State.UNKNOWN, State.RELEASED, State.CANCELLED}),
    Verb.RELEASE: frozenset({State.UNKNOWN, State.RESERVED}),
}
_MOVABLE_RETURNS = {
    Verb.SETTLE: frozenset({ReturnState.UNKNOWN, ReturnState.FAILED}),
    Verb.RELEASE: frozenset({ReturnState.UNKNOWN}),
}
# These are about money in suspense, whatever became of the payout.
_DECISIONS: Mapping[Verb, type[Decision]] = {
    Verb.CHARGE: Charged,
    Verb.CLAW_BACK: ClawedBack,
    Verb.REFUTE: Refuted,
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
    returns: ReturnRecorder | None = None,
) -> Review:
    """Closes a case by what its verb posts; `returns` is the door for cases of returns, None where there are none.
    Raises ReviewNotFound, ReviewNotResolvable, FloorWouldBreak."""
    session, case = await driver(connection), {"ledger_id": ledger.id, "review_id": review_id}
    review = await reviews.get_review(connection, **case)
    entry_id = None
    # Each is read again under the lock of its subject: somebody may have closed the case meanwhile.
    if review.payout_id is not None:
        locked = await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=[review.payout_id])
        review, (payout,) = await reviews.get_review(connection, **case), locked.values()
        entry_id = await _decide(session, ledger, review, payout, resolution, actor=actor, recorder=recorder, now=now)
    elif review.return_id is not None and returns is not None:
        found = await returning.lock_returns(session, ledger_id=ledger.id, return_ids=[review.return_id])
        review, (subject,) = await reviews.get_review(connection, **case), found.values()
        entry_id = await _decide_return(
            session, ledger, review, subject, resolution, actor=actor, recorder=returns, now=now
        )
    elif resolution.verb is not Verb.DISMISS:
        raise ReviewNotResolvable("this case has no payout or return; it can only be dismissed", field="verb")
    elif review.receipt_id is not None:
        await _check_nothing_waits(session, ledger, review, review.receipt_id)
    verb, evidence = resolution.verb.value, resolution.evidence
    closed = await reviews.write_resolution(
        session, **case, verb=verb, evidence=evidence, actor=actor, entry_id=entry_id, now=now
    )
    resolved = await reviews.get_review(connection, **case)
    if not closed:
        _check_open(resolved)
    return resolved


async def _decide(
    session: Driver,
    ledger: Ledger,
    review: Review,
    payout: LockedPayout,
    resolution: Resolution,
    *,
    actor: str,
    recorder: OutcomeRecorder,
    now: datetime,
) -> int | None:
    _check_open(review)
    if resolution.verb is Verb.DISMISS:
        _check_dismissible(review, payout)
        return None
    report = _report(review, payout, resolution, actor=actor, now=now)
    return await _post(session, ledger, report, resolution.verb, recorder=recorder, now=now)


async def _decide_return(
    session: Driver,
    ledger: Ledger,
    review: Review,
    subject: Return,
    resolution: Resolution,
    *,
    actor: str,
    recorder: ReturnRecorder,
    now: datetime,
) -> int | None:
    """What a person decides about a return: it was made, by its receipt, or it was not. One that may still be on its
    way is nobody's to decide."""
    _check_open(review)
    state = subject.state
    if resolution.verb is Verb.DISMISS:
        if state is ReturnState.UNKNOWN:
            raise ReviewNotResolvable(
                "the return is UNKNOWN and its money waits for this case: choose a verb that moves it",
                field="verb",
                state=state.value,
            )
        return None
    if state not in _MOVABLE_RETURNS.get(resolution.verb, frozenset()):
        raise ReviewNotResolvable(
            f"the return is {state.value}: {resolution.verb.value} does nothing to it", field="verb", state=state.value
        )
    outcome: Returned | ReturnFailed = ReturnFailed("MANUAL", _TOLD)
    if resolution.verb is Verb.SETTLE:
        outcome = Returned(resolution.receipt, None, subject.amount, resolution.completed_at or now)
    report = ReturnReport(subject.id, outcome, actor, source=Source.MANUAL)
    (recorded,) = await recorder.record(session, ledger=ledger, reports=[report], now=now)
    if not isinstance(recorded, ReturnState):
        raise ReviewNotResolvable(
            "its money is not here any more, or another return has that receipt", field="receipt", state=state.value
        )
    return await returning.find_last_entry(session, ledger_id=ledger.id, return_id=subject.id)


async def _post(
    session: Driver, ledger: Ledger, report: Report, verb: Verb, *, recorder: OutcomeRecorder, now: datetime
) -> int:
    (recorded,) = await recorder.record(session, ledger=ledger, reports=[report], now=now)
    if not isinstance(recorded, Applied) or recorded.entry_id is None:
        raise _does_nothing(verb, recorded.state)
    return recorded.entry_id


def _does_nothing(verb: Verb, state: State) -> ReviewNotResolvable:
    return ReviewNotResolvable(
        f"the payout is {state.value}: {verb.value} does nothing to it", field="verb", state=state.value
    )


def _check_dismissible(review: Review, payout: LockedPayout) -> None:
    if _HOLDING.get(review.queue) is payout.state or review.held_entry_id is not None:
        raise ReviewNotResolvable(
            f"the payout is {payout.state.value} and its money waits for this case: choose a verb that moves it",
            field="verb",
            state=payout.state.value,
        )


async def _check_nothing_waits(session: Driver, ledger: Ledger, review: Review, receipt_id: int) -> None:
    receipt = (await lock_receipts(session, ledger_id=ledger.id, receipt_ids=[receipt_id]))[receipt_id]
    place = _WAITING.get(review.queue)
    if place is not None and receipt.holdings.of(place):
        raise ReviewNotResolvable(
            f"money of receipt {receipt.receipt} is {place.value}, and waits for this case: allocate or return it",
            field="verb",
            state=place.value,
        )


def _check_open(review: Review) -> None:
    if review.verb is not None:
        raise ReviewNotResolvable(
            f"the case was closed by {review.actor} with {review.verb}", field="review_id", verb=review.verb
        )


def _report(review: Review, payout: LockedPayout, resolution: Resolution, *, actor: str, now: datetime) -> Report:
    outcome = _outcome(review, payout, resolution, now)
    return Report(payout_id=payout.id, outcome=outcome, source=Source.MANUAL, actor=actor)


def _outcome(review: Review, payout: LockedPayout, resolution: Resolution, now: datetime) -> Outcome:
    if resolution.verb in _DECISIONS:
        if review.held_entry_id is None:
            raise ReviewNotResolvable(
                "no money waits in suspense for this case", field="verb", state=payout.state.value
            )
        return _DECISIONS[resolution.verb](_TOLD, review.held_entry_id)
    if payout.state not in _MOVABLE[resolution.verb]:
        raise _does_nothing(resolution.verb, payout.state)
    if resolution.verb is Verb.SETTLE:
        return Settled(resolution.receipt, payout.amount, resolution.completed_at or now)
    return Cancelled(_TOLD) if payout.state is State.RESERVED else Failed("MANUAL", _TOLD)
