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
from ledger.outbox.collecting import Returned
from ledger.outbox.inbox import Message, Verdict
from ledger.outbox.instruction import OutcomeUnknown
from ledger.returns import ReturnRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnJudge(PathJudge[Return, Report]):
    """Judges messages on the paths of returns."""

    rails: Mapping[str, DeclaredCollections]
    recorder: ReturnRecorder

    async def find_subjects(
        self, session: Driver, ledger: Ledger, token_hashes: Sequence[bytes]
    ) -> Mapping[bytes, Return]:
        """The returns that were asked for with these callback paths."""
        asked = await returning.find_asked(session, ledger_id=ledger.id, token_hashes=token_hashes)
        found = await returning.read_returns(session, ledger_id=ledger.id, return_ids=set(asked.values()))
        return {token_hash: found[return_id] for token_hash, return_id in asked.items()}

    async def record(
        self, session: Driver, ledger: Ledger, reports: Sequence[Report], now: datetime
    ) -> list[tuple[str, str | None]]:
        """What was told ends the returns."""
        results = await self.recorder.record(session, ledger=ledger, reports=reports, now=now)
        return [word_of(result, applied=State) for result in results]

    def read(self, message: Message, subject: Return, ledger: Ledger) -> Report | Verdict | None:
        """Believed under the conversation of our request."""
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
        return Report(subject.id, read.outcome, ACTOR, message.id)


def _find_mismatch(read: ReversalCallback, subject: Return) -> str | None:
    if None not in (read.conversation_id, subject.conversation) and read.conversation_id != subject.conversation:
        return "it names another conversation"
    if isinstance(read.outcome, Returned):
        if read.outcome.amount != subject.amount:
            return f"it says {read.outcome.amount}, we asked for {subject.amount}"
        if read.outcome.original_receipt not in (None, subject.receipt):
            return "it names another receipt"
    return None
