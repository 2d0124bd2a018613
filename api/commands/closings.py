"""`daftari close`: business dates are closed, begun by one person and signed by another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.closing import close_document
from api.commands.book_statements import write
from api.commands.opening import run
from api.documents import Document
from api.finance import document_tables
from api.tables import console, table
from api.wiring import Application
from ledger.database import Driver, driver
from ledger.database import run as run_transaction
from ledger.journal.books import Ledger, find_ledger
from ledger.reconciliation.close_report import CloseReport, read_close_report
from ledger.reconciliation.closing import RACING_CONSTRAINTS, CloseDesk, Closing, list_closings

app = typer.Typer(help="Business dates are closed: begun by one person, signed by another.", no_args_is_help=True)

LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
Actor = Annotated[str, typer.Option(help="Who does it")]
_DAY = ["%Y-%m-%d"]
_Result = TypeVar("_Result")
_Command: TypeAlias = Callable[[CloseDesk, Driver, Ledger, datetime], Awaitable[_Result]]


@app.command("begin")
def begin_command(
    ledger: LedgerCode,
    *,
    through: Annotated[datetime, typer.Option(formats=_DAY, help="The last day, in the ledger's zone")],
    actor: Actor,
) -> None:
    """Begins to close everything up to a day: nobody may ask for an entry there any more; what providers tell late, and
    adjustments, are still dated there."""

    async def command(desk: CloseDesk, session: Driver, books: Ledger, now: datetime) -> Closing:
        return await desk.begin(session, ledger=books, last=through.date(), actor=actor, now=now)

    made = _run(ledger, command)
    console().print(f"{made.public_id}: everything through {made.last} is being closed; another person signs it")


@app.command("sign")
def sign_command(
    ledger: LedgerCode,
    *,
    actor: Actor,
    accept: Annotated[str, typer.Option(help="Why what is open may stay")] = "",
) -> None:
    """Closes for good: from then on no entry is dated there, and what is learned late counts for the next day."""

    async def command(desk: CloseDesk, session: Driver, books: Ledger, now: datetime) -> Closing:
        return await desk.sign(session, ledger=books, accept=accept, actor=actor, now=now)

    made = _run(ledger, command)
    left = f"{made.open_items:,} open items accepted" if made.open_items else "nothing open"
    console().print(f"{made.public_id}: everything through {made.last} is closed, {left}")


@app.command("reopen")
def reopen_command(ledger: LedgerCode, *, reason: Annotated[str, typer.Option(help="Why")], actor: Actor) -> None:
    """Gives up a close that nobody has signed; what is signed stays closed."""

    async def command(desk: CloseDesk, session: Driver, books: Ledger, now: datetime) -> Closing:
        return await desk.reopen(session, ledger=books, reason=reason, actor=actor, now=now)

    made = _run(ledger, command)
    console().print(f"{made.public_id}: the days through {made.last} are open again")


@app.command("list")
def list_command(
    ledger: LedgerCode, limit: Annotated[int, typer.Option(help="How many, newest first", min=1, max=500)] = 50
) -> None:
    """Lists the steps: who closed what."""

    async def command(_: CloseDesk, session: Driver, books: Ledger, now: datetime) -> list[tuple[str, ...]]:
        return [
            (one.public_id, one.step.value, str(one.first or ""), str(one.last), f"{one.open_items:,}", one.reason,
             one.actor, f"{one.recorded_at.astimezone(books.zone):%Y-%m-%d %H:%M}")
            for one in await list_closings(session, ledger=books, limit=limit)
        ]  # fmt: skip

    rows = _run(ledger, command)
    columns = ("id", "step", "from", "through", ">open items", "why", "who", "when")
    console().print(table(f"{len(rows)} steps", columns, rows))


@app.command("report")
def report_command(
    ledger: LedgerCode,
    *,
    through: Annotated[datetime | None, typer.Option(formats=_DAY, help="The last day; the newest close's")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a .csv, .xlsx or .pdf instead of printing")] = None,
) -> None:
    """Shows what a close is about, as it stands or as it was signed; exits 1 where something is open that nobody
    accepted."""

    async def opened(application: Application) -> tuple[Document, CloseReport]:
        async def read(connection: AsyncConnection) -> tuple[Document, CloseReport]:
            books = await find_ledger(connection, code=ledger)
            last = None if through is None else through.date()
            report = await read_close_report(connection, ledger=books, last=last)
            return close_document(books, report), report

        return await run_transaction(application.engine, read)

    document, report = run(opened)
    if out is not None:
        write(document, out)
        console().print(f"close through {report.last}: {report.open_items:,} open items, in {out}", soft_wrap=True)
    else:
        for label, value in document.facts:
            console().print(f"{label}: {value}", soft_wrap=True)
        for each in document_tables(document):
            console().print(each)
    if report.signed is None and report.open_items:
        raise typer.Exit(1)


def _run(ledger: str, command: _Command[_Result]) -> _Result:
    async def whole(application: Application) -> _Result:
        async def once(connection: AsyncConnection) -> _Result:
            books = await find_ledger(connection, code=ledger)
            return await command(CloseDesk(application.ids), await driver(connection), books, application.now())

        return await run_transaction(application.engine, once, again_on=RACING_CONSTRAINTS)

    return run(whole)
