"""`daftari verify`: rebuilds every cache from the postings and names each difference."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from api.commands.opening import run as run_command
from api.tables import console, table
from api.wiring import Application
from ledger.database import transaction
from ledger.journal import books
from ledger.journal.verify import VerifyReport, verify


def run(
    code: Annotated[str, typer.Argument(help="Ledger; all of them if none is named")] = "",
) -> None:
    """Rebuilds balances, days, chains and links from the postings; exits 1 when something differs."""
    if not run_command(lambda application: verify_ledgers(application, code=code, out=console())):
        raise typer.Exit(1)


async def verify_ledgers(application: Application, *, code: str, out: Console) -> bool:
    """Whether the books of one ledger, or of all, agree with their postings; prints what does not."""
    async with transaction(application.engine) as connection:
        ledgers = await books.list_ledgers(connection, after_code="", limit=10_000)
    if code:
        async with transaction(application.engine) as connection:
            ledgers = [await books.find_ledger(connection, code=code)]
    sound = True
    for ledger in ledgers:
        async with transaction(application.engine) as connection:
            report = await verify(connection, ledger_id=ledger.id)
        sound = sound and report.agrees
        _print(out, ledger.code, report)
    return sound


def _print(out: Console, code: str, report: VerifyReport) -> None:
    verdict = "every cache agrees" if report.agrees else f"[bold]{report.differences_total:,} differences[/]"
    out.print(
        f"{code}: {report.entries:,} entries, {report.postings:,} postings, {report.accounts:,} accounts: {verdict}"
    )
    if not report.agrees:
        rows = [
            (d.check.value, d.place, d.field, d.stored or "missing", d.rebuilt or "nothing") for d in report.differences
        ]
        out.print(table("Differences", ("check", "place", "field", ">stored", ">rebuilt"), rows))
