"""The results of the reconciliation benchmark as tables. Formats; measures nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ledger.money import format_minor_units
from ledger.reconciliation.matching import EXPLAINED
from tests.benchmarks.reconciliation import MATCHING, Results, Size
from tests.benchmarks.reporting import Report, Section, yes_or_no
from tests.benchmarks.statement_books import CURRENCY
from tests.benchmarks.statement_world import CHARGES_PAID, COLLECTIONS, DAYS, TAIL, UTILITY

_METHOD = """\
The simulated rail moves the money of {days} days: payouts, {collections:.0%} collections, reversals, their charges; it
writes the statements of its utility and charges-paid accounts. A loader books the same by COPY, as payouts and
receipts would have posted it, except where something was planted: payments by an insider, which the books were not
told of, entries that no statement shows, entries over another amount, another charge accrued. The statement ends
{tail:.0f} minutes before the books do. Each size is a PostgreSQL of its own with its shipped settings. Every step is a
command (`daftari statement import`, `reconcile run`, `adjustment propose` and `approve`) as a process of its own, its
start of about a second included."""
_FOUND_NOTE = """\
Lines that need nobody are those that a rule matched, or that moved nothing. Unexplained is what breaks differ by, added
up without signs; planted is what the benchmark put there. Awaited is what was booked so late that the statement could
not show it yet."""
_COST_NOTE = """\
Seconds are wall clock; processor time is user and system, of the command and of PostgreSQL. Memory is the most that the
command's process held resident, of which its own code and libraries are what the last day shows. The last week is a
statement all of whose lines are there already. The true-up is one entry for all charges of the charges-paid account
that were not booked as they were taken; its approval matches all days again before it posts."""


def reconciliation_report(results: Results, *, command: str) -> Report:
    """Everything found, in reading order."""
    sizes = results.sizes
    exact, agreeing = all(one.is_exact for one in sizes), all(one.verified.agrees for one in sizes)
    rebuilt = "; ".join(
        f"{one.verified.entries:,} entries and {one.verified.postings:,} postings rebuilt and compared, "
        f"{one.verified.differences_total:,} differences"
        for one in sizes
    )
    return Report(
        title="Reconciliation",
        command=command,
        method=_METHOD.format(days=DAYS, collections=COLLECTIONS, tail=TAIL.total_seconds() / 60),
        facts=results.facts,
        sections=[_found(sizes), _planted(sizes), _cost(sizes), *([_growth(sizes)] if len(sizes) > 1 else [])],
        verdict=f"Unexplained beside what was planted: {'nothing' if exact else 'something'}. The books: {rebuilt}.",
        sound=exact and agreeing,
    )


def _found(sizes: Sequence[Size]) -> Section:
    rows = []
    for one, account in itertools.product(sizes, (UTILITY, CHARGES_PAID)):
        told = one.step(f"{MATCHING}, {account}").told
        states = told["states"]
        breaks = sum(count for state, count in states.items() if state not in {each.value for each in EXPLAINED})
        shown = breaks - states.get("missing_there", 0)
        planted, unexplained = one.expected.get(account, 0), told["unexplained"]
        rows.append([
            f"{one.movements:,}", account, f"{told['lines']:,}", f"{1 - shown / told['lines']:.3%}", f"{breaks:,}",
            f"{states.get('awaited', 0):,}", format_minor_units(unexplained, CURRENCY),
            format_minor_units(planted, CURRENCY), format_minor_units(abs(unexplained - planted), CURRENCY),
            yes_or_no(unexplained == planted),
        ])  # fmt: skip
    columns = (
        ">movements", "statement", ">lines", ">lines that need nobody", ">breaks", ">awaited", ">unexplained, KES",
        ">planted, KES", ">beside them, KES", "exact",
    )  # fmt: skip
    return Section("What was found", columns, rows, _FOUND_NOTE)


def _planted(sizes: Sequence[Size]) -> Section:
    names = sorted(sizes[-1].planted)
    rows = [[name, *(f"{one.planted.get(name, 0):,}" for one in sizes)] for name in names]
    return Section(
        "Planted", ("what", *(f">{one.movements:,} movements" for one in sizes)), rows, "Reversals are booked, too."
    )


def _cost(sizes: Sequence[Size]) -> Section:
    rows = [
        [
            f"{one.movements:,}", step.name, f"{step.lines:,}", f"{step.seconds:,.1f}",
            f"{step.lines / step.seconds:,.0f}", f"{step.own_seconds:,.1f}", f"{step.postgresql_seconds:,.1f}",
            f"{step.megabytes:,.0f}",
        ]
        for one in sizes
        for step in one.steps
    ]  # fmt: skip
    columns = (
        ">movements", "step", ">lines", ">s", ">lines/s", ">processor, command, s", ">processor, PostgreSQL, s",
        ">command at most, MB",
    )  # fmt: skip
    return Section("What it took", columns, rows, _COST_NOTE)


def _growth(sizes: Sequence[Size]) -> Section:
    small, large = sizes[0], sizes[-1]
    rows = [
        [
            step.name, f"{after.lines / step.lines:,.1f}", f"{after.seconds / step.seconds:,.1f}",
            f"{after.processor_seconds / step.processor_seconds:,.1f}", f"{after.megabytes / step.megabytes:,.1f}",
        ]
        for step, after in zip(small.steps, large.steps, strict=True)
    ]  # fmt: skip
    columns = ("step", ">lines", ">seconds", ">processor", ">memory")
    return Section(f"Times as much at {large.movements:,} as at {small.movements:,} movements", columns, rows)
