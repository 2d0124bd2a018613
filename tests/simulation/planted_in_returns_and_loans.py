"""Bugs in what goes back to payers, and in loans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ledger.collections.returning import Event, State
from ledger.outbox.collecting import ReturnFailed
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from tests.simulation.mutants import Change, part, planted_in_money_in

judging, sending = part("adapters.return_judging"), part("adapters.returning")
returns, returning = part("ledger.returns"), part("ledger.collections.returning")
outcome, receipt = part("ledger.collections.return_outcome"), part("ledger.collections.receipt")
disbursing, loan_table, shares = part("ledger.loans.disbursing"), part("ledger.loans.loan"), part("ledger.loans.shares")
repaying, resolutions = part("ledger.loans.repaying"), part("ledger.resolutions")


@planted_in_money_in
def return_sent_again_on_a_timeout(change: Change) -> None:
    carry_out = sending.ReturnSubmission.carry_out

    async def eager(self: Any, call: Any) -> Any:
        found = await carry_out(self, call)
        return await carry_out(self, call) if isinstance(found, OutcomeUnknown) else found

    change(sending.ReturnSubmission, "carry_out", eager)


@planted_in_money_in
def return_without_an_answer_taken_for_not_sent(change: Change) -> None:
    carry_out = sending.ReturnSubmission.carry_out

    async def sure(self: Any, call: Any) -> Any:
        found = await carry_out(self, call)
        return NotSent(found.reason) if isinstance(found, OutcomeUnknown) else found

    change(sending.ReturnSubmission, "carry_out", sure)


@planted_in_money_in
def return_released_on_silence(change: Change) -> None:
    change(sending, "_SILENT", ReturnFailed("1", "no result came in time"))


@planted_in_money_in
def return_never_called_unknown(change: Change) -> None:
    async def idle(self: Any, session: Any, ledger: Any, claimed: Sequence[Any]) -> list[Any]:
        ids = [one.id for one in claimed]
        await sending.queue.complete_these(session, ledger_id=ledger.id, ids=ids, now=self._now())
        return []

    change(sending.ReturnSilence, "start", idle)


@planted_in_money_in
def returned_money_stays_in_the_float(change: Change) -> None:
    """The result is believed, and its money is put back into suspense."""
    gone = returns.gone_entry

    def wrong(money: Any, amount: Any, **named: Any) -> Any:
        accounts = replace(money.accounts, landing="liab.receipts.suspense")
        return gone(replace(money, accounts=accounts), amount, **named)

    change(returns, "gone_entry", wrong)


@planted_in_money_in
def late_result_of_a_return_dropped(change: Change) -> None:
    change(returning._DRAWN[Event.RETURNED], State.UNKNOWN, State.UNKNOWN)
    judge = outcome.judge

    def deaf(report: Any, subject: Any) -> Any:
        found = judge(report, subject)
        late = subject.state is State.UNKNOWN and found is State.UNKNOWN
        return returning.Standing.OUTDATED if late else found

    change(returns, "judge", deaf)


@planted_in_money_in
def return_of_what_is_allocated_leaves_it_there(change: Change) -> None:
    """The loan, the order, the wallet keep what went back to the payer."""

    async def lenient(self: Any, driver: Any, *, ledger: Any, allocation: Any, **named: Any) -> Any:
        taken = await take_back(self, driver, ledger=ledger, allocation=allocation, **named)
        await driver.execute(
            "UPDATE allocations SET undone_entry_id = NULL WHERE ledger_id = %s AND id = %s", (ledger.id, allocation.id)
        )
        return taken

    allocating = part("ledger.collections.allocating")
    take_back = allocating.Allocating.take_back
    change(allocating.Allocating, "take_back", lenient)


@planted_in_money_in
def overpayment_of_a_loan_lost(change: Change) -> None:
    repay = shares.repayment_shares

    def greedy(loan: Any, allocation: Any, **named: Any) -> Any:
        kept = loan.book.fee_income
        return [
            replace(line, account=kept) if line.account.startswith("liab.overpayment.") else line
            for line in repay(loan, allocation, **named)
        ]

    change(repaying, "repayment_shares", greedy)


@planted_in_money_in
def loan_disbursed_twice_under_one_request(change: Change) -> None:
    """Its request id is forgotten, and its state is not asked."""

    async def forgetful(*_: Any, **__: Any) -> None:
        return None

    change(disbursing, "find_answer", forgetful)
    allowed = disbursing.check_allowed

    def lenient(loan: Any, event: Any) -> Any:
        return allowed(replace(loan, state=loan_table.State.APPROVED), event)

    change(disbursing, "check_allowed", lenient)


@planted_in_money_in
def loan_exists_before_its_receipt(change: Change) -> None:
    """A payout that failed makes the loan active all the same."""
    events = disbursing._EVENTS
    payout = part("ledger.payouts.payout")
    change(events, payout.Effect.RELEASE, loan_table.Event.DISBURSED)


@planted_in_money_in
def loan_does_not_follow_its_payout(change: Change) -> None:
    async def idle(*_: Any, **__: Any) -> None:
        return None

    change(disbursing, "follow_payouts", idle)


@planted_in_money_in
def case_of_waiting_money_dismissed(change: Change) -> None:
    change(resolutions, "_WAITING", {})


@planted_in_money_in
def lenders_share_kept(change: Change) -> None:
    """What a borrower pays back to a lender stays with us."""
    lender = shares._to_lender

    def greedy(book: Any, taken: Any, rest: Any, terms: Any) -> Any:
        return [
            replace(line, account=book.borrower_wallet) if line.account == book.lender_wallet else line
            for line in lender(book, taken, rest, terms)
        ]

    change(shares, "_to_lender", greedy)
