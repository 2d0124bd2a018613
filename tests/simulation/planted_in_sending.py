"""Bugs in what leaves: sent twice, sent on a guess, sent though it was taken back, given back on a guess."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.daraja.gateway import Meaning
from ledger.outbox.instruction import Failed, Rejected
from ledger.payouts.payout import Event, Standing, State
from tests.simulation.mutants import Change, part, planted
from tests.simulation.planted_in_states_and_booking import edge

answers, client, gateway = (part(f"adapters.daraja.{name}") for name in ("answers", "client", "gateway"))
dispatch, inquiry, resubmission = (part(f"adapters.{name}") for name in ("dispatch", "inquiry", "resubmission"))
submission, transport = part("adapters.submission"), part("adapters.transport")
outcomes, queue = part("ledger.outcomes"), part("ledger.outbox.queue")


@planted
def call_before_recording(change: Change) -> None:
    """The call goes out before its attempt is committed."""
    claim = dispatch.Dispatcher._claim

    async def calling(self: Any, connection: Any, *, token: int, limit: int) -> Any:
        count, calls = await claim(self, connection, token=token, limit=limit)
        self.early = {id(call): await self._carry_out(call) for call in calls}
        return count, calls

    carry_out = dispatch.Dispatcher._carry_out

    async def called(self: Any, call: Any) -> Any:
        early = getattr(self, "early", {})
        return early.pop(id(call)) if id(call) in early else await carry_out(self, call)

    change(dispatch.Dispatcher, "_claim", calling)
    change(dispatch.Dispatcher, "_carry_out", called)


@planted
def lost_submission_sent_again(change: Change) -> None:
    claim = queue.claim

    async def forgetful(driver: Any, **wanted: Any) -> Any:
        return [replace(one, lost=False) for one in await claim(driver, **wanted)]

    change(queue, "claim", forgetful)
    edge(change, Event.STARTED, [State.SUBMITTING], Standing.REPEATED)
    record = submission.Submission._record

    async def lenient(self: Any, session: Any, ledger: Any, reports: Any) -> Any:
        recorded = await record(self, session, ledger, reports)
        return [
            outcomes.Applied(one.state, None) if one == outcomes.Unchanged(State.SUBMITTING, Standing.REPEATED) else one
            for one in recorded
        ]

    change(submission.Submission, "_record", lenient)


@planted
def new_reference_on_a_retry(change: Change) -> None:
    prepare = submission.unsent_instructions

    async def renamed(*given: Any, **named: Any) -> Any:
        prepared = await prepare(*given, **named)
        return [
            (one, rail, replace(it, provider_reference=f"{it.provider_reference[:-1]}{one.attempt}"))
            if one.attempt > 1
            else (one, rail, it)
            for one, rail, it in prepared
        ]

    change(submission, "unsent_instructions", renamed)


@planted
def timeout_taken_for_not_sent(change: Change) -> None:
    exchange = transport.exchange

    async def sure(*given: Any, **named: Any) -> Any:
        found = await exchange(*given, **named)
        return transport.NeverSent(found.reason) if isinstance(found, transport.NoAnswer) else found

    change(transport, "exchange", sure)


@planted
def server_error_taken_for_a_refusal(change: Change) -> None:
    meaning = gateway._meaning

    def sure(*given: Any) -> Meaning:
        found = meaning(*given)
        return Meaning.REFUSED if found is Meaning.UNPROVEN else found

    change(gateway, "_meaning", sure)


@planted
def refused_token_taken_for_a_refused_payment(change: Change) -> None:
    judge = answers._judge_payout_error

    def sure(error: Any) -> Any:
        found = judge(error)
        return Rejected("404", "token") if isinstance(found, answers.TokenRefused) else found

    change(answers, "_judge_payout_error", sure)


@planted
def cancelled_payout_sent(change: Change) -> None:
    record = submission.Submission._record

    async def deaf(self: Any, session: Any, ledger: Any, reports: Any) -> Any:
        recorded = await record(self, session, ledger, reports)
        return [outcomes.Applied(one.state, None) if one.state is State.CANCELLED else one for one in recorded]

    complete = queue.complete

    async def selective(driver: Any, *, ledger_id: int, subject_ids: Any, now: Any) -> None:
        """The instruction of a cancelled payout stays."""
        found = await driver.execute(
            "SELECT id FROM payouts WHERE ledger_id = %s AND id = ANY(%s) AND state <> 'CANCELLED'",
            (ledger_id, list(subject_ids)),
        )
        await complete(driver, ledger_id=ledger_id, subject_ids=[row[0] for row in await found.fetchall()], now=now)

    change(submission.Submission, "_record", deaf)
    change(queue, "complete", selective)


@planted
def repeats_trusted_to_any_rail(change: Change) -> None:
    declared = client.CAPABILITIES
    change(client.DarajaRail, "capabilities", property(lambda _: replace(declared, refuses_repeats=True)))


@planted
def repeat_under_a_new_reference(change: Change) -> None:
    prepare = resubmission.unsent_instructions

    async def renamed(*given: Any, **named: Any) -> Any:
        prepared = await prepare(*given, **named)
        return [
            (one, rail, replace(it, provider_reference=f"{it.provider_reference[:-1]}*")) for one, rail, it in prepared
        ]

    change(resubmission, "unsent_instructions", renamed)


@planted
def unknown_released_when_nobody_answers(change: Change) -> None:
    start = inquiry.Inquiry.start

    async def sure(self: Any, session: Any, ledger: Any, claimed: Any) -> Any:
        over = [one.payout_id for one in claimed if one.attempt > len(self._schedule)]
        asking = await start(self, session, ledger, claimed)
        reports = [
            inquiry.Report(payout_id=one, outcome=Failed("26", "silence"), source=inquiry.Source.QUERY, actor="x")
            for one in over
        ]
        await self._recorder.record(session, ledger=ledger, reports=reports, now=self._now())
        return asking

    change(inquiry.Inquiry, "start", sure)
