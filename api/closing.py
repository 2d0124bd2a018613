"""The report of a close as a document: what was signed, by whom, and what it rests on. Formats, never computes."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from api.documents import Cell, Document, Figure, Part, Row
from ledger.ids import encode
from ledger.journal.ageing import AGES
from ledger.journal.books import Ledger
from ledger.money import format_minor_units
from ledger.reconciliation.close_report import CloseReport
from ledger.reconciliation.closing import Closing
from ledger.reconciliation.run import PREFIX as RUN_PREFIX


def close_document(ledger: Ledger, report: CloseReport) -> Document:
    """Account by account: what the statement says, what the books say, what explains the difference, what is open."""
    rows = []
    for one in report.accounts:
        units = (one.statement, one.books, one.explained, one.open)
        figures = tuple("untold" if each is None else Figure(each, one.currency) for each in units)
        run = "none" if one.run_id is None else encode(RUN_PREFIX, one.run_id)
        rows.append(Row((one.path, one.currency, run, *figures, f"{one.items_count:,}")))
    columns = ("account", "currency", "run", ">statement", ">books", ">explained", ">open", ">open items")
    parts = (_items(ledger, report, accepted=False), _items(ledger, report, accepted=True), _clearing(report),
             _files(ledger, report))  # fmt: skip
    return Document(
        title="Close of the books" if report.signed else "Close of the books (not signed)",
        facts=_facts(ledger, report),
        columns=columns,
        rows=rows,
        parts=[part for part in parts if part.rows],
    )


def _facts(ledger: Ledger, report: CloseReport) -> tuple[tuple[str, str], ...]:
    totals = []
    for one in report.totals:
        debits, credits = (format_minor_units(units, one.currency) for units in (one.debits, one.credits))
        totals.append((f"trial balance, {one.currency}", f"{debits} debited, {credits} credited"))
    accepted = report.signed.reason if report.signed and report.signed.open_items else ""
    found = (
        ("ledger", f"{ledger.code} ({ledger.name})"),
        ("zone of the days", ledger.zone.key),
        (
            "days",
            f"{report.first} to {report.last}, both included" if report.first else f"everything through {report.last}",
        ),
        ("begun", _step(ledger, report.begun)),
        ("signed", _step(ledger, report.signed)),
        ("open items", f"{report.open_items:,}" if report.open_items else "none"),
        *([("accepted, because", accepted)] if accepted else []),
        *totals,
    )
    return tuple(found)


def _step(ledger: Ledger, step: Closing | None) -> str:
    return "by nobody yet" if step is None else f"by {step.actor}, {_moment(ledger, step.recorded_at)}"


def _items(ledger: Ledger, report: CloseReport, *, accepted: bool) -> Part:
    rows = []
    for account in report.accounts:
        for item in account.items:
            if item.is_accepted is accepted:
                when = "" if item.at is None else _moment(ledger, item.at)
                figure = Figure(item.difference, account.currency)
                rows.append(Row((account.path, when, item.receipt, item.what, item.reason, figure)))
    columns = ("account", "when", "receipt", "state", "why", ">difference")
    return Part("Explained by two persons" if accepted else "Open items", columns, rows)


def _clearing(report: CloseReport) -> Part:
    ends = [f"{first} to {after - 1}" for first, after in pairwise(AGES)]
    ages = [f">{label} days" for label in (*ends, f"{AGES[-1]} and more")]
    rows = []
    for one in report.clearing:
        figures: list[Cell] = [Figure(units, one.currency) for units in (one.balance, *one.parts)]
        rows.append(Row((one.number, one.path, one.currency, str(one.oldest), *figures)))
    return Part("Clearing accounts by age", ("number", "account", "currency", "oldest", ">balance", *ages), rows)


def _files(ledger: Ledger, report: CloseReport) -> Part:
    rows = [
        Row((one.path, one.name, _moment(ledger, one.from_at), _moment(ledger, one.until_at), one.sha256.hex(),
             f"{one.lines:,}"))
        for one in report.files
    ]  # fmt: skip
    return Part("Statements", ("account", "file", "from", "until", "SHA-256", ">lines"), rows)


def _moment(ledger: Ledger, at: datetime) -> str:
    return f"{at.astimezone(ledger.zone):%Y-%m-%d %H:%M}"
