"""What every run is held against as soon as it is made: the files that were taken in, the provider's own account, the
books. By plain SQL; shares no code with the ledger. S2, S3 and S4 of checks_of_statements."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.rows import DictRow, TupleRow, dict_row

from tests.simulation.account import CHARGES, UTILITY, Row
from tests.simulation.books import FLOAT
from tests.simulation.daraja import SHORTCODE, Daraja
from tests.simulation.expectations import Entry, Seen, expect
from tests.simulation.options import Options
from tests.simulation.statement_files import Exported, day_of, midnight

PATHS = {UTILITY: FLOAT, CHARGES: f"liab.provider_charges.daraja.{SHORTCODE}"}
EXPLAINED = ("matched", "no_movement", "awaited", "accepted")
_ACCEPTED: LiteralString = """
SELECT f.name, i.id FROM statement_imports AS i
JOIN statement_files AS f ON f.ledger_id = i.ledger_id AND f.id = i.file_id WHERE i.verdict = 'accepted'
"""
LINES: LiteralString = """
SELECT l.id, l.receipt, l.amount, l.completed_at FROM statement_lines AS l
JOIN accounts AS a ON a.ledger_id = l.ledger_id AND a.id = l.account_id WHERE a.path = %(path)s
"""
_RUNS: LiteralString = """
SELECT r.*, a.path FROM reconciliation_runs AS r JOIN accounts AS a ON a.ledger_id = r.ledger_id AND a.id = r.account_id
WHERE r.id <> ALL (%(known)s) ORDER BY r.id
"""
_DECISIONS: LiteralString = "SELECT * FROM reconciliation_decisions WHERE run_id = %(run)s ORDER BY number"
# What each entry moved on an account; a return's number is its own, and the receipt it undoes that of its entry.
ENTRIES: LiteralString = """
SELECT e.id, sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END)::bigint AS net, e.effective_at, e.business_date,
    e.reference, t.return_receipt, t.id IS NOT NULL AS is_return
FROM postings AS p JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
LEFT JOIN return_events AS v ON v.ledger_id = e.ledger_id AND v.entry_id = e.id
LEFT JOIN returns AS t ON t.ledger_id = v.ledger_id AND t.id = v.return_id
WHERE a.path = %(path)s GROUP BY 1, 3, 4, 5, 6, 7
HAVING sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END) <> 0 ORDER BY 1
"""
ADJUSTED: LiteralString = """
SELECT a.id, c.path, a.way, a.line_ids, a.entry_ids, a.difference, a.proposed_by, d.actor, d.entry_id, e.kind,
    (SELECT count(*) FROM journal_entries AS x WHERE x.ledger_id = a.ledger_id AND x.kind = 'reconciliation.adjusted'
        AND x.subject_id = adj.public_id) AS posted
FROM adjustments AS a JOIN accounts AS c ON c.ledger_id = a.ledger_id AND c.id = a.account_id
JOIN adjustment_decisions AS d ON d.ledger_id = a.ledger_id AND d.adjustment_id = a.id
LEFT JOIN journal_entries AS e ON e.ledger_id = d.ledger_id AND e.id = d.entry_id
LEFT JOIN LATERAL (SELECT e.subject_id AS public_id) AS adj ON true
WHERE d.approved
"""


@dataclass(slots=True)
class RunChecks:
    """Looks at runs as they are made, with what the provider knows."""

    session: psycopg.Connection[TupleRow]
    daraja: Daraja
    files: Mapping[str, Exported]
    options: Options
    _known: set[int] = field(default_factory=set)

    def taken_in(self) -> dict[str, int]:
        """The names of the files that were, each with the number of its import."""
        return {row["name"]: row["id"] for row in self.rows(_ACCEPTED)}

    def look_at_runs(self) -> list[str]:
        """Those that were not looked at."""
        found = []
        for run in self.rows(_RUNS, known=list(self._known)):
            self._known.add(run["id"])
            found += [f"{one}, in run {run['id']} of {run['path']}" for one in self._check_run(run)]
        return found

    def _check_run(self, run: DictRow) -> list[str]:
        (account,) = (name for name, path in PATHS.items() if path == run["path"])
        days = (run["from_date"], run["until_date"])
        shown = self.shown(account)
        rows = [one for one in shown.values() if days[0] <= day_of(one.second) <= days[1]]
        lines = {row["id"]: (row["receipt"], row["amount"]) for row in self.rows(LINES, path=run["path"])}
        entries = [_entry(row) for row in self.rows(ENTRIES, path=run["path"])]
        decisions = self.rows(_DECISIONS, run=run["id"])
        found = self._check_figures(run, account, rows, entries)
        found += _check_sums(run, decisions)
        found += [
            f"S9 {one['receipt']} proves a payout, and is let be" for one in decisions if one["state"] == "resolves"
        ]
        booked = [one for one in entries if days[0] <= one.day <= days[1]]
        found += _check_each_once(decisions, rows, booked, lines)
        own = {one.id: one for one in entries}
        by_key = {one.key: one for one in rows}
        for one in decisions:
            mine = [by_key[lines[each]] for each in one["line_ids"] if lines.get(each) in by_key]
            found += _check_pairing(one, mine, [own[each] for each in one["entry_ids"] if each in own])
        return found + self._check_open(run, account, rows, entries, decisions, lines)

    def shown(self, account: str) -> dict[tuple[str, int], Row]:
        """All rows of the account that files which were taken in show."""
        accepted = self.taken_in()
        return {
            row.key: row
            for name, file in self.files.items()
            if name in accepted and file.account == account
            for row in file.rows
        }

    def _check_figures(self, run: DictRow, account: str, rows: Sequence[Row], entries: Sequence[Entry]) -> list[str]:
        """S2: the statement's closing is that of the file that reaches furthest, less what came after the days."""
        first, last = run["from_date"], run["until_date"]
        end = midnight(last + timedelta(days=1))
        accepted = self.taken_in()
        files = [one for name, one in self.files.items() if name in accepted and one.account == account]
        reaching = [one for one in files if one.since < end and one.until >= midnight(first)]
        newest = max(reaching, key=lambda one: (one.until, accepted[one.name]))
        after = sum(one.cents for one in self.shown(account).values() if end <= one.second <= newest.until)
        closing = newest.closing - after
        before = sum(one.net for one in entries if one.day < first)
        moved = sum(one.net for one in entries if first <= one.day <= last)
        told = sum(one.cents for one in rows)
        wanted = {
            "lines": len(rows),
            "statement_closing": closing,
            "statement_opening": closing - told,
            "books_opening": before,
            "books_closing": before + moved,
            "difference": told - moved,
        }
        return [f"S2 {name} is {run[name]}, not {value}" for name, value in wanted.items() if run[name] != value]

    def _check_open(
        self,
        run: DictRow,
        account: str,
        rows: Sequence[Row],
        entries: Sequence[Entry],
        decisions: Sequence[DictRow],
        lines: Mapping[int, tuple[str, int]],
    ) -> list[str]:
        """S4."""
        adjusted = [row for row in self.rows(ADJUSTED) if row["path"] == run["path"] and row["way"] != "receipt"]
        seen = Seen(
            first=run["from_date"],
            last=run["until_date"],
            told_until=run["told_until"],
            rows=rows,
            entries=entries,
            adjusted_rows={lines[each] for row in adjusted for each in row["line_ids"] if each in lines},
            adjusted_entries={each for row in adjusted for each in (*row["entry_ids"], row["entry_id"])},
            accrued=self._accrued(run) if account == UTILITY else {},
        )
        expected = expect(seen)
        told: dict[str, int] = defaultdict(int)
        for one in decisions:
            if one["state"] not in EXPLAINED:
                told[one["receipt"]] += one["difference"]
        return [
            f"S4 {receipt or 'a return'} is open over {told.get(receipt)}, the truth is {expected.get(receipt)}"
            for receipt in sorted(told.keys() | expected.keys())
            if told.get(receipt) != expected.get(receipt)
        ]

    def _accrued(self, run: DictRow) -> dict[str, int]:
        """What the books owe for each payment's fee by its receipt."""
        accrued: Counter[str] = Counter()
        for one in (_entry(row) for row in self.rows(ENTRIES, path=PATHS[CHARGES])):
            if run["from_date"] <= one.day <= run["until_date"] and one.reference:
                accrued[one.reference] -= one.net
        return accrued

    def rows(self, query: LiteralString, **parameters: Any) -> list[DictRow]:
        """What a query finds."""
        with self.session.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters or None).fetchall()


def _entry(row: DictRow) -> Entry:
    number = (row["return_receipt"] or "") if row["is_return"] else (row["reference"] or "")
    original = (row["reference"] or "") if row["is_return"] else ""
    return Entry(
        row["id"], row["net"], row["effective_at"], row["business_date"], number, original, row["reference"] or ""
    )


def _check_sums(run: DictRow, decisions: Sequence[DictRow]) -> list[str]:
    """S2: the report is what its decisions say."""
    breaks = [one for one in decisions if one["state"] not in EXPLAINED]
    wanted = {
        "decisions": len(decisions),
        "breaks": len(breaks),
        "unexplained": sum(abs(one["difference"]) for one in breaks),
        "difference": sum(one["difference"] for one in decisions),
    }
    return [
        f"S2 {name} is {run[name]}, its decisions say {value}" for name, value in wanted.items() if run[name] != value
    ]


def _check_each_once(
    decisions: Sequence[DictRow], rows: Sequence[Row], entries: Sequence[Entry], lines: Mapping[int, tuple[str, int]]
) -> list[str]:
    """S3."""
    keys = Counter(lines.get(each, ("", each)) for one in decisions for each in one["line_ids"])
    ids = Counter(each for one in decisions for each in one["entry_ids"])
    found = []
    if keys != Counter(one.key for one in rows):
        found.append(f"S3 its lines are {sorted(keys.elements())}, the statement has {sorted(one.key for one in rows)}")
    if ids != Counter(one.id for one in entries):
        found.append(f"S3 its entries are {sorted(ids.elements())}, the books have {sorted(one.id for one in entries)}")
    return found


def _check_pairing(decision: DictRow, rows: Sequence[Row], entries: Sequence[Entry]) -> list[str]:
    """S3: what is matched belongs together, unless two persons say so."""
    if decision["rule"] == "adjustment" or not rows or not entries:
        return []
    receipts = {one.receipt for one in rows} | {one.linked for one in rows if one.linked}
    return [
        f"S3 {one.number or one.original} is booked, and matched with {sorted(receipts)} by {decision['rule']}"
        for one in entries
        if (one.number or one.original) not in receipts
    ]
