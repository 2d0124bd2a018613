"""`daftari loan`: the loans of a ledger, what one of them owes and how it came to that, and how late they are."""

from __future__ import annotations

from typing import Annotated

import typer

from api.commands.opening import run
from api.conversion.loan_terms import loan_id_of
from api.tables import console, table
from api.wiring import Application
from ledger.database import transaction
from ledger.ids import encode
from ledger.journal.books import find_ledger
from ledger.loans import queries
from ledger.loans.loan import State
from ledger.loans.queries import Age, LoanView, StatementLine
from ledger.money import format_minor_units

app = typer.Typer(help="Loans: who owes what, since when, and how late.", no_args_is_help=True)

LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="How many at most")]
_ID_MAX = 2**63 - 1
_PARTS = (">penalty", ">fee", ">interest", ">principal")


@app.command("list")
def list_command(
    ledger: LedgerCode,
    state: Annotated[list[State] | None, typer.Option(help="Only loans of this state; may be repeated")] = None,
    borrower: Annotated[str, typer.Option(help="Only loans of this borrower")] = "",
    lender: Annotated[str, typer.Option(help="Only loans of this lender's money")] = "",
    limit: LimitOption = 100,
) -> None:
    """Lists loans, newest first."""

    async def command(application: Application) -> list[LoanView]:
        async with transaction(application.engine) as connection:
            found = await find_ledger(connection, code=ledger)
            return await queries.list_loans(
                connection,
                ledger=found,
                states=state or (),
                borrower=borrower,
                lender=lender,
                before=_ID_MAX,
                limit=limit,
            )

    rows = [
        (one.loan.public_id, one.loan.borrower, one.loan.product.code, one.loan.state.value, one.loan.reference,
         str(one.loan.gross), _units(one, one.standing.outstanding.total.minor_units))
        for one in run(command)
    ]  # fmt: skip
    columns = ("loan", "borrower", "product", "state", "payers type", ">lent", ">outstanding")
    console().print(table(f"{len(rows)} loans", columns, rows))


@app.command("show")
def show_command(
    ledger: LedgerCode,
    loan: Annotated[str, typer.Argument(help="loan_ and 13 characters")],
    limit: LimitOption = 1000,
) -> None:
    """Shows a loan: what is open of each instalment, and its statement."""
    loan_id = loan_id_of(loan)

    async def command(application: Application) -> tuple[LoanView, list[StatementLine]]:
        async with transaction(application.engine) as connection:
            found = await find_ledger(connection, code=ledger)
            view = await queries.get_loan(connection, ledger=found, loan_id=loan_id)
            lines = await queries.list_statement_lines(connection, ledger=found, loan_id=loan_id, after=0, limit=limit)
            return view, lines

    view, lines = run(command)
    out, one = console(), view.loan
    out.print(f"{one.public_id} of {one.borrower}, {one.gross}, {one.state.value}; payers type {one.reference}")
    dues = [
        (str(due.number), due.due_on.isoformat(),
         *(_units(view, units) for units in (due.parts.penalty, due.parts.fee, due.parts.interest,
                                             due.parts.principal)))
        for due in view.dues
    ]  # fmt: skip
    out.print(table("Open by instalment", (">number", "due", *_PARTS), dues))
    entries = [
        (line.business_date.isoformat(), line.kind, line.reference, encode("ent", line.entry_id),
         *(_units(view, units) for units in (line.penalty, line.fee, line.interest, line.principal,
                                             line.deferred_fee, line.written_off)))
        for line in lines
    ]  # fmt: skip
    columns = ("date", "kind", "receipt", "entry", *_PARTS, ">fee unearned", ">written off")
    out.print(table("Statement: by how much more is owed after each entry", columns, entries))


@app.command("ageing")
def ageing_command(ledger: LedgerCode, limit: LimitOption = 1000) -> None:
    """How late the active loans are, latest first."""

    async def command(application: Application) -> list[Age]:
        async with transaction(application.engine) as connection:
            found = await find_ledger(connection, code=ledger)
            return await queries.list_ages(connection, ledger=found, after=0, limit=limit, now=application.now())

    ages = sorted(run(command), key=lambda age: -age.days)
    rows = [
        (age.loan.public_id, age.loan.borrower, str(age.days), age.bucket.value, str(age.overdue.total),
         str(age.outstanding.total))
        for age in ages
    ]  # fmt: skip
    columns = ("loan", "borrower", ">days late", "bucket", ">overdue", ">outstanding")
    console().print(table(f"{len(rows)} active loans", columns, rows))


def _units(view: LoanView, minor_units: int) -> str:
    return format_minor_units(minor_units, view.loan.net.currency)
