"""The errand of sending a payout of unknown outcome again, under the same reference, to a rail that refuses repeats.

Either the provider never saw the first submission, and this is the first; or it did, and refuses this one. Whatever it
answers at once is about this try alone: the payout stays unknown until its fate is told by callback or query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from adapters.dispatch import Call, Done, Errand
from adapters.errands import complete_sent, finish_lost
from adapters.provider import PayoutRail
from adapters.submission import report, unsent_instructions
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox import queue
from ledger.outbox.instruction import Acknowledged, Answer, NotSent, PayoutInstruction
from ledger.outbox.queue import Claimed
from ledger.outcomes import OutcomeRecorder
from ledger.parties import PartyKeys
from ledger.payouts import writing
from ledger.payouts.payout import State


class Resubmission(Errand):
    """Sends again what is still unknown; a try whose answer was lost may be made again."""

    def __init__(
        self,
        *,
        rails: Mapping[str, PayoutRail],
        party_keys: PartyKeys,
        recorder: OutcomeRecorder,
        now: Callable[[], datetime],
    ) -> None:
        self._rails = rails
        self._party_keys = party_keys
        self._recorder = recorder
        self._now = now

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, PayoutInstruction]]:
        """The payouts that are still unknown; the others need nothing."""
        await finish_lost(session, ledger, claimed, reason="", now=self._now())
        ids = [one.payout_id for one in claimed]
        payouts = await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=ids)
        unknown = [one for one in claimed if payouts[one.payout_id].state is State.UNKNOWN]
        over = [one.payout_id for one in claimed if one not in unknown]
        await queue.complete(session, ledger_id=ledger.id, subject_ids=over, now=self._now())
        # A repeat is refused only where the first one went.
        platforms = await queue.find_platforms(session, ledger_id=ledger.id, kind=queue.SUBMIT, subject_ids=ids)
        return await unsent_instructions(
            session, ledger, unknown, payouts=payouts, platforms=platforms, keys=self._party_keys
        )

    async def carry_out(self, call: Call) -> Answer:
        """One call to the rail, for as long as it declares that it refuses repeats."""
        instruction: PayoutInstruction = call.content
        rail = self._rails.get(instruction.rail)
        if rail is None or not rail.capabilities.refuses_repeats:
            return NotSent(f"this process runs no {instruction.rail} that refuses repeats")
        return await rail.submit_payout(instruction, call.urls)

    async def finish(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, Answer]]) -> list[Done]:
        """Keeps the provider's ids. A refusal of this try says nothing of the first one, so it releases nothing."""
        taken = [report(call.claimed.payout_id, answer) for call, answer in results if isinstance(answer, Acknowledged)]
        await self._recorder.record(session, ledger=ledger, reports=taken, now=self._now())
        return await complete_sent(session, ledger, results, now=self._now())
