"""The books as documents: trial balance, balance sheet, income statement, general ledger. Formats, never computes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from rich.table import Table
from rich.text import Text

from api.documents import Cell, Document, Figure, Row, written
from api.tables import table
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.entries import ENTRY_PREFIX
from ledger.journal.entry import Side
from ledger.journal.financials import BalanceSheet, IncomeStatement, Section
from ledger.journal.general_ledger import LedgerAccount
from ledger.journal.trial_balance import TrialBalance

_STATEMENT = ("number", "account", "name", "currency", ">amount")
_NOW = "everything posted so far"


def trial_balance_document(ledger: Ledger, found: TrialBalance, *, on: date | None) -> Document:
    """Each account's debits and credits, and the totals that must be equal."""
    rows = []
    for line in found.lines:
        figures = tuple(Figure(units, line.currency) for units in (line.debits, line.credits, line.balance))
        rows.append(Row((line.number, line.path, line.name, line.currency, *figures, line.normal_side.name.lower())))
    for total in found.totals:
        label = "memorandum accounts" if total.is_memo else "all accounts"
        units = (total.debits, total.credits, total.debits - total.credits)
        figures = tuple(Figure(one, total.currency) for one in units)
        rows.append(Row(("", label, "", total.currency, *figures, ""), is_total=True))
    columns = ("number", "account", "name", "currency", ">debits", ">credits", ">balance", "normal side")
    return Document(title="Trial balance", facts=_facts(ledger, _until(on)), columns=columns, rows=rows)


def balance_sheet_document(ledger: Ledger, sheets: Sequence[BalanceSheet], *, on: date | None) -> Document:
    """Assets, and what stands against them, per currency."""
    rows: list[Row] = []
    for one in sheets:
        against = one.liabilities.total + one.equity.total + one.result
        rows += _section(one.assets, one.currency, "assets")
        rows += _section(one.liabilities, one.currency, "liabilities")
        rows += _section(one.equity, one.currency, "equity")
        rows.append(_total("result not closed into equity", one.currency, one.result))
        rows.append(_total("liabilities, equity and result", one.currency, against))
        rows.append(_total("difference", one.currency, one.difference))
    return Document(title="Balance sheet", facts=_facts(ledger, _until(on)), columns=_STATEMENT, rows=rows)


def income_statement_document(
    ledger: Ledger, statements: Sequence[IncomeStatement], *, from_date: date, until_date: date
) -> Document:
    """Income, expenses and what is left, per currency."""
    rows: list[Row] = []
    for one in statements:
        rows += _section(one.income, one.currency, "income")
        rows += _section(one.expenses, one.currency, "expenses")
        rows.append(_total("result", one.currency, one.result))
    facts = _facts(ledger, _period(from_date, until_date))
    return Document(title="Income statement", facts=facts, columns=_STATEMENT, rows=rows)


def general_ledger_document(
    ledger: Ledger, accounts: Sequence[LedgerAccount], *, from_date: date, until_date: date
) -> Document:
    """Every account's lines between its opening and its closing balance, and what was debited and credited in all."""
    rows: list[Row] = []
    for one in accounts:
        rows.append(_balance_row("opening", one, one.opening))
        for line in one.lines:
            sides = _sides(line.side, line.minor_units, one.currency)
            about = (encode(ENTRY_PREFIX, line.entry_id), line.kind, line.reference or "")
            balance = Figure(line.balance_after, one.currency)
            rows.append(Row((one.number, one.path, str(line.business_date), *about, one.currency, *sides, balance)))
        rows.append(_balance_row("closing", one, one.closing))
    rows += _moved(accounts)
    columns = ("number", "account", "date", "entry", "kind", "reference", "currency", ">debit", ">credit", ">balance")
    facts = _facts(ledger, _period(from_date, until_date))
    return Document(title="General ledger", facts=facts, columns=columns, rows=rows)


def document_table(document: Document) -> Table:
    """A document for the terminal."""
    (drawn,) = document_tables(document)
    return drawn


def document_tables(document: Document) -> list[Table]:
    """A document of several tables."""
    found = []
    for part in document.tables:
        drawn = table(part.title or document.title, part.columns, ())
        for row in part.rows:
            drawn.add_row(*(Text(written(cell)) for cell in row.cells), style="bold" if row.is_total else None)
        found.append(drawn)
    return found


def _section(section: Section, currency: str, label: str) -> list[Row]:
    lines = [Row((line.number, line.path, line.name, currency, Figure(line.minor_units, currency)))
             for line in section.lines]  # fmt: skip
    return [*lines, _total(label, currency, section.total)]


def _total(label: str, currency: str, units: int) -> Row:
    return Row(("", label, "", currency, Figure(units, currency)), is_total=True)


def _balance_row(label: str, one: LedgerAccount, units: int) -> Row:
    figure = Figure(units, one.currency)
    return Row((one.number, one.path, "", "", label, "", one.currency, "", "", figure), is_total=True)


def _moved(accounts: Sequence[LedgerAccount]) -> list[Row]:
    lines = [(one.currency, line) for one in accounts for line in one.lines]
    totals = {(currency, side): 0 for currency in sorted({own for own, _ in lines}) for side in Side}
    for currency, line in lines:
        totals[currency, line.side] += line.minor_units
    return [
        Row(("", f"{side.name.lower()}s", "", "", "", "", currency, *_sides(side, units, currency), ""), is_total=True)
        for (currency, side), units in totals.items()
    ]


def _sides(side: Side, units: int, currency: str) -> tuple[Cell, Cell]:
    figure = Figure(units, currency)
    return (figure, "") if side is Side.DEBIT else ("", figure)


def _facts(ledger: Ledger, days: str) -> tuple[tuple[str, str], ...]:
    named = f"{ledger.code} ({ledger.name})"
    return (("ledger", named), ("zone of the days", ledger.zone.key), ("days", days))


def _until(on: date | None) -> str:
    return _NOW if on is None else f"until the end of {on}"


def _period(from_date: date, until_date: date) -> str:
    return f"{from_date} to {until_date - timedelta(days=1)}, both included"
