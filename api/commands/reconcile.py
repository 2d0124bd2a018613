"""`daftari reconcile`: statements held against the books."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from api.commands.opening import run as run_command
from api.commands.telling import refusal_to_tell
from api.conversion.reconciliation import run_id_of
from api.failures import refusal_of
from api.statement_desk import statement_desk
from api.statement_folder import BUSY, FAILED, FolderBusy, FolderResult, survey, work_through, write_result
from api.statements import Whose
from api.statements_told import recorded_summary, run_summary
from api.tables import console, table
from api.wiring import Application
from ledger.database import driver, transaction
from ledger.ids import encode
from ledger.journal.books import Ledger, find_ledger
from ledger.journal.entries import ENTRY_PREFIX
from ledger.money import format_minor_units
from ledger.reconciliation.importing import StatementAccount
from ledger.reconciliation.queries import RecordedDecision, RecordedRun, list_decisions, list_runs, read_run
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import PREFIX, Run

app = typer.Typer(help="Statements held against the books.", no_args_is_help=True)

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A date in the ledger's zone")]
LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table")]
_SHOWN_MAX, _ID_MAX = 200, 2**63 - 1
_SHOWN_COLUMNS = (">", "when", "receipt", "state", "rule", ">difference", "why")


@app.command("run")
def command(
    ledger: Annotated[str, typer.Argument(help="Ledger code")],
    shortcode: Annotated[str, typer.Argument(help="Whose statement, such as daraja:600584")],
    *,
    account: Annotated[str, typer.Option(help="utility, working or charges_paid; as the books call it")],
    actor: Annotated[str, typer.Option(help="Who does it, for the record")],
    since: Day = None,
    until: Day = None,
    currency: Annotated[str, typer.Option(help="The statement's; empty for the ledger's")] = "",
    matched: Annotated[bool, typer.Option("--all", help="Show what is explained, too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables")] = False,
) -> None:
    """Holds a statement against the books, all days of the newest unless --since and --until name some. Exits 1 where
    something is unexplained."""
    provider, _, code = shortcode.partition(":")
    sub_account = Whose(ledger=ledger, provider=provider, shortcode=code, sub_account=account, currency=currency)
    days = _days(since, until)

    async def opened(application: Application) -> tuple[Ledger, StatementAccount, Run, list[RecordedDecision]]:
        found, whose, made = await statement_desk(application).reconcile(sub_account, days=days, actor=actor)
        async with transaction(application.engine) as connection:
            shown = await list_decisions(
                await driver(connection), ledger_id=found.id, run_id=made.id, only_breaks=not matched, after=0,
                limit=_SHOWN_MAX,
            )  # fmt: skip
        return found, whose, made, shown

    found, whose, made, shown = run_command(opened)
    if as_json:
        typer.echo(json.dumps(run_summary(made)))
    else:
        _print(whose, made)
        if shown:
            heading = f"{len(shown):,} of {made.decided.total if matched else made.decided.breaks:,}"
            console().print(_shown(heading, shown, found, whose.currency))
        _print_verdict(whose, made)
    raise typer.Exit(0 if made.agrees else 1)


@app.command("folder")
def folder_command(
    ledger: LedgerCode,
    folder: Annotated[Path, typer.Argument(help="Holds PROVIDER/SHORTCODE/SUB_ACCOUNT/file.csv", file_okay=False)],
    *,
    actor: Annotated[str, typer.Option(help="Who does it, for the record")],
    result: Annotated[
        Path | None, typer.Option(help="Where the result goes, as JSON; to the screen by default")
    ] = None,
) -> None:
    """Takes every file that waits in, then holds each sub-account against the books. Exits 1 where something is
    unexplained, 2 where a file was refused, 3 where another process works on the folder, 4 where the ledger, the
    folder or the database could not be used: the result says why."""
    made = FolderResult(ledger)

    def say(so_far: FolderResult) -> None:
        if result is not None:
            write_result(so_far, result)

    async def opened(application: Application) -> None:
        await work_through(statement_desk(application), folder, actor=actor, result=made, say=say)

    try:
        survey(folder, made)
        run_command(opened)
    except FolderBusy as busy:
        typer.echo(f"daftari: {busy.message} [{busy.reason}]", err=True)
        raise typer.Exit(BUSY) from None
    except Exception as error:  # noqa: BLE001 -- the process edge: a scheduler reads what went wrong in the result
        made.failure = refusal_to_tell(error) or refusal_of(error, request_id="")
        typer.echo(f"daftari: {made.failure.message} [{made.failure.reason}]", err=True)
    say(made)
    if result is None:
        typer.echo(json.dumps(made.document(), indent=2))
    raise typer.Exit(FAILED if made.exit_code is None else made.exit_code)


@app.command("list")
def list_command(
    ledger: LedgerCode,
    account: Annotated[str, typer.Option(help="Only runs of the account of this path")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: AsJson = False,
) -> None:
    """Lists runs, newest first."""

    async def opened(application: Application) -> tuple[Ledger, list[RecordedRun]]:
        async with transaction(application.engine) as connection:
            books = await find_ledger(connection, code=ledger)
            session = await driver(connection)
            return books, await list_runs(session, ledger_id=books.id, path=account, before=_ID_MAX, limit=limit)

    books, runs = run_command(opened)
    if as_json:
        typer.echo(json.dumps([recorded_summary(one) for one in runs]))
        return
    rows = [
        (encode(PREFIX, one.id), one.path, f"{one.first} to {one.last}", f"{one.lines:,}", f"{one.breaks:,}",
         f"{one.currency} {format_minor_units(one.unexplained, one.currency)}", "yes" if one.agrees else "no",
         f"{one.recorded_at.astimezone(books.zone):%Y-%m-%d %H:%M:%S}", one.actor)
        for one in runs
    ]  # fmt: skip
    columns = ("run", "account", "days", ">lines", ">breaks", ">unexplained", "agrees", "made", "by")
    console().print(table("Runs, newest first", columns, rows))


@app.command("show")
def show_command(
    ledger: LedgerCode,
    run: Annotated[str, typer.Argument(help="rec_ and 13 characters")],
    matched: Annotated[bool, typer.Option("--all", help="Show what is explained, too")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only decisions above this number")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = _SHOWN_MAX,
    as_json: AsJson = False,
) -> None:
    """Shows a run as it was recorded, and what it decided."""

    async def opened(application: Application) -> tuple[Ledger, RecordedRun, list[RecordedDecision]]:
        async with transaction(application.engine) as connection:
            books, session = await find_ledger(connection, code=ledger), await driver(connection)
            found = await read_run(session, ledger_id=books.id, run_id=run_id_of(run))
            decisions = await list_decisions(
                session, ledger_id=books.id, run_id=found.id, only_breaks=not matched, after=after, limit=limit
            )
            return books, found, decisions

    books, found, decisions = run_command(opened)
    if as_json:
        typer.echo(json.dumps({**recorded_summary(found), "shown": [_decision(one) for one in decisions]}))
        return
    out = console()
    heading = f"{run}: {found.path}, {found.first} to {found.last}, {found.currency}"
    out.print(_shown(heading, decisions, books, found.currency))
    total = found.decisions if matched else found.breaks
    out.print(f"{len(decisions):,} shown of {total:,}; --after shows those behind")


def _decision(one: RecordedDecision) -> dict[str, object]:
    return {
        "number": one.number,
        "state": one.state.value,
        "rule": one.rule,
        "reason": one.reason,
        "at": one.at.isoformat(),
        "receipt": one.receipt,
        "difference": one.difference,
        "lines": one.lines,
        "entries": [encode(ENTRY_PREFIX, entry_id) for entry_id in one.entries],
        "payout": encode("pay", one.payout_id) if one.payout_id is not None else None,
    }


def _days(since: datetime | None, until: datetime | None) -> Days | None:
    if (since is None) != (until is None):
        raise typer.BadParameter("--since and --until go together")
    return Days(since.date(), until.date()) if since and until else None


def _shown(heading: str, decisions: Sequence[RecordedDecision], ledger: Ledger, currency: str) -> Table:
    rows = [
        (f"{one.number:,}", f"{one.at.astimezone(ledger.zone):%Y-%m-%d %H:%M:%S}", one.receipt, one.state.value,
         one.rule, format_minor_units(one.difference, currency), one.reason)
        for one in decisions
    ]  # fmt: skip
    return table(heading, _SHOWN_COLUMNS, rows)


def _print(account: StatementAccount, run: Run) -> None:
    out = console()

    def money(cents: int | None) -> str:
        return "untold" if cents is None else format_minor_units(cents, account.currency)

    rows = [
        ("opening", money(run.statement_opening), money(run.books_opening)),
        ("closing", money(run.statement_closing), money(run.books_closing)),
    ]
    title = f"{encode(PREFIX, run.id)}: {account.path}, {run.days.first} to {run.days.last}, {account.currency}"
    out.print(table(title, ("", ">statement", ">books"), rows))
    counts = sorted((state.value, rule, f"{count:,}") for (state, rule), count in run.decided.counts.items())
    heading = f"{run.lines:,} lines, {run.decided.total:,} decisions"
    out.print(table(heading, ("state", "rule", ">decisions"), counts))


def _print_verdict(account: StatementAccount, run: Run) -> None:
    out = console()

    def money(cents: int) -> str:
        return f"{account.currency} {format_minor_units(cents, account.currency)}"

    if run.resolved:
        out.print(f"{run.resolved:,} payouts of unknown outcome were told by the statement")
    if run.opening_gap:
        gap = money(run.opening_gap)
        out.print(f"before these days the statement held {gap} more than the books; run the days before with --since")
    decided = run.decided
    breaks = [f"{decided.breaks:,} breaks over {money(decided.unexplained)}"] if decided.breaks else []
    gaps = ["the opening balance"] if run.opening_gap else []
    out.print(f"unexplained: {', and '.join([*breaks, *gaps]) or 'nothing'}")
