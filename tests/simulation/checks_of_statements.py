"""The judge of statements, by plain SQL and the provider's own account. Shares no code with the ledger.

S1 whole files go in and torn ones do not, every row once; S2 a run's figures are those of the files and the books; S3
each line and each entry is in one decision, and none beside another's; S4 what a run leaves open is, receipt by receipt
and to the cent, what the truth says differs; S5 adjustments are approved by another, and post once what was proposed;
S6 what is signed does not change; S7 after a cycle nothing is open, and the books hold what the provider does; S8 doing
it again changes nothing; S9 what a statement shows of a payout that bears our reference is settled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any, LiteralString

from psycopg.rows import DictRow

from tests.simulation.account import CHARGES, FEE, PAYOUT, THEFT, UTILITY
from tests.simulation.books import FLOAT
from tests.simulation.checker import Witness
from tests.simulation.checks_of_money_in import MoneyInChecker
from tests.simulation.checks_of_runs import ADJUSTED, ENTRIES, LINES, PATHS, RunChecks
from tests.simulation.daraja import OPENING_UTILITY_CENTS, Movement

_ADJUSTING: LiteralString = "SELECT count(*) AS entries FROM journal_entries WHERE kind = 'reconciliation.adjusted'"
_SIGNED: LiteralString = "SELECT id, last_date FROM closings WHERE step = 'signed' ORDER BY id"
_SIGNED_ACCOUNTS: LiteralString = "SELECT * FROM closing_accounts WHERE closing_id = %(closing)s"
_TRIAL: LiteralString = """
SELECT a.path, sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END)::bigint AS net, count(*) AS postings
FROM postings AS p JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
WHERE e.business_date <= %(last)s GROUP BY 1
"""
_PAYOUTS: LiteralString = "SELECT provider_reference, state, receipt FROM payouts"
# Learned by asking what became of a receipt: nobody told when, nor under which number, so that it is not booked on its
# own day, and only runs over both days see that it is the same.
_NUMBERLESS: LiteralString = "SELECT FROM returns WHERE unasked AND return_receipt IS NULL"
_KEPT: LiteralString = """
SELECT (SELECT count(*) FROM journal_entries) AS entries, (SELECT count(*) FROM statement_lines) AS lines,
    (SELECT count(*) FROM adjustments) AS adjustments, (SELECT count(*) FROM reviews) AS reviews
"""
_COUNTS: LiteralString = """
SELECT 'statements taken in', count(*) FROM statement_imports WHERE verdict = 'accepted'
UNION ALL SELECT 'statements refused', count(*) FROM statement_imports WHERE verdict = 'refused'
UNION ALL SELECT 'statement lines', count(*) FROM statement_lines
UNION ALL SELECT 'runs', count(*) FROM reconciliation_runs
UNION ALL SELECT 'breaks in runs', coalesce(sum(breaks), 0) FROM reconciliation_runs
UNION ALL SELECT 'payouts told by a statement', coalesce(sum(resolved), 0) FROM reconciliation_runs
UNION ALL SELECT 'adjustments approved', count(*) FROM adjustment_decisions WHERE approved
UNION ALL SELECT 'adjustments rejected', count(*) FROM adjustment_decisions WHERE NOT approved
UNION ALL SELECT 'closes ' || step, count(*) FROM closings GROUP BY step
"""


@dataclass(slots=True)
class StatementWatch(RunChecks):
    """Looks at closes as they are made, too, and at everything in the end."""

    first: date = date.min
    _signed: dict[int, tuple[date, dict[str, tuple[int, int]]]] = field(default_factory=dict)
    _mark: tuple[Any, ...] = ()

    def begin(self, first: date) -> None:
        """The first day that statements are about."""
        self.first = first

    def counts(self) -> dict[str, int]:
        """For the tables."""
        return {name: int(count) for name, count in self.session.execute(_COUNTS).fetchall()}

    def newest_runs(self) -> list[int]:
        """Of each account."""
        rows = self.rows("SELECT max(id) AS id FROM reconciliation_runs GROUP BY account_id ORDER BY 1")
        return [row["id"] for row in rows]

    def agrees(self, first: date, last: date) -> bool:
        """Whether the newest runs are about these days, and left nothing open."""
        query = """
        SELECT r.*, r.statement_opening - r.books_opening - r.carried AS gap FROM reconciliation_runs AS r
        WHERE r.id = ANY (%(runs)s)"""
        runs = self.rows(query, runs=self.newest_runs())
        wanted = (first, last)
        return all(
            (one["from_date"], one["until_date"]) == wanted and not one["breaks"] and not one["gap"] for one in runs
        )

    # Closes.

    def look_at_closes(self) -> list[str]:
        """S6: what was signed is kept, with what each account then held; and whatever was kept stands."""
        found = []
        for row in self.rows(_SIGNED):
            if row["id"] not in self._signed:
                self._signed[row["id"]] = row["last_date"], self._trial(row["last_date"])
                found += self._check_signed(row)
        for last, before in self._signed.values():
            now = self._trial(last)
            found += [
                f"S6 {path} held {before.get(path)} at the end of {last}, which is signed, and now {now.get(path)}"
                for path in sorted(before.keys() | now.keys())
                if before.get(path) != now.get(path)
            ]
        return found

    def _check_signed(self, signed: DictRow) -> list[str]:
        trial = self._trial(signed["last_date"])
        paths = {row["id"]: row["path"] for row in self.rows("SELECT id, path FROM accounts")}
        found = []
        for row in self.rows(_SIGNED_ACCOUNTS, closing=signed["id"]):
            path = paths[row["account_id"]]
            if row["books_closing"] != trial.get(path, (0, 0))[0]:
                found.append(f"S6 {path} is signed over {row['books_closing']}, the books hold {trial.get(path)}")
            if row["statement_closing"] is None:
                continue
            if row["statement_closing"] - row["books_closing"] != row["explained"] + row["open"]:
                found.append(f"S6 {path} is signed with a difference that is neither explained nor open")
        return found

    def _trial(self, last: date) -> dict[str, tuple[int, int]]:
        return {row["path"]: (row["net"], row["postings"]) for row in self.rows(_TRIAL, last=last)}

    # The end.

    def mark(self) -> list[str]:
        """S7: the statement and the books agree; so do the books and the provider."""
        self._mark = self._kept()
        held = self._trial(date.max)
        rows = self.daraja.account.rows
        wanted = {FLOAT: self.daraja.utility_cents}
        wanted[PATHS[CHARGES]] = sum(one.cents for one in rows if one.account == CHARGES)
        found = [
            f"S7 {path} holds {held.get(path, (0, 0))[0]}, the provider {cents}"
            for path, cents in wanted.items()
            if held.get(path, (0, 0))[0] != cents
        ]
        own = OPENING_UTILITY_CENTS + sum(one.cents for one in rows if one.account == UTILITY)
        return found + ([] if own == self.daraja.utility_cents else [f"S0 the provider's own account adds up to {own}"])

    def unmoved(self) -> list[str]:
        """S8: files taken in again and runs made again moved nothing, and agree day by day."""
        known = not self.rows(_NUMBERLESS)
        found = (
            [f"S8 it moved something: {self._mark} is {self._kept()}"] if known and self._kept() != self._mark else []
        )
        query = """
        SELECT DISTINCT ON (account_id, from_date, until_date) *,
            statement_opening - books_opening - carried AS gap FROM reconciliation_runs
        ORDER BY account_id, from_date, until_date, id DESC"""
        last = max(row["until_date"] for row in self.rows("SELECT until_date FROM reconciliation_runs"))
        for run in self.rows(query):
            single = known and run["from_date"] == run["until_date"]
            whole = (run["from_date"], run["until_date"]) == (self.first, last)
            if (single or whole) and (run["breaks"] or run["gap"]):
                found.append(
                    f"S8 {run['from_date']} to {run['until_date']} was put right, and is open over {run['unexplained']}"
                    f" with a gap of {run['gap']}"
                )
        return found

    def _kept(self) -> tuple[Any, ...]:
        (row,) = self.rows(_KEPT)
        return tuple(row.values())

    def at_the_end(self) -> list[str]:
        """S1, S5, S6 and S9."""
        found = self.look_at_closes()
        for account, path in PATHS.items():
            own = self.shown(account)
            lines = Counter((row["receipt"], row["amount"]) for row in self.rows(LINES, path=path))
            found += [f"S1 {key} of {account} is there {times} times" for key, times in lines.items() if times > 1]
            found += [f"S1 {key} of {account} was shown, and is not there" for key in own if key not in lines]
            found += [f"S1 {key} of {account} is there, and no file shows it" for key in lines if key not in own]
        return found + self._check_adjustments() + self._check_settled() + self._check_alarms()

    def _check_alarms(self) -> list[str]:
        """S4: somebody is told of each payment that nobody ordered, once."""
        told = Counter(
            row["reason"].partition(" under receipt ")[2].partition(",")[0]
            for row in self.rows("SELECT reason FROM reviews WHERE queue = 'unledgered-movement'")
        )
        stolen = [one for one in self.shown(UTILITY).values() if one.kind == THEFT]
        return [f"S4 {one.receipt} left, and nobody is alarmed" for one in stolen if not told[one.receipt]]

    def _check_adjustments(self) -> list[str]:
        adjusted = self.rows(ADJUSTED)
        nets = {path: {one["id"]: one["net"] for one in self.rows(ENTRIES, path=path)} for path in PATHS.values()}
        found = []
        for row in adjusted:
            if row["actor"] == row["proposed_by"]:
                found.append(f"S5 {row['id']} was approved by who proposed it")
            moved = [own[row["entry_id"]] for own in nets.values() if row["entry_id"] in own]
            if row["way"] == "entry" and row["difference"] not in moved:
                found.append(f"S5 {row['id']} explains {row['difference']}, its entry moved {moved}")
            if row["way"] == "entry" and row["posted"] != 1:
                found.append(f"S5 {row['id']} is posted {row['posted']} times")
        (count,) = self.rows(_ADJUSTING)
        own = sum(1 for row in adjusted if row["way"] == "entry")
        return found + (
            [] if count["entries"] == own else [f"S5 {count['entries']} entries adjust, {own} were approved"]
        )

    def _check_settled(self) -> list[str]:
        """S9: the payouts that a row names by our reference."""
        if not self.options.refuses_repeats:
            return []
        shown = {one.receipt for one in self.shown(UTILITY).values() if one.kind == PAYOUT}
        payouts = {row["provider_reference"]: row for row in self.rows(_PAYOUTS)}
        return [
            f"S9 {one.reference} was paid under {one.receipt}, a statement shows it, and it is {state}"
            for one in self.daraja.movements
            if one.receipt in shown
            and (state := payouts[one.reference]["state"]) not in ("SETTLED", "CONFLICTED")
            and not self._was_decided(one)
        ]

    def _was_decided(self, movement: Movement) -> bool:
        """Whether its late money was booked, and a person said whose it is."""
        query = "SELECT FROM journal_entries WHERE reference = %s AND kind = 'payout.late_success'"
        return bool(self.session.execute(query, (movement.receipt,)).rowcount)


class StatementChecker(MoneyInChecker):
    """The judge of everything else, at the end: what holds of money in, and of what partners wish."""

    def everything(self, witness: Witness) -> list[str]:
        """All invariants, once everything should have ended."""
        found = super().everything(witness)
        known = {row["id"] for row in self._payouts()}
        for wish in witness.wishes:
            if len(set(wish.answers)) > 1 or wish.broken or wish.is_open:
                found.append(f"I8 {wish.request_id} was answered {wish.answers}, and refused {wish.broken}")
            if not set(wish.answers) <= known:
                found.append(f"I11 the payout of {wish.request_id} is gone")
        answered = {one for wish in witness.wishes for one in wish.answers}
        return found + [f"I8 nobody was told of payout {one}" for one in sorted(known - answered)]

    def _may_be_missing(self, *_: Any) -> bool:
        """The statement shows whatever nobody told."""
        return False

    def _check_whole_float(self, *_: Any) -> list[str]:
        """The statement has the last word on it: S7. What it alarms about left past the books."""
        strange = {one.receipt for one in self._daraja.account.rows if one.kind != FEE and one.cents < 0}
        return [
            f"S4 an alarm about {receipt}, under which nothing left"
            for case in self._money_cases()
            if case["queue"] == "unledgered-movement" and " under receipt " in case["reason"]
            and (receipt := case["reason"].partition(" under receipt ")[2].partition(",")[0]) not in strange
        ]  # fmt: skip
