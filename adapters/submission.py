"""The errand of sending a payout: once. A submission whose answer was lost is never made again; it is unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from adapters.dispatch import ACTOR, Call, Done, Errand
from adapters.errands import again_at, find_rail, finish_lost, told
from adapters.provider import PayoutRail
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.outbox import queue
from ledger.outbox.instruction import Acknowledged, Answer, NotSent, OutcomeUnknown, PayoutInstruction, Rejected
from ledger.outbox.queue import Claimed
from ledger.outcomes import NOT_SENT_QUEUE, Applied, OutcomeRecorder, Recorded
from ledger.parties import PartyKeys, read_payees
from ledger.payouts import reviews, writing
from ledger.payouts.outcome import Report, Started
from ledger.payouts.reviews import Case
from ledger.payouts.writing import LockedPayout

log = structlog.get_logger(__name__)

# With the rests between them, about an hour: what was not sent by then waits for a person as well as for its next try.
TRIES_BEFORE_REVIEW = 8
_LOST = OutcomeUnknown("the submission was interrupted before its answer was stored")
_REFUSED_ONCE = OutcomeUnknown("the first try was refused after the payout had been sent again")


class Submission(Errand):
    """Moves payouts to SUBMITTING, calls the rail, records the answer."""

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
        """The payouts that may leave now; those that were lost are given up, those that moved on are completed."""
        lost = await finish_lost(session, ledger, claimed, reason=_LOST.reason, now=self._now())
        await self._give_up(session, ledger, lost)
        fresh = [one for one in claimed if not one.lost]
        recorded = await self._record(session, ledger, [report(one.payout_id, Started()) for one in fresh])
        started = [one for one, verdict in zip(fresh, recorded, strict=True) if isinstance(verdict, Applied)]
        needless = [
            one.payout_id for one, verdict in zip(fresh, recorded, strict=True) if not isinstance(verdict, Applied)
        ]
        await queue.complete(session, ledger_id=ledger.id, subject_ids=needless, now=self._now())
        ids = [one.payout_id for one in started]
        payouts = await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=ids)
        platforms = {one.id: self._rails[one.rail].platform for one in payouts.values() if one.rail in self._rails}
        pins = [(one, platforms[one.payout_id]) for one in started if one.payout_id in platforms]
        await queue.pin(session, ledger_id=ledger.id, pins=pins)
        return await unsent_instructions(
            session, ledger, started, payouts=payouts, platforms=platforms, keys=self._party_keys
        )

    async def carry_out(self, call: Call) -> Answer:
        """One payout to the rail, once nothing speaks against its payee. Another process may run a rail that this one
        does not: nothing was sent then."""
        instruction: PayoutInstruction = call.content
        rail = find_rail(self._rails, instruction.rail)
        if isinstance(rail, NotSent):
            return rail
        refused = await rail.check_payee(instruction)
        return refused if refused is not None else await rail.submit_payout(instruction, call.urls)

    async def finish(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, Answer]]) -> list[Done]:
        """Records the answers; what provably was not sent is tried again, later and later."""
        results = await self._doubt_refusals(session, ledger, results)
        recorded = await self._record(
            session, ledger, [report(call.claimed.payout_id, answer) for call, answer in results]
        )
        waiting = [
            call.claimed
            for (call, answer), verdict in zip(results, recorded, strict=True)
            if isinstance(answer, NotSent) and isinstance(verdict, Applied)
        ]
        await self._tell_of_stuck(session, ledger, waiting)
        await self._ask_soon(session, ledger, results)
        return told(results, again_at=partial(again_at, now=self._now()))

    async def _doubt_refusals(
        self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, Answer]]
    ) -> list[tuple[Call, Answer]]:
        """The answers; but a refusal that comes so late that the payout was sent again meanwhile gives nothing back: it
        says nothing of that other try."""
        ids = sorted(call.claimed.payout_id for call, _ in results)
        refused = [call.claimed.payout_id for call, answer in results if isinstance(answer, Rejected)]
        if not refused:
            return list(results)
        # Under the locks that a claim needs, so that no second try begins behind this look.
        await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=ids)
        again = await queue.find_begun(session, ledger_id=ledger.id, kind=queue.RESUBMIT, subject_ids=refused)
        return [
            (call, _REFUSED_ONCE if isinstance(answer, Rejected) and call.claimed.payout_id in again else answer)
            for call, answer in results
        ]

    async def _ask_soon(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, Answer]]) -> None:
        """Questions about what was taken in over a rail whose callbacks prove nothing."""
        soon: dict[float, list[int]] = {}
        for call, answer in results:
            rail = self._rails.get(call.content.rail)
            after = rail.capabilities.ask_after_seconds if rail is not None else None
            if isinstance(answer, Acknowledged) and after is not None:
                soon.setdefault(after, []).append(call.claimed.payout_id)
        for after, payout_ids in soon.items():
            await queue.renew(
                session,
                ledger_id=ledger.id,
                kind=queue.QUERY,
                subject_ids=payout_ids,
                ids=self._recorder.ids,
                now=self._now(),
                due_at=self._now() + timedelta(seconds=after),
            )

    async def _tell_of_stuck(self, session: Driver, ledger: Ledger, waiting: Sequence[Claimed]) -> None:
        """Of those that wait for their next try, and of no payout that moved on while it was called about."""
        stuck = [one.payout_id for one in waiting if one.attempt >= TRIES_BEFORE_REVIEW]
        await reviews.open_reviews(
            session,
            ledger_id=ledger.id,
            queue=NOT_SENT_QUEUE,
            cases=[Case(payout_id, f"not sent in {TRIES_BEFORE_REVIEW} tries and more") for payout_id in stuck],
            ids=self._recorder.ids,
            now=self._now(),
        )

    async def _give_up(self, session: Driver, ledger: Ledger, lost: Sequence[Claimed]) -> None:
        if not lost:
            return
        log.warning("submission.lost", ledger=ledger.code, count=len(lost))
        await queue.complete(session, ledger_id=ledger.id, subject_ids=[one.payout_id for one in lost], now=self._now())
        await self._record(session, ledger, [report(one.payout_id, _LOST) for one in lost])

    async def _record(self, session: Driver, ledger: Ledger, reports: Sequence[Report]) -> list[Recorded]:
        return await self._recorder.record(session, ledger=ledger, reports=reports, now=self._now())


async def unsent_instructions(
    session: Driver,
    ledger: Ledger,
    claimed: Sequence[Claimed],
    *,
    payouts: Mapping[int, LockedPayout],
    platforms: Mapping[int, str],
    keys: PartyKeys,
) -> list[tuple[Claimed, str, PayoutInstruction]]:
    """What each claimed payout asks of its rail: (claim, rail, instruction), the payee read for the call alone.
    `platforms` says where it goes, by payout, where that matters."""
    party_ids = [payouts[one.payout_id].party_id for one in claimed]
    payees = await read_payees(session, ledger_id=ledger.id, party_ids=party_ids, keys=keys)
    prepared = []
    for one in claimed:
        payout = payouts[one.payout_id]
        instruction = PayoutInstruction(
            provider_reference=payout.provider_reference,
            rail=payout.rail,
            shortcode=payout.shortcode,
            payee=payees[payout.party_id],
            amount=payout.amount,
            purpose=payout.purpose,
            remarks=payout.remarks,
            platform=platforms.get(payout.id, ""),
        )
        prepared.append((one, payout.rail, instruction))
    return prepared


def report(payout_id: int, outcome: Started | Answer) -> Report:
    """What the outbound door tells of a payout."""
    return Report(payout_id=payout_id, outcome=outcome, source=Source.API, actor=ACTOR)
