"""The errands of returns: asking the provider for one, once, and calling its silence unknown; and judging what it calls
back.

A return is never asked for again on a guess. Its callback is believed under the conversation that the answer to our
request named; until that answer is there it waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.collecting import CollectionRail, DeclaredCollections, ReversalCallback
from adapters.dispatch import ACTOR, Call, Done
from adapters.judging import ACTOR as INBOUND
from adapters.judging import RESTS, verdict_on
from adapters.provider import CallbackUnreadable
from adapters.submission import backoff, describe
from ledger.collections import returning
from ledger.collections.return_outcome import Report, Started
from ledger.collections.returning import Return, State
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox import queue
from ledger.outbox.collecting import Returned, ReversalAnswer, ReversalInstruction
from ledger.outbox.inbox import Message, Verdict
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.outbox.queue import Claimed, Finished
from ledger.returns import ReturnRecorder

_LOST = OutcomeUnknown("the request was interrupted before its answer was stored")
_SILENT = OutcomeUnknown("no result came in time")


class ReturnSubmission:
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
        now, lost = self._now(), [one for one in claimed if one.lost]
        found = await returning.lock_returns(
            session, ledger_id=ledger.id, return_ids=[one.subject_id for one in claimed]
        )
        leaving = [one for one in claimed if not one.lost and found[one.subject_id].state is State.REQUESTED]
        finished = [Finished(one.id, one.attempt - 1, "lost", _LOST.reason) for one in lost]
        await queue.finish_attempts(session, ledger_id=ledger.id, finished=finished, now=now)
        over = [one.id for one in claimed if one not in leaving]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        reports = [Report(one.subject_id, _LOST, ACTOR) for one in lost]
        reports += [Report(one.subject_id, Started(), ACTOR) for one in leaving]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        return [(one, found[one.subject_id].rail, _instruction(found[one.subject_id])) for one in leaving]

    async def carry_out(self, call: Call) -> ReversalAnswer:
        """One call to the rail. Another process may run a rail that this one does not: nothing was sent then."""
        instruction: ReversalInstruction = call.content
        if instruction.rail not in self._rails:
            return NotSent(f"this process does not run {instruction.rail}")
        return await self._rails[instruction.rail].submit_reversal(instruction, call.urls)

    async def finish(
        self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, ReversalAnswer]]
    ) -> list[Done]:
        """Records the answers; what provably was not sent is tried again, later and later."""
        now = self._now()
        reports = [Report(call.claimed.subject_id, answer, ACTOR) for call, answer in results]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        over = [call.claimed.id for call, answer in results if not isinstance(answer, NotSent)]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        return [
            Done(
                type(answer).__name__,
                describe(answer),
                now + backoff(call.claimed.attempt, answer) if isinstance(answer, NotSent) else None,
            )
            for call, answer in results
        ]

    def crashed(self, error: Exception) -> ReversalAnswer:
        """A bug of the adapter: the return may have been asked for."""
        return OutcomeUnknown(f"the adapter failed with {type(error).__name__}")


class ReturnSilence:
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

    def crashed(self, error: Exception) -> None:
        """Nothing was called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnJudge:
    """Judges messages on the paths of returns."""

    rails: Mapping[str, DeclaredCollections]
    recorder: ReturnRecorder

    async def judge(
        self, session: Driver, ledger: Ledger, messages: Sequence[Message], *, now: datetime
    ) -> list[tuple[Message, Verdict]]:
        """Records what was told as one set; the messages that were about returns, but for those that must wait, with
        what became of each."""
        if not messages:
            return []
        asked = await returning.find_asked(
            session, ledger_id=ledger.id, token_hashes=[message.token_hash for message in messages]
        )
        found = await returning.read_returns(session, ledger_id=ledger.id, return_ids=set(asked.values()))
        verdicts: list[tuple[Message, Verdict]] = []
        told: list[tuple[Message, Report]] = []
        for message in messages:
            subject = found.get(asked.get(message.token_hash, 0))
            if subject is None or subject.rail != message.rail or message.rail not in self.rails:
                continue
            read = self._read(message, subject)
            if isinstance(read, Verdict):
                verdicts.append((message, read))
            elif read is not None:
                told.append((message, read))
        results = await self.recorder.record(session, ledger=ledger, reports=[one for _, one in told], now=now)
        for (message, _), result in zip(told, results, strict=True):
            word = "applied" if isinstance(result, State) else result.value
            verdicts.append((message, verdict_on(message, word, result.value, None)))
        return verdicts

    def _read(self, message: Message, subject: Return) -> Report | Verdict | None:
        read = self.rails[subject.rail].read_reversal_callback(message.kind, message.raw)
        if isinstance(read, CallbackUnreadable):
            return verdict_on(message, "unreadable", read.reason, None)
        if subject.conversation is None and not isinstance(read.outcome, OutcomeUnknown):
            if message.tries < len(RESTS):
                return None
            return verdict_on(message, "mismatch", "our request was never answered: nothing says whose it is", None)
        mismatch = _find_mismatch(read, subject)
        if mismatch is not None:
            return verdict_on(message, "mismatch", mismatch, None)
        return Report(subject.id, read.outcome, INBOUND, message.id)


def _find_mismatch(read: ReversalCallback, subject: Return) -> str | None:
    if None not in (read.conversation_id, subject.conversation) and read.conversation_id != subject.conversation:
        return "it names another conversation"
    if isinstance(read.outcome, Returned):
        if read.outcome.amount != subject.amount:
            return f"it says {read.outcome.amount}, we asked for {subject.amount}"
        if read.outcome.original_receipt not in (None, subject.receipt):
            return "it names another receipt"
    return None


def _instruction(subject: Return) -> ReversalInstruction:
    return ReversalInstruction(
        rail=subject.rail,
        shortcode=subject.shortcode,
        receipt=subject.receipt,
        amount=subject.amount,
        remarks=subject.reason,
    )
