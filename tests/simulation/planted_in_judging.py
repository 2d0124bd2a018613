"""Bugs in what comes back: believed unmatched, dropped, read wrongly, or nobody is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled
from tests.simulation.mutants import Change, part, planted

inbound, judging = part("adapters.inbound"), part("adapters.judging")
query_results, results = part("adapters.daraja.query_results"), part("adapters.daraja.results")
inbox, queue = part("ledger.outbox.inbox"), part("ledger.outbox.queue")
floats, reviews, writing = part("ledger.floats"), part("ledger.payouts.reviews"), part("ledger.payouts.writing")


@planted
def callback_believed_unmatched(change: Change) -> None:
    change(judging, "find_mismatch", lambda *_: None)


@planted
def path_ignored(change: Change) -> None:
    """A message on a path of nobody's is taken for the newest payout's."""
    find = inbox.find_owners

    async def generous(driver: Any, *, ledger_id: int, token_hashes: Sequence[bytes], now: Any) -> Any:
        found = await find(driver, ledger_id=ledger_id, token_hashes=token_hashes, now=now)
        rows = await driver.execute("SELECT max(id) FROM payouts WHERE ledger_id = %s", (ledger_id,))
        (newest,) = await rows.fetchone()
        return dict.fromkeys(token_hashes, (newest, queue.SUBMIT)) | found if newest else found

    change(inbox, "find_owners", generous)


@planted
def callback_consumed_without_effect(change: Change) -> None:
    judge = judging.judge_callback

    def numb(*given: Any) -> Any:
        found = judge(*given)
        settled = found.report is not None and isinstance(found.report.outcome, Settled)
        return replace(found, report=None) if settled else found

    change(inbound, "judge_callback", numb)


@planted
def receipt_settles_several(change: Change) -> None:
    async def generous(driver: Any, *, ledger_id: int, receipts: Any, now: Any) -> Any:
        return {(rail, receipt): payout_id for rail, receipt, payout_id in receipts}

    change(writing, "claim_receipts", generous)


@planted
def queue_timeout_taken_for_failure(change: Change) -> None:
    read = results._read_timeout_envelope

    def sure(envelope: Any) -> Any:
        return replace(read(envelope), outcome=Failed("26", "timed out"))

    change(results, "_read_timeout_envelope", sure)


@planted
def answered_query_taken_for_a_payment(change: Change) -> None:
    def sure(parameters: Any, ids: Any) -> Any:
        found = query_results._judge_completed(parameters, ids)
        if isinstance(found, OutcomeUnknown):
            amount = query_results.account_strings.money(parameters.get("Amount"))
            told = query_results._completed_at(parameters.get("FinalisedTime"))
            return Settled(f"UI0{parameters.get('ConversationID')[-7:]}", amount, told, ids) if amount else found
        return found

    change(query_results, "_judge", sure)


@planted
def callback_acknowledged_and_not_kept(change: Change) -> None:
    receive = inbound.Inbound.receive

    async def careless(self: Any, *, kind: str, raw: bytes, **named: Any) -> None:
        if kind != "timeout" and b"Completed" not in raw:
            await receive(self, kind=kind, raw=raw, **named)

    change(inbound.Inbound, "receive", careless)


@planted
def message_judged_for_ever(change: Change) -> None:
    async def forgetful(driver: Any, *, verdicts: Any, now: Any) -> None:
        return None

    change(inbox, "settle", forgetful)


@planted
def nobody_is_asked(change: Change) -> None:
    """Cases are opened nowhere."""

    async def silent(driver: Any, **_: Any) -> None:
        return None

    change(reviews, "open_reviews", silent)


@planted
def unknown_never_asked_about(change: Change) -> None:
    enqueue = queue.enqueue

    async def selective(driver: Any, *, kind: str, **named: Any) -> None:
        if kind != queue.QUERY:
            await enqueue(driver, kind=kind, **named)

    change(queue, "enqueue", selective)


@planted
def silence_never_heard(change: Change) -> None:
    async def deaf(driver: Any, **_: Any) -> dict[int, list[int]]:
        return {}

    change(writing, "find_silent", deaf)


@planted
def missing_money_alarms_nobody(change: Change) -> None:
    async def trusting(driver: Any, **_: Any) -> list[Any]:
        return []

    change(floats, "find_unexplained", trusting)
