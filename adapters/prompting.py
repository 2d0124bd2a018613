"""The errands of prompts: asking a phone, once; and asking the provider what became of that, on a schedule.

Asking a phone again on a guess would show a second prompt to somebody who may have paid the first. A question is
answered at once; what stays open when the schedule ends waits for its receipt, however that comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from adapters.collecting import CollectionRail
from adapters.dispatch import ACTOR, Call, Done, Errand
from adapters.errands import complete_sent, find_rail, finish_lost, told
from ledger.collections import prompting
from ledger.collections.prompt import State
from ledger.collections.prompting import Prompt
from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.msisdn import Msisdn
from ledger.outbox import queue
from ledger.outbox.collecting import (
    PromptAnswer,
    PromptFailed,
    PromptInquiry,
    PromptInstruction,
    PromptPaid,
    PromptQueryAnswer,
)
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.outbox.queue import Claimed
from ledger.parties import read_payees
from ledger.prompts import Learned, PromptRecorder, Report, Started

log = structlog.get_logger(__name__)

# From the moment the prompt was taken in: 15 seconds, as the door for prompts has it, then these.
SCHEDULE = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=3), timedelta(minutes=10))
_LOST = OutcomeUnknown("the prompt was interrupted before its answer was stored")
_UNANSWERED = OutcomeUnknown("the questions brought no final answer; its receipt is waited for")
_EXPIRED = PromptFailed("EXPIRED", "it could not be sent in time, and was not sent")


class PromptSubmission(Errand):
    """Moves prompts to SUBMITTING, asks the rail, records the answer."""

    def __init__(
        self, *, rails: Mapping[str, CollectionRail], recorder: PromptRecorder, now: Callable[[], datetime]
    ) -> None:
        self._rails = rails
        self._recorder = recorder
        self._now = now

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, PromptInstruction]]:
        """The prompts that may leave now. Those that were lost are given up, for those too late it is over."""
        now = self._now()
        lost = await finish_lost(session, ledger, claimed, reason=_LOST.reason, now=now)
        prompts = await prompting.lock_prompts(
            session, ledger_id=ledger.id, prompt_ids=[one.subject_id for one in claimed]
        )
        fresh = [one for one in claimed if not one.lost and prompts[one.subject_id].state is State.REQUESTED]
        late = [one for one in fresh if prompts[one.subject_id].expires_at <= now]
        leaving = [one for one in fresh if one not in late]
        over = [one.id for one in claimed if one not in leaving]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        reports = [Report(one.subject_id, _LOST, ACTOR) for one in lost]
        reports += self._learned((one, prompts[one.subject_id].rail) for one in lost)
        reports += [Report(one.subject_id, _EXPIRED, ACTOR) for one in late]
        reports += [Report(one.subject_id, Started(), ACTOR) for one in leaving]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        rails = [(one, self._rails.get(prompts[one.subject_id].rail)) for one in leaving]
        pins = [(one, rail.platform) for one, rail in rails if rail is not None]
        await queue.pin(session, ledger_id=ledger.id, pins=pins)
        party_ids = [prompts[one.subject_id].party_id for one in leaving]
        payers = await read_payees(session, ledger_id=ledger.id, party_ids=party_ids, keys=self._recorder.party_keys)
        return [
            (one, prompt.rail, _instruction(prompt, payers[prompt.party_id]))
            for one in leaving
            if (prompt := prompts[one.subject_id])
        ]

    async def carry_out(self, call: Call) -> PromptAnswer:
        """One call to the rail. Another process may run a rail that this one does not: nothing was sent then."""
        instruction: PromptInstruction = call.content
        rail = find_rail(self._rails, instruction.rail)
        return rail if isinstance(rail, NotSent) else await rail.submit_prompt(instruction, call.urls)

    async def finish(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, PromptAnswer]]) -> list[Done]:
        """Records the answers; what provably was not sent is tried again until its time is up."""
        now = self._now()
        reports = [Report(call.claimed.subject_id, answer, ACTOR) for call, answer in results]
        lost = [(call.claimed, call.content.rail) for call, answer in results if isinstance(answer, OutcomeUnknown)]
        reports += self._learned(lost)
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        return await complete_sent(session, ledger, results, now=now)

    def _learned(self, lost: Iterable[tuple[Claimed, str]]) -> list[Report]:
        """The ids by which to ask about prompts whose answer was lost, where those are ours to choose."""
        return [
            Report(one.subject_id, Learned(checkout), ACTOR)
            for one, name in lost
            if (rail := self._rails.get(name)) is not None
            and (checkout := rail.chosen_checkout(_reference(one.subject_id))) is not None
        ]


class PromptQuestions(Errand):
    """Asks what became of prompts. `schedule` is when, counted from the moment one was taken in."""

    def __init__(
        self,
        *,
        rails: Mapping[str, CollectionRail],
        recorder: PromptRecorder,
        now: Callable[[], datetime],
        schedule: Sequence[timedelta] = SCHEDULE,
    ) -> None:
        self._rails = rails
        self._recorder = recorder
        self._now = now
        self._schedule = schedule

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, PromptInquiry]]:
        """The questions to ask now; a prompt that was asked about often enough waits for its receipt."""
        now = self._now()
        prompts = await prompting.lock_prompts(
            session, ledger_id=ledger.id, prompt_ids=[one.subject_id for one in claimed]
        )
        asking = [one for one in claimed if _may_be_asked(prompts[one.subject_id])]
        exhausted = [one for one in asking if one.attempt > len(self._schedule) and not one.hinted]
        asking = [one for one in asking if one not in exhausted]
        over = [one.id for one in claimed if one not in asking]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        reports = [Report(one.subject_id, _UNANSWERED, ACTOR) for one in exhausted]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        ids = [one.subject_id for one in asking]
        platforms = await queue.find_platforms(session, ledger_id=ledger.id, kind=queue.PROMPT_SUBMIT, subject_ids=ids)
        return [
            (one, prompt.rail, self._inquiry(ledger, prompt, platform=platforms.get(prompt.id, "")))
            for one in asking
            if (prompt := prompts[one.subject_id])
        ]

    def _inquiry(self, ledger: Ledger, prompt: Prompt, *, platform: str) -> PromptInquiry:
        assert prompt.checkout_sealed is not None
        checkout = self._recorder.keys.open_checkout(prompt.checkout_sealed, ledger_id=ledger.id, prompt_id=prompt.id)
        return PromptInquiry(
            rail=prompt.rail,
            shortcode=prompt.shortcode,
            till="",
            checkout=checkout,
            amount=prompt.amount,
            platform=platform,
        )

    async def carry_out(self, call: Call) -> PromptQueryAnswer:
        """One question to the rail."""
        inquiry: PromptInquiry = call.content
        rail = find_rail(self._rails, inquiry.rail)
        return rail if isinstance(rail, NotSent) else await rail.query_prompt(inquiry)

    async def finish(
        self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, PromptQueryAnswer]]
    ) -> list[Done]:
        """Records what the answers prove, and sets the time of the next question. Pending is no outcome."""
        now = self._now()
        reports = [
            Report(call.claimed.subject_id, answer, ACTOR)
            for call, answer in results
            if isinstance(answer, PromptPaid | PromptFailed)
        ]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=now)
        over = [call.claimed.id for call, answer in results if isinstance(answer, PromptPaid | PromptFailed)]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        return told(results, again_at=self._again_at)

    def _again_at(self, call: Call, answer: PromptQueryAnswer) -> datetime | None:
        if isinstance(answer, PromptPaid | PromptFailed):
            return None
        asked = min(call.claimed.attempt, len(self._schedule) - 1)
        return self._now() + self._schedule[asked] - self._schedule[asked - 1]


def _may_be_asked(prompt: Prompt) -> bool:
    open_now = prompt.state in {State.WAITING, State.UNKNOWN} and prompt.told_paid_at is None
    return open_now and prompt.checkout_sealed is not None


def _instruction(prompt: Prompt, payer: object) -> PromptInstruction:
    assert isinstance(payer, Msisdn), "people are asked"
    return PromptInstruction(
        rail=prompt.rail,
        shortcode=prompt.shortcode,
        till="",
        payer=payer,
        amount=prompt.amount,
        account_reference=prompt.reference,
        description=prompt.description or prompt.reference,
        provider_reference=_reference(prompt.id),
    )


def _reference(prompt_id: int) -> str:
    """Our id of the prompt for the provider, as a payout's: chosen with it and never changed."""
    return encode(prompting.PREFIX, prompt_id).replace("_", "-")
