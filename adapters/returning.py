"""The errands of returns: asking the provider for one, once, calling its silence unknown, and asking what became of it.
A return is never asked for again on a guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from adapters.collecting import CollectionRail, QuestionAnswer
from adapters.dispatch import ACTOR, Call, Done, Errand
from adapters.errands import complete_sent, find_rail, finish_lost, told
from ledger.collections import returning
from ledger.collections.return_outcome import Report, Started
from ledger.collections.returning import Return, State
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox import queue
from ledger.outbox.collecting import ReversalAnswer, ReversalInquiry, ReversalInstruction
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.outbox.queue import Claimed
from ledger.returns import ReturnRecorder

_LOST = OutcomeUnknown("the request was interrupted before its answer was stored")
_SILENT = OutcomeUnknown("no result came in time")


class ReturnSubmission(Errand):
    """Moves returns to SUBMITTING, asks the rail, records the answer."""

    def __init__(
        self, *, rails: Mapping[str, CollectionRail], recorder: ReturnRecorder, now: Callable[[], datetime]
    ) -> None:
        self._rails = rails
        self._recorder = recorder
        self._now = now

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, ReversalInstruction]]:
        """The returns that may leave now; those that were lost are given up."""
        now = self._now()
        lost = await finish_lost(session, ledger, claimed, reason=_LOST.reason, now=now)
        found = await returning.lock_returns(
            session, ledger_id=ledger.id, return_ids=[one.subject_id for one in claimed]
        )
        leaving = [one for one in claimed if not one.lost and found[one.subject_id].state is State.REQUESTED]
        over = [one.id for one in claimed if one not in leaving]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        reports = [Report(one.subject_id, _LOST, ACTOR) for one in lost]
        reports += [Report(one.subject_id, Started(), ACTOR) for one in leaving]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        return [(one, found[one.subject_id].rail, _instruction(found[one.subject_id])) for one in leaving]

    async def carry_out(self, call: Call) -> ReversalAnswer:
        """One call to the rail. Another process may run a rail that this one does not: nothing was sent then."""
        instruction: ReversalInstruction = call.content
        rail = find_rail(self._rails, instruction.rail)
        return rail if isinstance(rail, NotSent) else await rail.submit_reversal(instruction, call.urls)

    async def finish(
        self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, ReversalAnswer]]
    ) -> list[Done]:
        """Records the answers; what provably was not sent is tried again, later and later."""
        now = self._now()
        reports = [Report(call.claimed.subject_id, answer, ACTOR) for call, answer in results]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        return await complete_sent(session, ledger, results, now=now)


class ReturnSilence(Errand):
    """Ends the wait for results that did not come; calls nobody."""

    def __init__(self, *, recorder: ReturnRecorder, now: Callable[[], datetime]) -> None:
        self._recorder = recorder
        self._now = now

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, None]]:
        """Calls what is still SUBMITTED unknown: a case for a person."""
        now = self._now()
        await queue.complete_these(session, ledger_id=ledger.id, ids=[one.id for one in claimed], now=now)
        reports = [Report(one.subject_id, _SILENT, ACTOR) for one in claimed]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        return []

    async def carry_out(self, call: Call) -> None:
        """Never: there is nothing to call."""

    async def finish(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, None]]) -> list[Done]:
        """Nothing was called."""
        return []


class ReturnQuestions(Errand):
    """Asks what became of returns of unknown outcome. `schedule` is when, counted from the moment one became unknown;
    its case is with a person all the while."""

    def __init__(
        self,
        *,
        rails: Mapping[str, CollectionRail],
        now: Callable[[], datetime],
        schedule: Sequence[timedelta],
    ) -> None:
        self._rails = rails
        self._now = now
        self._schedule = schedule

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, ReversalInquiry]]:
        """The questions to ask now, about what is still unknown and was not asked about often enough."""
        ids = [one.subject_id for one in claimed]
        found = await returning.lock_returns(session, ledger_id=ledger.id, return_ids=ids)
        asking = [
            one
            for one in claimed
            if found[one.subject_id].state is State.UNKNOWN and one.attempt <= len(self._schedule)
        ]
        over = [one.id for one in claimed if one not in asking]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=self._now())
        return [(one, found[one.subject_id].rail, _inquiry(found[one.subject_id])) for one in asking]

    async def carry_out(self, call: Call) -> QuestionAnswer:
        """One question to the rail."""
        inquiry: ReversalInquiry = call.content
        rail = find_rail(self._rails, inquiry.rail)
        return rail if isinstance(rail, NotSent) else await rail.query_reversal(inquiry, call.urls)

    async def finish(
        self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, QuestionAnswer]]
    ) -> list[Done]:
        """Sets the time of the next question: answers come by callback."""
        return told(results, again_at=self._again_at)

    def _again_at(self, call: Call, answer: QuestionAnswer) -> datetime:
        asked = min(call.claimed.attempt, len(self._schedule) - 1)
        return self._now() + max(self._schedule[asked] - self._schedule[asked - 1], timedelta(minutes=1))


def _inquiry(subject: Return) -> ReversalInquiry:
    assert subject.originator is not None, "without an id nothing can be asked"
    return ReversalInquiry(subject.rail, subject.shortcode, subject.receipt, subject.originator)


def _instruction(subject: Return) -> ReversalInstruction:
    return ReversalInstruction(
        rail=subject.rail,
        shortcode=subject.shortcode,
        receipt=subject.receipt,
        amount=subject.amount,
        remarks=subject.reason,
    )
