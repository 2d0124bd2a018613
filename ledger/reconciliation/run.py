"""A run: one account's statement of some days held against the books, its evidence recorded, its decisions kept.

What a statement shows of payouts whose outcome the books do not know goes through the one door for outcomes, and the
account is matched again; what left without anybody's order alarms. All in one transaction; nothing is ever edited, a
newer run of the same days supersedes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from ledger.reconciliation.comparing import Compared, Comparison, comparing
from ledger.reconciliation.importing import StatementAccount
from ledger.reconciliation.matching import EXPLAINED, Decision, Line, State
from ledger.reconciliation.reading import Days, find_days, read_carried, read_opening, read_told
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
_UNORDERED = """
SELECT d.receipt, -d.difference FROM reconciliation_decisions AS d
JOIN statement_lines AS l ON l.ledger_id = d.ledger_id AND l.id = d.line_ids[1]
WHERE d.ledger_id = %s AND d.run_id = %s AND l.account_id = %s AND d.state IN ('missing_here', 'duplicate')
  AND d.difference < 0 AND l.kind NOT IN ('charge', 'charge_reversal') ORDER BY d.number LIMIT %s
"""


class StatementMissing(NotFound):
    """No statement of the account reaches into the days."""


@dataclass(slots=True)
class Decided:
    """What decisions come to, in minor units as the statement writes them: how many there are by state and rule; their
    `difference`, which is what moved in the statement less what moved in the books; and what of it the breaks, which
    need somebody, make, added up without signs."""

    counts: Counter[tuple[State, str]] = field(default_factory=Counter)
    difference: int = 0
    unexplained: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    @property
    def states(self) -> Counter[State]:
        """How many there are by state."""
        states: Counter[State] = Counter()
        for (state, _), count in self.counts.items():
            states[state] += count
        return states

    @property
    def breaks(self) -> int:
        """Those that need somebody."""
        return sum(count for state, count in self.states.items() if state not in EXPLAINED)

    def add(self, decisions: Sequence[Decision]) -> None:
        """Takes them in."""
        self.counts.update((one.state, one.rule) for one in decisions)
        self.difference += sum(one.difference for one in decisions)
        self.unexplained += sum(abs(one.difference) for one in decisions if not one.is_explained)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run found; its decisions are rows (`queries`). Amounts in minor units, as the statement writes them;
    `resolved` counts payouts whose outcome the statement told; `carried` is what of the difference before these days
    is explained."""

    id: int
    days: Days
    told_until: datetime
    lines: int
    statement_opening: int | None
    statement_closing: int | None
    books_opening: int
    books_closing: int
    resolved: int
    decided: Decided
    carried: int = 0

    @property
    def opening_gap(self) -> int:
        """What the statement held more than the books before these days, unexplained; 0 where it does not say."""
        return 0 if self.statement_opening is None else self.statement_opening - self.books_opening - self.carried

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to look into."""
        return not self.decided.breaks and not self.opening_gap


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
        days = days or await find_days(driver, ledger=ledger, account=account)
        told = await read_told(driver, ledger=ledger, account=account, days=days) if days else None
        if days is None or told is None:
            raise StatementMissing(f"no statement of {account.path} for these days; import it first", field="account")
        compared = Compared(ledger=ledger, account=account, days=days, told=told)
        run_id = self.ids.next(now)
        comparison, decided, resolved = await self._decide(driver, compared, run_id, actor, now)
        opening = await read_opening(driver, ledger=ledger, account=account, days=days)
        run = Run(
            id=run_id,
            days=days,
            told_until=told.until,
            lines=comparison.lines,
            statement_opening=None if told.closing is None else told.closing - comparison.moved,
            statement_closing=told.closing,
            books_opening=opening,
            books_closing=opening + comparison.moved - decided.difference,
            resolved=resolved,
            decided=decided,
            carried=await read_carried(driver, ledger=ledger, account=account, days=days),
        )
        await _write_run(driver, ledger, account, run, actor, now)
        await self._alarm(driver, ledger, account, run, now)
        return run

    async def _decide(
        self, driver: Driver, compared: Compared, run_id: int, actor: str, now: datetime
    ) -> tuple[Comparison, Decided, int]:
        """Records what the statement proves of payouts, how many they were, and then writes all decisions."""
        async with comparing(driver, compared) as comparison:
            reports = _reports(comparison, actor)
            if not reports:
                return comparison, await _write_decisions(driver, comparison, run_id), 0
        await self.recorder.record(driver, ledger=compared.ledger, reports=reports, now=now)
        async with comparing(driver, compared) as comparison:
            return comparison, await _write_decisions(driver, comparison, run_id), len(reports)

    async def _alarm(self, driver: Driver, ledger: Ledger, account: StatementAccount, run: Run, now: datetime) -> None:
        """A case for each payment that nobody here ordered."""
        place = (ledger.id, run.id, account.id, _ALARMS_MAX)
        cases = [
            Case(
                None,
                f"{account.currency} {format_minor_units(left, account.currency)} left {account.path} under "
                f"receipt {receipt}, which nothing in the books ordered; `daftari reconcile run` shows it",
            )
            for receipt, left in await (await driver.execute(_UNORDERED, place)).fetchall()
        ]
        await reviews.open_reviews(driver, ledger_id=ledger.id, queue=ALARM, cases=cases, ids=self.ids, now=now)


def _reports(comparison: Comparison, actor: str) -> list[Report]:
    """What the statement proves about payouts, for the door of outcomes."""
    account = comparison.compared.account
    told = (_evidence(one, comparison.held, account, actor) for one in comparison.held_decisions)
    return [report for report in told if report is not None]


def _evidence(decision: Decision, lines: Mapping[int, Line], account: StatementAccount, actor: str) -> Report | None:
    """What a line proves about a payout."""
    if decision.state is not State.RESOLVES or decision.payout_id is None:
        return None
    line = lines[decision.lines[0]]
    outcome: Settled | Failed
    if line.status is LineStatus.COMPLETED:
        outcome = Settled(line.receipt, Money(account.currency, -line.amount), line.at)
    else:
        outcome = Failed("statement", f"the statement shows {line.receipt} as failed")
    return Report(payout_id=decision.payout_id, outcome=outcome, source=Source.STATEMENT, actor=actor)


async def _write_decisions(driver: Driver, comparison: Comparison, run_id: int) -> Decided:
    """As they come; the run's own row, which says what they add up to, is written behind them."""
    decided, ledger_id = Decided(), comparison.compared.ledger.id
    async for decisions in comparison.decisions():
        for at in range(0, len(decisions), _SET_ROWS):
            part = decisions[at : at + _SET_ROWS]
            columns = _columns(part, first=decided.total + 1)
            await driver.execute(_DECISIONS, {"ledger": ledger_id, "run": run_id} | columns)
            decided.add(part)
    return decided


async def _write_run(
    driver: Driver, ledger: Ledger, account: StatementAccount, run: Run, actor: str, now: datetime
) -> None:
    decided = run.decided
    row = (
        ledger.id, run.id, account.id, run.days.first, run.days.last, run.told_until, run.statement_opening,
        run.statement_closing, run.books_opening, run.books_closing, run.lines, decided.total, decided.breaks,
        decided.difference, decided.unexplained, run.resolved, actor, now,
        run.carried,
    )  # fmt: skip
    await driver.execute(_RUN, row)


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
