"""A run: one account's statement of some days held against the books, its evidence recorded, its decisions kept.

What a statement shows of payouts whose outcome the books do not know goes through the one door for outcomes, and the
account is matched again; what left without anybody's order alarms. All in one transaction; nothing is ever edited, a
newer run of the same days supersedes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.database import Driver
from ledger.errors import NotFound
from ledger.ids import IdSource
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.money import Money, format_minor_units
from ledger.outbox.instruction import Failed, Settled
from ledger.outcomes import OutcomeRecorder
from ledger.payouts import reviews
from ledger.payouts.outcome import Report
from ledger.payouts.reviews import Case
from ledger.reconciliation.importing import IMPORT_SECONDS_MAX, StatementAccount
from ledger.reconciliation.matching import Decision, Line, State, match
from ledger.reconciliation.reading import Days, Told, find_days, read_books, read_carried, read_opening, read_told
from ledger.reconciliation.statement import LineStatus
from ledger.session import plain_array, text_array
from ledger.text import check_text

PREFIX = "rec"
ALARM = "unledgered-movement"
_ALARMS_MAX = 100
_SET_ROWS = 5_000

_RUN = """
INSERT INTO reconciliation_runs (ledger_id, id, account_id, from_date, until_date, told_until, statement_opening,
    statement_closing, books_opening, books_closing, lines, decisions, breaks, difference, unexplained, resolved,
    actor, recorded_at, carried)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
# An array of arrays is rectangular; so each row's ids come as text of an array.
_DECISIONS = """
INSERT INTO reconciliation_decisions (ledger_id, run_id, number, state, rule, reason, happened_at, receipt, difference,
    line_ids, entry_ids, payout_id)
SELECT %(ledger)s, %(run)s, d.number, d.state, d.rule, d.reason, d.at, d.receipt, d.difference,
       d.line_ids::bigint[], d.entry_ids::bigint[], d.payout
FROM unnest(%(number)s::int[], %(state)s::text[], %(rule)s::text[], %(reason)s::text[], %(at)s::timestamptz[],
    %(receipt)s::text[], %(difference)s::bigint[], %(line_ids)s::text[], %(entry_ids)s::text[], %(payout)s::bigint[])
    AS d (number, state, rule, reason, at, receipt, difference, line_ids, entry_ids, payout)
"""


class StatementMissing(NotFound):
    """No statement of the account reaches into the days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run found. Amounts in minor units, as the statement writes them; `unexplained` sums up what breaks differ
    by, whichever way; `resolved` counts payouts whose outcome the statement told; `carried` is what of the difference
    before these days is explained."""

    id: int
    days: Days
    told_until: datetime
    lines: int
    statement_opening: int | None
    statement_closing: int | None
    books_opening: int
    books_closing: int
    resolved: int
    decisions: Sequence[Decision]
    carried: int = 0

    @property
    def breaks(self) -> list[Decision]:
        """What needs somebody."""
        return [one for one in self.decisions if not one.is_explained]

    @property
    def opening_gap(self) -> int:
        """What the statement held more than the books before these days, unexplained; 0 where it does not say."""
        return 0 if self.statement_opening is None else self.statement_opening - self.books_opening - self.carried

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to look into."""
        return not self.breaks and not self.opening_gap

    @property
    def difference(self) -> int:
        """What moved in the statement less what moved in the books."""
        return sum(one.difference for one in self.decisions)

    @property
    def unexplained(self) -> int:
        """What of it breaks make, added up without signs."""
        return sum(abs(one.difference) for one in self.breaks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Runs with what never changes in a process."""

    recorder: OutcomeRecorder
    ids: IdSource

    async def reconcile(
        self,
        driver: Driver,
        *,
        ledger: Ledger,
        account: StatementAccount,
        days: Days | None,
        actor: str,
        now: datetime,
    ) -> Run:
        """A run over the days, or the newest statement's, in the caller's transaction. Raises StatementMissing."""
        check_text(actor, field="actor", length_max=100)
        await driver.execute("SELECT set_config('statement_timeout', %s, true)", (f"{IMPORT_SECONDS_MAX}s",))
        days = days or await find_days(driver, ledger=ledger, account=account)
        told = await read_told(driver, ledger=ledger, account=account, days=days) if days else None
        if days is None or told is None:
            raise StatementMissing(f"no statement of {account.path} for these days; import it first", field="account")
        lines = {line.id: line for line in told.lines}
        decisions = await self._match(driver, ledger, account, days, told)
        reports = [report for one in decisions if (report := _evidence(one, lines, account, actor)) is not None]
        if reports:
            await self.recorder.record(driver, ledger=ledger, reports=reports, now=now)
            decisions = await self._match(driver, ledger, account, days, told)
        await self._alarm(driver, ledger, account, decisions, lines, now)
        opening = await read_opening(driver, ledger=ledger, account=account, days=days)
        run = Run(
            id=self.ids.next(now),
            days=days,
            told_until=told.until,
            lines=len(told.lines),
            statement_opening=None if told.closing is None else told.closing - told.moved,
            statement_closing=told.closing,
            books_opening=opening,
            books_closing=opening + told.moved - sum(one.difference for one in decisions),
            resolved=len(reports),
            decisions=decisions,
            carried=await read_carried(driver, ledger=ledger, account=account, days=days),
        )
        await _write(driver, ledger, account, run, actor, now)
        return run

    async def _match(
        self, driver: Driver, ledger: Ledger, account: StatementAccount, days: Days, told: Told
    ) -> list[Decision]:
        books = await read_books(driver, ledger=ledger, account=account, days=days, told=told)
        # In a thread, so that a server goes on answering others meanwhile.
        return await asyncio.to_thread(match, told.lines, books)

    async def _alarm(
        self,
        driver: Driver,
        ledger: Ledger,
        account: StatementAccount,
        decisions: Sequence[Decision],
        lines: Mapping[int, Line],
        now: datetime,
    ) -> None:
        """A case for each payment that nobody here ordered."""
        strange = [
            one for one in decisions if one.state in (State.MISSING_HERE, State.DUPLICATE) and one.difference < 0
        ]
        payments = [one for one in strange if not lines[one.lines[0]].kind.is_charge]
        cases = [
            Case(
                None,
                f"{account.currency} {format_minor_units(-one.difference, account.currency)} left {account.path} under "
                f"receipt {one.receipt}, which nothing in the books ordered; `daftari reconcile run` shows it",
            )
            for one in payments[:_ALARMS_MAX]
        ]
        await reviews.open_reviews(driver, ledger_id=ledger.id, queue=ALARM, cases=cases, ids=self.ids, now=now)


def _evidence(decision: Decision, lines: Mapping[int, Line], account: StatementAccount, actor: str) -> Report | None:
    """What a statement proves about a payout, for the door of outcomes."""
    if decision.state is not State.RESOLVES or decision.payout_id is None:
        return None
    line = lines[decision.lines[0]]
    outcome: Settled | Failed
    if line.status is LineStatus.COMPLETED:
        outcome = Settled(line.receipt, Money(account.currency, -line.amount), line.at)
    else:
        outcome = Failed("statement", f"the statement shows {line.receipt} as failed")
    return Report(payout_id=decision.payout_id, outcome=outcome, source=Source.STATEMENT, actor=actor)


async def _write(
    driver: Driver, ledger: Ledger, account: StatementAccount, run: Run, actor: str, now: datetime
) -> None:
    row = (
        ledger.id, run.id, account.id, run.days.first, run.days.last, run.told_until, run.statement_opening,
        run.statement_closing, run.books_opening, run.books_closing, run.lines, len(run.decisions), len(run.breaks),
        run.difference, run.unexplained, run.resolved, actor, now,
        run.carried,
    )  # fmt: skip
    await driver.execute(_RUN, row)
    for at in range(0, len(run.decisions), _SET_ROWS):
        columns = _columns(run.decisions[at : at + _SET_ROWS], first=at + 1)
        await driver.execute(_DECISIONS, {"ledger": ledger.id, "run": run.id} | columns)


def _columns(decisions: Sequence[Decision], *, first: int) -> dict[str, str]:
    return {
        "number": plain_array(range(first, first + len(decisions))),
        "state": plain_array([one.state.value for one in decisions]),
        "rule": plain_array([one.rule for one in decisions]),
        "reason": text_array([one.reason for one in decisions]),
        "at": plain_array([one.at.isoformat() for one in decisions]),
        "receipt": text_array([one.receipt for one in decisions]),
        "difference": plain_array([one.difference for one in decisions]),
        "line_ids": text_array([plain_array(one.lines) for one in decisions]),
        "entry_ids": text_array([plain_array(one.entries) for one in decisions]),
        "payout": plain_array([one.payout_id for one in decisions]),
    }
