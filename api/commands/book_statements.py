"""What `daftari books` prints for finance, on the screen or as a file to keep: trial balance to partner statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.documents import Document, write_document
from api.finance import (
    ageing_document,
    balance_sheet_document,
    daily_document,
    document_table,
    forecast_document,
    general_ledger_document,
    income_statement_document,
    partner_document,
    trial_balance_document,
)
from api.tables import console
from api.wiring import Application
from ledger.database import driver, transaction
from ledger.errors import ChoiceInvalid, TimeInvalid
from ledger.finance.ageing import clearing_ages
from ledger.finance.daily import day_lines
from ledger.finance.forecast import float_forecasts
from ledger.finance.partner_statements import partner_statement
from ledger.journal import books
from ledger.journal.books import Ledger
from ledger.journal.financials import balance_sheets, income_statements
from ledger.journal.general_ledger import general_ledger
from ledger.journal.trial_balance import TrialBalance, trial_balance, trial_balance_between, trial_balance_on
from ledger.partners import find_partner

_DAY = ["%Y-%m-%d"]
Code = Annotated[str, typer.Argument(help="Ledger")]
On = Annotated[datetime | None, typer.Option(formats=_DAY, help="Up to the end of this date")]
First = Annotated[datetime, typer.Option("--from", formats=_DAY, help="The first day")]
Last = Annotated[datetime, typer.Option("--to", formats=_DAY, help="The last day")]
Out = Annotated[Path | None, typer.Option(help="Write a .csv, .xlsx or .pdf instead of printing")]


def trial_balance_command(code: Code, on: On = None, out: Out = None) -> None:
    """Prints every account's debits and credits; exits 1 unless they are equal."""

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        found = await _trial_balance(connection, ledger, on)
        return trial_balance_document(ledger, found, on=_date(on)), found.is_balanced

    _show(code, read, out)


def balance_sheet_command(code: Code, on: On = None, out: Out = None) -> None:
    """Prints assets, liabilities, equity and the result per currency; exits 1 unless they are equal."""

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        sheets = balance_sheets((await _trial_balance(connection, ledger, on)).lines)
        document = balance_sheet_document(ledger, sheets, on=_date(on))
        return document, all(sheet.difference == 0 for sheet in sheets)

    _show(code, read, out)


def income_statement_command(code: Code, first: First, last: Last, out: Out = None) -> None:
    """Prints income, expenses and the result of some days per currency."""
    from_date, until_date = _days(first, last)

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        moved = await trial_balance_between(connection, ledger_id=ledger.id, from_date=from_date, until_date=until_date)
        statements = income_statements(moved.lines)
        return income_statement_document(ledger, statements, from_date=from_date, until_date=until_date), True

    _show(code, read, out)


def general_ledger_command(
    code: Code,
    first: First,
    last: Last,
    account: Annotated[str, typer.Option(help="Only this account path: an account statement")] = "",
    out: Out = None,
) -> None:
    """Prints the lines of some days, account by account, between opening and closing balances."""
    from_date, until_date = _days(first, last)

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        accounts = await general_ledger(
            connection, ledger_id=ledger.id, from_date=from_date, until_date=until_date, path=account or None
        )
        return general_ledger_document(ledger, accounts, from_date=from_date, until_date=until_date), True

    _show(code, read, out)


def ageing_command(code: Code, out: Out = None) -> None:
    """Prints what lies in clearing accounts, by how long; exits 1 where an account holds what no open item explains."""

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        ages = await clearing_ages(await driver(connection), ledger_id=ledger.id, now=now)
        return ageing_document(ledger, ages, now=now), not any(one.beside_items for one in ages)

    _show(code, read, out)


def floats_command(code: Code, out: Out = None) -> None:
    """Prints what each float holds, what is about to leave it, and how long it lasts."""

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        forecasts = await float_forecasts(await driver(connection), ledger=ledger, now=now)
        return forecast_document(ledger, forecasts, now=now), True

    _show(code, read, out)


def daily_command(code: Code, day: Annotated[datetime, typer.Option("--on", formats=_DAY)], out: Out = None) -> None:
    """Prints one business date: entries by kind, bank, float and clearing accounts, income and expenses, runs."""

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        lines = await day_lines(await driver(connection), ledger_id=ledger.id, day=day.date())
        return daily_document(ledger, lines, day=day.date()), True

    _show(code, read, out)


def partner_statement_command(
    code: Code, partner: Annotated[str, typer.Argument(help="Partner code")], first: First, last: Last, out: Out = None
) -> None:
    """Prints a partner's payouts, collections, fees and balance of some days."""
    from_date, until_date = _days(first, last)

    async def read(connection: AsyncConnection, ledger: Ledger, now: datetime) -> tuple[Document, bool]:
        found = await find_partner(connection, ledger_id=ledger.id, code=partner)
        statement = await partner_statement(
            await driver(connection), ledger_id=ledger.id, partner=found, from_date=from_date, until_date=until_date
        )
        return partner_document(ledger, statement), True

    _show(code, read, out)


def _show(
    code: str, read: Callable[[AsyncConnection, Ledger, datetime], Awaitable[tuple[Document, bool]]], out: Path | None
) -> None:
    async def command(application: Application) -> bool:
        async with transaction(application.engine) as connection:
            ledger = await books.find_ledger(connection, code=code)
            document, is_balanced = await read(connection, ledger, application.now())
        if out is None:
            console().print(document_table(document))
            head = "; ".join(f"{label}: {value}" for label, value in document.head)
            console().print(head, soft_wrap=True, markup=False)
        else:
            write(document, out)
            rows = dict(document.head)["rows"]
            console().print(f"{document.title.lower()} of {ledger.code}: {rows} rows in {out}", soft_wrap=True)
        return is_balanced

    if not run(command):
        raise typer.Exit(1)


def write(document: Document, out: Path) -> None:
    """The file, whose name says the form. Raises ChoiceInvalid."""
    try:
        write_document(document, out)
    except OSError as error:
        raise ChoiceInvalid(f"cannot write {out}: {error.strerror}", field="out") from error


async def _trial_balance(connection: AsyncConnection, ledger: Ledger, on: datetime | None) -> TrialBalance:
    if on is None:
        return await trial_balance(connection, ledger_id=ledger.id)
    return await trial_balance_on(connection, ledger_id=ledger.id, business_date=on.date())


def _date(on: datetime | None) -> date | None:
    return None if on is None else on.date()


def _days(first: datetime, last: datetime) -> tuple[date, date]:
    """Half open. Raises TimeInvalid."""
    if last < first:
        raise TimeInvalid("the last day is before the first", field="to")
    return first.date(), last.date() + timedelta(days=1)
