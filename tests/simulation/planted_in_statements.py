"""Bugs in statements: in taking them in, in matching, in what comes of breaks, in closing days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ledger.reconciliation.matching import Decision, Payout, State
from tests.simulation.mutants import Change, part, planted_in_statements

importing, statement = part("ledger.reconciliation.importing"), part("ledger.reconciliation.statement")
matching, reading = part("ledger.reconciliation.matching"), part("ledger.reconciliation.reading")
comparing = part("ledger.reconciliation.comparing")
running, adjusting = part("ledger.reconciliation.run"), part("ledger.reconciliation.adjusting")
adjustment, closing_accounts = part("ledger.reconciliation.adjustment"), part("ledger.reconciliation.closing_accounts")

# Taking them in.


@planted_in_statements
def line_told_apart_by_its_balance(change: Change) -> None:
    """A late row shifts the balances of all behind it: each of them is taken for another line."""
    digest = statement.StatementLine.digest

    def wrong(self: Any) -> bytes:
        found: bytes = digest.fget(replace(self, details=f"{self.details} {self.balance}"))
        return found

    change(statement.StatementLine, "digest", property(wrong))


@planted_in_statements
def late_row_ignored(change: Change) -> None:
    """What is not newer than the newest line known is taken for known."""
    take_in, next_lines = importing.Importer.take_in, importing._next_lines
    newest: list[datetime] = []

    async def hasty(self: Any, driver: Any, *, account: Any, **named: Any) -> Any:
        cursor = await driver.execute(
            "SELECT max(completed_at) FROM statement_lines WHERE account_id = %s", (account.id,)
        )
        newest[:] = [one for (one,) in await cursor.fetchall() if one is not None]
        return await take_in(self, driver, account=account, **named)

    def newer(lines: Any, continuity: Any) -> Any:
        return [one for one in next_lines(lines, continuity) if not newest or one.completed_at > newest[0]]

    change(importing.Importer, "take_in", hasty)
    change(importing, "_next_lines", newer)


@planted_in_statements
def torn_statement_taken_in(change: Change) -> None:
    """Its running balance is not followed, and its sums are not added up."""
    change(statement.Continuity, "check", lambda self: (self.heading.opening, self.heading.closing))


@planted_in_statements
def oldest_statement_has_the_last_word(change: Change) -> None:
    change(reading, "_TOLD", reading._TOLD.replace("DESC", "ASC"))


# Matching.


@planted_in_statements
def entry_matched_twice(change: Change) -> None:
    """It is held against its line, and stays for another."""
    under = matching._Matcher._under_one_receipt

    def forgetful(self: Any, mains: Any, booked: Sequence[Any]) -> None:
        under(self, mains, booked)
        self.left |= {one.entry_id: one for one in booked}

    change(matching._Matcher, "_under_one_receipt", forgetful)


@planted_in_statements
def like_payments_match_each_others_rows(change: Change) -> None:
    """Whatever is of one amount, under whichever receipts, within whatever time."""

    def generous(self: Any, lines: Sequence[Any]) -> list[Any]:
        waiting = []
        for line in lines:
            alike = [one for one in self.left.values() if one.amount == line.amount]
            if alike:
                self._decide(State.MATCHED, "amount", "of this amount", [line], alike[:1])
            else:
                waiting.append(line)
        return waiting

    change(matching._Matcher, "_by_amount", generous)


@planted_in_statements
def fee_difference_swallowed(change: Change) -> None:
    """Another fee than the tariff's is below notice."""
    decide = matching._Matcher._decide

    def blind(self: Any, state: State, *given: Any) -> None:
        decide(self, State.MATCHED if state is State.FEE_MISMATCH else state, *given)

    change(matching._Matcher, "_decide", blind)


@planted_in_statements
def what_is_missing_is_awaited_for_days(change: Change) -> None:
    change(matching, "LATE", timedelta(days=3))


@planted_in_statements
def money_that_nobody_ordered_is_explained(change: Change) -> None:
    """What left alone is let be, as if it were on its way into the books."""
    alone = matching._Matcher._alone

    def calm(self: Any, line: Any) -> None:
        alone(self, line)
        if self.made[-1].state is State.MISSING_HERE and line.amount < 0:
            self.made[-1] = replace(self.made[-1], state=State.AWAITED)

    change(matching._Matcher, "_alone", calm)


@planted_in_statements
def money_that_nobody_ordered_alarms_nobody(change: Change) -> None:
    async def silent(self: Any, *_: Any) -> None:
        return None

    change(running.Reconciler, "_alarm", silent)


@planted_in_statements
def statement_settles_no_payout(change: Change) -> None:
    change(running, "_evidence", lambda *_: None)


@planted_in_statements
def unknown_payout_settled_by_anothers_row(change: Change) -> None:
    """A reference that is none of ours is taken for that of a payout that waits."""
    read = comparing._read_known

    async def generous(driver: Any, compared: Any, held: Any) -> dict[str, Any]:
        known: dict[str, Any] = await read(driver, compared, held)
        cursor = await driver.execute("SELECT id, amount FROM payouts WHERE state IN ('UNKNOWN', 'SUBMITTED')")
        waiting = [Payout(row[0], matching.Known.OPEN, -row[1], None) for row in await cursor.fetchall()]
        payouts = known.get("payouts", {})
        strange = [one.originator for one in held.lines if one.originator and one.originator not in payouts]
        return {**known, "payouts": payouts | dict(zip(strange, waiting, strict=False))}

    change(comparing, "_read_known", generous)
    decide = matching._Matcher._by_originator

    def any_amount(self: Any, lines: Sequence[Any]) -> Any:
        payouts = {
            name: replace(one, amount=next((line.amount for line in lines if line.originator == name), one.amount))
            for name, one in self.books.payouts.items()
        }
        self.books = replace(self.books, payouts=payouts)
        return decide(self, lines)

    change(matching._Matcher, "_by_originator", any_amount)


@planted_in_statements
def payout_learned_after_a_close_taken_for_a_second_one(change: Change) -> None:
    """On its own day, where it is not booked. Found by these histories."""
    settled = matching._Matcher._settled

    def hasty(self: Any, line: Any, payout: Payout) -> Any:
        return settled(self, line, replace(payout, receipt=f"{payout.receipt}?"))

    change(matching._Matcher, "_settled", hasty)


# What comes of breaks.


@planted_in_statements
def adjustment_posted_twice(change: Change) -> None:
    post, entry = adjusting.AdjustmentDesk._post, adjusting.JournalEntry

    async def eager(self: Any, *given: Any) -> int:
        await post(self, *given)
        found: int = await post(self, *given)
        return found

    change(adjusting, "JournalEntry", lambda **named: entry(**{**named, "once": False}))
    change(adjusting.AdjustmentDesk, "_post", eager)


@planted_in_statements
def break_closed_without_an_entry(change: Change) -> None:
    def words(account: Any, breaks: Any, *, against: str, reason: str) -> Any:
        return adjustment.Draft(way=adjustment.Way.MATCH, breaks=breaks, reason=reason)

    change(adjusting, "entry_draft", words)


@planted_in_statements
def payment_of_a_statement_dated_when_it_was_approved(change: Change) -> None:
    received = adjusting.Received

    def late(receipt: str, shortcode: str, money: Any, at: datetime, **named: Any) -> Any:
        return received(receipt, shortcode, money, at + timedelta(hours=1), **named)

    change(adjusting, "Received", late)


# Closing days.


@planted_in_statements
def late_fact_not_carried(change: Change) -> None:
    change(reading, "_LATE", "SELECT 0 * %(ledger)s * %(account)s + 0 * (%(first)s::date - %(start)s::date)")


@planted_in_statements
def late_return_looked_for_by_what_it_undoes(change: Change) -> None:
    """Found by these histories."""
    change(comparing, "_LATER", comparing._LATER.replace("r.return_receipt = w.receipt", "false"))


@planted_in_statements
def late_fact_that_is_adjusted_carried_twice(change: Change) -> None:
    """Found by these histories."""
    change(reading, "_LATE", reading._LATE.partition("AND NOT EXISTS")[0])


@planted_in_statements
def signed_though_the_books_moved_since(change: Change) -> None:
    with_run = closing_accounts._with_run

    def calm(*given: Any) -> Any:
        return replace(with_run(*given), moved_since=0)

    change(closing_accounts, "_with_run", calm)


@planted_in_statements
def break_counted_as_explained_in_a_run(change: Change) -> None:
    """What the statement shows above the books is taken for a gift."""
    explained = Decision.__dict__["is_explained"].fget

    def generous(self: Decision) -> bool:
        return bool(explained(self)) or self.difference > 0

    change(Decision, "is_explained", property(generous))
