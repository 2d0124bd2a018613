"""Reading runs as they were recorded: one, many, and what they decided. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import TupleRow

from ledger.database import Driver
from ledger.reconciliation.adjustment import RunNotFound
from ledger.reconciliation.matching import EXPLAINED, State
from ledger.session import text_array

_RUNS = """
SELECT r.id, a.path, a.currency, r.from_date, r.until_date, r.told_until, r.lines, r.decisions, r.breaks, r.difference,
    r.unexplained, r.statement_opening, r.statement_closing, r.books_opening, r.books_closing, r.carried, r.resolved,
    r.actor, r.recorded_at
FROM reconciliation_runs AS r JOIN accounts AS a ON a.ledger_id = r.ledger_id AND a.id = r.account_id
WHERE r.ledger_id = %(ledger)s
"""
_ONE = _RUNS + "AND r.id = %(run)s"
_LIST = _RUNS + "AND r.id < %(before)s AND (%(path)s = '' OR a.path = %(path)s) ORDER BY r.id DESC LIMIT %(limit)s"
_DECISIONS = """
SELECT number, state, rule, reason, happened_at, receipt, difference, cardinality(line_ids), entry_ids, payout_id
FROM reconciliation_decisions WHERE ledger_id = %(ledger)s AND run_id = %(run)s AND number > %(after)s
  AND (NOT %(breaks)s OR state <> ALL(%(explained)s::text[])) ORDER BY number LIMIT %(limit)s
"""
_EXPLAINED = text_array(sorted(one.value for one in EXPLAINED))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run as its row says; amounts in minor units of `currency`."""

    id: int
    path: str
    currency: str
    first: date
    last: date
    told_until: datetime
    lines: int
    decisions: int
    breaks: int
    difference: int
    unexplained: int
    statement_opening: int | None
    statement_closing: int | None
    books_opening: int
    books_closing: int
    carried: int
    resolved: int
    actor: str
    recorded_at: datetime

    @property
    def opening_gap(self) -> int | None:
        """What the statement held more than the books before the days, unexplained; None where it does not tell."""
        return None if self.statement_opening is None else self.statement_opening - self.books_opening - self.carried

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to look into."""
        return not self.breaks and not self.opening_gap


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """A decision as its row says; `lines` counts those of the statement that it is about."""

    number: int
    state: State
    rule: str
    reason: str
    at: datetime
    receipt: str
    difference: int
    lines: int
    entries: Sequence[int]
    payout_id: int | None

    @property
    def is_explained(self) -> bool:
        """Whether it needs nobody."""
        return self.state in EXPLAINED


async def read_run(driver: Driver, *, ledger_id: int, run_id: int) -> RecordedRun:
    """Raises RunNotFound."""
    row = await (await driver.execute(_ONE, {"ledger": ledger_id, "run": run_id})).fetchone()
    if row is None:
        raise RunNotFound("no such run in this ledger", field="run_id")
    return _run(row)


async def list_runs(driver: Driver, *, ledger_id: int, path: str, before: int, limit: int) -> list[RecordedRun]:
    """The newest below `before`, of the account of that path or, for "", of all."""
    values = {"ledger": ledger_id, "path": path, "before": before, "limit": limit}
    return [_run(row) for row in await (await driver.execute(_LIST, values)).fetchall()]


async def list_decisions(
    driver: Driver, *, ledger_id: int, run_id: int, only_breaks: bool, after: int, limit: int
) -> list[RecordedDecision]:
    """Those above the number `after`."""
    values = {
        "ledger": ledger_id, "run": run_id, "after": after, "breaks": only_breaks, "explained": _EXPLAINED,
        "limit": limit,
    }  # fmt: skip
    return [
        RecordedDecision(
            number=row[0], state=State(row[1]), rule=row[2], reason=row[3], at=row[4], receipt=row[5],
            difference=row[6], lines=row[7], entries=row[8], payout_id=row[9],
        )
        for row in await (await driver.execute(_DECISIONS, values)).fetchall()
    ]  # fmt: skip


def _run(row: TupleRow) -> RecordedRun:
    return RecordedRun(
        id=row[0], path=row[1], currency=row[2], first=row[3], last=row[4], told_until=row[5], lines=row[6],
        decisions=row[7], breaks=row[8], difference=row[9], unexplained=row[10], statement_opening=row[11],
        statement_closing=row[12], books_opening=row[13], books_closing=row[14], carried=row[15], resolved=row[16],
        actor=row[17], recorded_at=row[18],
    )  # fmt: skip
