"""The books as documents: trial balance, balance sheet, income statement, general ledger. Formats, never computes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from rich.table import Table
from rich.text import Text

from api.documents import Cell, Document, Figure, Row, written
from api.tables import table
from ledger.finance.ageing import BUCKET_NAMES, ClearingAge
from ledger.finance.daily import DayLine, Part
from ledger.finance.forecast import DAYS, FloatForecast
from ledger.finance.partner_statements import PartnerStatement
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


def ageing_document(ledger: Ledger, ages: Sequence[ClearingAge], *, now: datetime) -> Document:
    """What lies in clearing accounts, by how long; what no open item explains has a column of its own."""
    rows = [
        Row((
            one.path, one.name, one.currency, one.basis.value, str(one.items),
            *(Figure(units, one.currency) for units in (*one.buckets, one.beside_items, one.minor_units)),
            _moment(ledger, one.oldest_at) if one.oldest_at else "",
        ))
        for one in ages
    ]  # fmt: skip
    columns = (
        "account", "name", "currency", "by", ">items", *(f">{name}" for name in BUCKET_NAMES), ">beside items",
        ">balance", "oldest",
    )  # fmt: skip
    facts = _facts(ledger, _at(ledger, now))
    return Document(title="Ageing of clearing accounts", facts=facts, columns=columns, rows=rows)


def forecast_document(ledger: Ledger, forecasts: Sequence[FloatForecast], *, now: datetime) -> Document:
    """How long each float lasts."""
    rows = [
        Row((
            one.path, one.currency,
            *(Figure(units, one.currency) for units in (
                one.balance, one.queued, one.in_flight, one.available, one.moving, one.outflow_a_day)),
            _hours(one.minutes_left),
        ))
        for one in forecasts
    ]  # fmt: skip
    columns = (
        "account", "currency", ">balance", ">queued", ">in flight", ">available", ">moving", ">leaves a day",
        ">hours left",
    )  # fmt: skip
    facts = (
        *_facts(ledger, _at(ledger, now)),
        ("forecast", f"queued and in flight leave, then the average of the last {DAYS} whole days; nothing comes in"),
    )
    return Document(title="Float position and forecast", facts=facts, columns=columns, rows=rows)


def daily_document(ledger: Ledger, lines: Sequence[DayLine], *, day: date) -> Document:
    """One business date; totals of debits and credits per currency are those of all entries."""
    rows: list[Row] = []
    for one in lines:
        figures = [
            "" if units is None else Figure(units, one.currency)
            for units in (one.opening, one.debits, one.credits, one.closing)
        ]
        count = "" if one.count is None else str(one.count)
        rows.append(Row((one.part.value, one.name, one.currency, count, *figures)))
    for currency in sorted({one.currency for one in lines if one.part is Part.ENTRIES}):
        own = [one for one in lines if one.part is Part.ENTRIES and one.currency == currency]
        debits, credits = sum(one.debits or 0 for one in own), sum(one.credits or 0 for one in own)
        count = str(sum(one.count or 0 for one in own))
        both = (Figure(debits, currency), Figure(credits, currency))
        rows.append(Row(("all entries", "", currency, count, "", *both, ""), is_total=True))
    columns = ("part", "what", "currency", ">count", ">opening", ">debits", ">credits", ">closing")
    return Document(title="Daily summary", facts=_facts(ledger, str(day)), columns=columns, rows=rows)


def partner_document(ledger: Ledger, statement: PartnerStatement) -> Document:
    """A partner's lines between opening and closing balance, then what they come to by kind."""
    currency = statement.currency

    def figures(*units: int) -> tuple[Figure, ...]:
        return tuple(Figure(one, currency) for one in units)

    rows = [Row(("", "", "opening", "", "", "", "", "", *figures(statement.opening)), is_total=True)]
    for one in statement.lines:
        about = (one.kind, one.about, one.reference, one.payee)
        money = figures(one.amount, one.fee, one.balance_after)
        rows.append(Row((str(one.business_date), encode(ENTRY_PREFIX, one.entry_id), *about, *money)))
    for total in statement.totals:
        label = ("", f"{total.count} in all", total.kind, "", "", "")
        rows.append(Row((*label, *figures(total.amount, total.fee), ""), is_total=True))
    label = ("", f"{len(statement.lines)} in all", "all kinds", "", "", "")
    moved = figures(sum(one.amount for one in statement.lines), sum(one.fee for one in statement.lines))
    rows.append(Row((*label, *moved, ""), is_total=True))
    rows.append(Row(("", "", "closing", "", "", "", "", "", *figures(statement.closing)), is_total=True))
    columns = ("date", "entry", "kind", "about", "reference", "payee", ">amount", ">fee", ">balance")
    facts = (
        ("partner", f"{statement.partner.code} ({statement.partner.name})"),
        ("currency", currency),
        *_facts(ledger, _period(statement.from_date, statement.until_date)),
    )
    return Document(title="Partner statement", facts=facts, columns=columns, rows=rows)


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


def _moment(ledger: Ledger, at: datetime) -> str:
    return f"{at.astimezone(ledger.zone):%Y-%m-%d %H:%M}"


def _at(ledger: Ledger, now: datetime) -> str:
    return f"as of {_moment(ledger, now)}"


def _hours(minutes: int | None) -> str:
    return "nothing left lately" if minutes is None else f"{minutes // 60}:{minutes % 60:02}"


def _until(on: date | None) -> str:
    return _NOW if on is None else f"until the end of {on}"


def _period(from_date: date, until_date: date) -> str:
    return f"{from_date} to {until_date - timedelta(days=1)}, both included"
