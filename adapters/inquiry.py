"""The errand of asking what became of a payout of unknown outcome, or of one that was taken in over a rail whose
callbacks prove nothing: on a schedule, then a person's review queue.

Asking is safe to repeat. The answer to the question is not the payout's fate: that comes by callback, or in a
synchronous answer, and goes through the door of outcomes like any other evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from adapters.dispatch import ACTOR, Call, Done, Errand
from adapters.errands import find_rail, told
from adapters.provider import PayoutRail
from ledger.database import Driver
from ledger.ids import IdSource
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.outbox import queue
from ledger.outbox.instruction import Failed, NotSent, PayoutInquiry, QueryAnswer, Settled
from ledger.outbox.queue import Claimed
from ledger.outcomes import OutcomeRecorder
from ledger.payouts import reviews, writing
from ledger.payouts.outcome import Report
from ledger.payouts.payout import State
from ledger.payouts.reviews import Case

QUEUE = "submit-unknown"
QUERIES_BEFORE_REPEAT = 2
ASKED_ABOUT = frozenset({State.SUBMITTED, State.UNKNOWN})
ASKED_ABOUT_IF_HINTED = ASKED_ABOUT | {State.RELEASED, State.CANCELLED}


class Inquiry(Errand):
    """Asks the rail. `schedule` is when to ask, counted from the moment the payout became unknown; a last wait of
    `patience` follows the last question before a person is asked."""

    def __init__(
        self,
        *,
        rails: Mapping[str, PayoutRail],
        recorder: OutcomeRecorder,
        ids: IdSource,
        now: Callable[[], datetime],
        schedule: Sequence[timedelta],
        patience: timedelta,
    ) -> None:
        self._rails = rails
        self._recorder = recorder
        self._ids = ids
        self._now = now
        self._schedule = schedule
        self._patience = patience

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, PayoutInquiry]]:
        """The questions to ask now; payouts that were asked about often enough go to the review queue."""
        ids = [one.payout_id for one in claimed]
        payouts = await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=ids)
        open_ones = [one for one in claimed if _is_open(one, payouts[one.payout_id].state)]
        learned = await writing.find_learned(session, ledger_id=ledger.id, payout_ids=ids)
        # What was learned, hinted at or sent again since it was last asked about is worth another question.
        worth_it = learned | {one.payout_id for one in claimed if one.hinted}
        exhausted = [one for one in open_ones if one.attempt > len(self._schedule) and one.payout_id not in worth_it]
        over = [one.payout_id for one in claimed if one not in open_ones or one in exhausted]
        await queue.complete(session, ledger_id=ledger.id, subject_ids=over, now=self._now())
        await reviews.open_reviews(
            session,
            ledger_id=ledger.id,
            queue=QUEUE,
            cases=[
                Case(one.payout_id, f"no final answer to {len(self._schedule)} status queries") for one in exhausted
            ],
            ids=self._ids,
            now=self._now(),
        )
        asking = [one for one in open_ones if one not in exhausted]
        silent = [payouts[one.payout_id] for one in asking if one.attempt > QUERIES_BEFORE_REPEAT]
        await self._send_again(session, ledger, [one for one in silent if one.state is State.UNKNOWN])
        references = await writing.find_references(
            session, ledger_id=ledger.id, payout_ids=[one.payout_id for one in asking]
        )
        platforms = await queue.find_platforms(session, ledger_id=ledger.id, kind=queue.SUBMIT, subject_ids=ids)
        return [
            (
                one,
                payout.rail,
                _inquiry(one, payout, references.get(payout.id, ()), platform=platforms.get(payout.id, "")),
            )
            for one in asking
            if (payout := payouts[one.payout_id])
        ]

    async def _send_again(self, session: Driver, ledger: Ledger, silent: Sequence[writing.LockedPayout]) -> None:
        """Once per payout, to a person, over a rail that refuses repeats: the queries brought no news of it."""
        repeatable = {name for name, rail in self._rails.items() if rail.capabilities.refuses_repeats}
        await queue.enqueue(
            session,
            ledger_id=ledger.id,
            kind=queue.RESUBMIT,
            subject_ids=[one.id for one in silent if one.rail in repeatable and not one.pays_business],
            ids=self._ids,
            now=self._now(),
            due_at=self._now(),
        )

    async def carry_out(self, call: Call) -> QueryAnswer:
        """One question to the rail. Another process may run a rail that this one does not: nothing was asked then."""
        inquiry: PayoutInquiry = call.content
        rail = find_rail(self._rails, inquiry.rail)
        return rail if isinstance(rail, NotSent) else await rail.query_payout(inquiry, call.urls)

    async def finish(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, QueryAnswer]]) -> list[Done]:
        """Records what synchronous answers prove, and sets the time of the next question."""
        reports = [
            Report(payout_id=call.claimed.payout_id, outcome=answer, source=Source.QUERY, actor=ACTOR)
            for call, answer in results
            if isinstance(answer, Settled | Failed)
        ]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=self._now())
        return told(results, again_at=self._again_at)

    def _again_at(self, call: Call, answer: QueryAnswer) -> datetime | None:
        if isinstance(answer, Settled | Failed):
            return None
        asked = call.claimed.attempt
        if asked >= len(self._schedule):
            return self._now() + self._patience
        return self._now() + self._schedule[asked] - self._schedule[asked - 1]


def _is_open(claimed: Claimed, state: State) -> bool:
    """Whether an answer may still change it. A hint that money left after it was given back is looked into."""
    return state in ASKED_ABOUT or (claimed.hinted and state in ASKED_ABOUT_IF_HINTED)


def _inquiry(
    claimed: Claimed, payout: writing.LockedPayout, references: tuple[tuple[str, str], ...], *, platform: str
) -> PayoutInquiry:
    return PayoutInquiry(
        asked_before=claimed.attempt - 1,
        provider_reference=payout.provider_reference,
        rail=payout.rail,
        shortcode=payout.shortcode,
        amount=payout.amount,
        receipt=payout.receipt,
        references=references,
        platform=platform,
    )
