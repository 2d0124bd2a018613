"""What an import and a run came to, as JSON says it. Pure."""

from __future__ import annotations

from ledger.ids import encode
from ledger.reconciliation.importing import Imported
from ledger.reconciliation.queries import RecordedRun
from ledger.reconciliation.run import PREFIX, Run


def imported_summary(one: Imported) -> dict[str, object]:
    """Amounts in minor units."""
    return {
        "import": encode("imp", one.import_id),
        "lines": one.lines,
        "added": one.added,
        "from": one.from_at.isoformat(),
        "until": one.until_at.isoformat(),
        "opening": one.opening,
        "closing": one.closing,
    }


def run_summary(run: Run) -> dict[str, object]:
    """Amounts in minor units."""
    return {
        "run": encode(PREFIX, run.id),
        "from": run.days.first.isoformat(),
        "until": run.days.last.isoformat(),
        "lines": run.lines,
        "states": {state.value: count for state, count in run.decided.states.items()},
        "breaks": run.decided.breaks,
        "unexplained": run.decided.unexplained,
        "opening_gap": run.opening_gap,
        "carried": run.carried,
        "agrees": run.agrees,
        "resolved": run.resolved,
        "statement_opening": run.statement_opening,
        "statement_closing": run.statement_closing,
        "books_opening": run.books_opening,
        "books_closing": run.books_closing,
        "difference": run.decided.difference,
    }


def recorded_summary(run: RecordedRun) -> dict[str, object]:
    """The same of a run as it was recorded, with who made it and when."""
    return {
        "run": encode(PREFIX, run.id),
        "account": run.path,
        "currency": run.currency,
        "from": run.first.isoformat(),
        "until": run.last.isoformat(),
        "lines": run.lines,
        "decisions": run.decisions,
        "breaks": run.breaks,
        "unexplained": run.unexplained,
        "opening_gap": run.opening_gap,
        "carried": run.carried,
        "agrees": run.agrees,
        "resolved": run.resolved,
        "statement_opening": run.statement_opening,
        "statement_closing": run.statement_closing,
        "books_opening": run.books_opening,
        "books_closing": run.books_closing,
        "difference": run.difference,
        "actor": run.actor,
        "recorded": run.recorded_at.isoformat(),
    }
