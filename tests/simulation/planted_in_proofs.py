"""Bugs in what is asked of the provider about money in: what it took back, and whether large money is there; and in the
answer before a payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapters.provider import CallbackUnreadable
from ledger.collections.allocation import TargetKind
from tests.simulation.mutants import Change, part, planted_in_money_in

returns, receiving = part("ledger.returns"), part("ledger.receiving")
questions, waiting = part("adapters.receipt_questions"), part("ledger.collections.proving")


@planted_in_money_in
def large_money_given_before_it_is_confirmed(change: Change) -> None:
    async def trusting(*_: Any, **__: Any) -> frozenset[int]:
        return frozenset()

    change(waiting, "find_unproven", trusting)


@planted_in_money_in
def unanswered_question_taken_for_a_yes(change: Change) -> None:
    """That nothing of the kind is known confirms it."""
    read = questions.ReceiptJudge.read

    def sure(self: Any, message: Any, asked: Any, ledger: Any) -> Any:
        told = self.rails[asked.rail].read_receipt_query_callback(message.kind, message.raw)
        if isinstance(told, CallbackUnreadable):
            return questions.Stands(asked.receipt.id, message.id)
        return read(self, message, asked, ledger)

    change(questions.ReceiptJudge, "read", sure)


@planted_in_money_in
def reversal_told_by_a_status_query_forgotten(change: Change) -> None:
    async def deaf(self: Any, driver: Any, *, ledger: Any, told: Sequence[Any], now: Any) -> list[str]:
        return ["applied" for _ in told]

    change(returns.ReturnRecorder, "record_reversed", deaf)


@planted_in_money_in
def take_back_booked_once_per_person(change: Change) -> None:
    """The provider's own number of it is not kept: a second person books it again."""
    take_back = returns.ReturnRecorder.take_back

    async def forgetful(self: Any, driver: Any, *, ledger: Any, taken: Any, now: Any) -> Any:
        return await take_back(self, driver, ledger=ledger, taken=replace(taken, return_receipt=""), now=now)

    change(returns.ReturnRecorder, "take_back", forgetful)


@planted_in_money_in
def closed_loan_wanted_before_a_payment(change: Change) -> None:
    """Whoever asks before paying a loan that is closed is told to pay."""
    validating = receiving.validating
    refusal = validating.refusal_of

    async def glad(*given: Any, unwanted: Any, **named: Any) -> Any:
        fewer = {kind: ask for kind, ask in unwanted.items() if kind is not TargetKind.LOAN}
        return await refusal(*given, unwanted=fewer, **named)

    change(validating, "refusal_of", glad)


@planted_in_money_in
def suspense_given_out_twice(change: Change) -> None:
    """Two people decide about the same money: the second gives it as well, out of what lies there of others."""
    allocate = receiving.ReceiptRecorder.allocate

    async def again(self: Any, driver: Any, *, ledger: Any, decision: Any, now: Any) -> Any:
        decided = await allocate(self, driver, ledger=ledger, decision=decision, now=now)
        await driver.execute(
            "UPDATE receipts SET suspended = suspended + allocated, allocated = 0 WHERE ledger_id = %s AND id = %s "
            "AND suspended = 0 AND unallocated = 0",
            (ledger.id, decision.receipt_id),
        )
        return decided

    change(receiving.ReceiptRecorder, "allocate", again)


@planted_in_money_in
def reallocated_money_stays_with_the_first(change: Change) -> None:
    """What is taken back to be given anew is taken from suspense's other money, and not from whom it was given to."""
    allocating = part("ledger.collections.allocating")
    undone = allocating.undone_entry

    def wrong(money: Any, *, allocation: Any, **named: Any) -> Any:
        kept = [
            replace(line, account="asset.recon.shortage") if line.account.startswith("liab.wallet.") else line
            for line in allocation
        ]
        return undone(money, allocation=kept, **named)

    change(allocating, "undone_entry", wrong)
