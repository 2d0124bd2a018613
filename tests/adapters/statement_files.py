"""Statements for tests: the captured ones, and files written from rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from openpyxl import Workbook

from adapters.daraja.statement import COLUMNS
from adapters.statements import read_statement
from ledger.reconciliation.statement import Continuity, Heading, StatementLine

EXAMPLES = Path(__file__).parents[1] / "examples" / "daraja"
UTILITY = EXAMPLES / "statement-utility-600584-13col.csv"
CHARGES = EXAMPLES / "statement-charges-paid-600584-13col.csv"
WHOLE = EXAMPLES / "statement-all-600585-7col.csv"


def rows_of(path: Path) -> list[list[str]]:
    """The cells of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write_csv(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """The rows as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_xlsx(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """The rows as a workbook."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("transaction")
    for row in rows:
        sheet.append(list(row))
    book.save(path)
    return path


def read(path: Path) -> tuple[Heading, list[StatementLine]]:
    """A Daraja statement, its running balance checked."""
    statement = read_statement(path, COLUMNS, currency="KES")
    continuity = Continuity(statement.heading)
    lines = []
    for line in statement.lines:
        continuity.add(line)
        lines.append(line)
    continuity.check()
    return statement.heading, lines
