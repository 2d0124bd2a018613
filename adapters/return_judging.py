"""Messages on the paths of returns: read, compared with what was asked for, and recorded.

A callback is believed under the conversation that the answer to our request named; until that answer is there it
waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.collecting import DeclaredCollections, ReversalCallback
from adapters.judging import ACTOR, RESTS, verdict_on
from adapters.path_judging import PathJudge, word_of
from adapters.provider import CallbackUnreadable
from ledger.collections import returning
from ledger.collections.return_outcome import Report
from ledger.collections.returning import Return, State
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.outbox import queue
from ledger.outbox.collecting import Returned
from ledger.outbox.inbox import Message, Verdict
from ledger.outbox.instruction import OutcomeUnknown
from ledger.returns import ReturnRecorder


@dataclass(frozen=True, slots=True)
class Asked:
    """The return that a path was given out for, and by which kind of instruction."""

    subject: Return
    kind: str

    @property
    def rail(self) -> str:
        """Over which it was asked."""
        return self.subject.rail


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnJudge(PathJudge[Asked, Report]):
    """Judges messages on the paths of returns."""

    rails: Mapping[str, DeclaredCollections]
    recorder: ReturnRecorder

    async def find_subjects(
        self, session: Driver, ledger: Ledger, token_hashes: Sequence[bytes]
    ) -> Mapping[bytes, Asked]:
        """The returns that were asked for, or about, with these callback paths."""
        asked = await returning.find_asked(session, ledger_id=ledger.id, token_hashes=token_hashes)
        ids = {return_id for return_id, _ in asked.values()}
        found = await returning.read_returns(session, ledger_id=ledger.id, return_ids=ids)
        return {token_hash: Asked(found[return_id], kind) for token_hash, (return_id, kind) in asked.items()}

    async def record(
        self, session: Driver, ledger: Ledger, reports: Sequence[Report], now: datetime
    ) -> list[tuple[str, str | None]]:
        """What was told ends the returns."""
        results = await self.recorder.record(session, ledger=ledger, reports=reports, now=now)
        return [word_of(result, applied=State) for result in results]

    def read(self, message: Message, asked: Asked, ledger: Ledger) -> Report | Verdict | None:
        """Believed under the conversation of our request. The path says what was asked, and so how it is read."""
        rail, subject = self.rails[asked.rail], asked.subject
        if asked.kind == queue.RETURN_QUERY:
            return _read_answer(message, subject, rail.read_reversal_query_callback(message.kind, message.raw))
        read = rail.read_reversal_callback(message.kind, message.raw)
        if isinstance(read, CallbackUnreadable):
            return verdict_on(message, "unreadable", read.reason, None)
        if subject.conversation is None and not isinstance(read.outcome, OutcomeUnknown):
            if message.tries < len(RESTS):
                return None
            return verdict_on(message, "mismatch", "our request was never answered: nothing says whose it is", None)
        mismatch = _find_mismatch(read, subject)
        if mismatch is not None:
            return verdict_on(message, "mismatch", mismatch, None)
        return Report(subject.id, read.outcome, ACTOR, message.id)


def _read_answer(message: Message, subject: Return, read: ReversalCallback | CallbackUnreadable) -> Report | Verdict:
    """What the answer to a question proves. It names the return by the conversation of our request, or proves nothing:
    a question without an answer is asked again."""
    if isinstance(read, CallbackUnreadable):
        return verdict_on(message, "unanswered", read.reason, None)
    if isinstance(read.outcome, OutcomeUnknown):
        return verdict_on(message, "unanswered", read.outcome.reason[:200], None)
    if read.conversation_id is None:
        return verdict_on(message, "unanswered", "it does not say whose fate it tells", None)
    mismatch = _find_mismatch(read, subject)
    if mismatch is not None:
        return verdict_on(message, "mismatch", mismatch, None)
    return Report(subject.id, read.outcome, ACTOR, message.id, Source.QUERY)


def _find_mismatch(read: ReversalCallback, subject: Return) -> str | None:
    if None not in (read.conversation_id, subject.conversation) and read.conversation_id != subject.conversation:
        return "it names another conversation"
    if isinstance(read.outcome, Returned):
        if read.outcome.amount != subject.amount:
            return f"it says {read.outcome.amount}, we asked for {subject.amount}"
        if read.outcome.original_receipt not in (None, subject.receipt):
            return "it names another receipt"
    return None
