"""`daftari reconcile`: statements held against the books."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run as run_command
from api.tables import console, table
from api.wiring import Application
from ledger.database import driver
from ledger.database import run as run_transaction
from ledger.ids import encode
from ledger.journal.books import Ledger, find_ledger
from ledger.money import format_minor_units
from ledger.outcomes import RACING_CONSTRAINTS
from ledger.reconciliation.importing import StatementAccount, find_statement_account
from ledger.reconciliation.matching import Decision
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import PREFIX, Reconciler, Run

app = typer.Typer(help="Statements held against the books.", no_args_is_help=True)

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A date in the ledger's zone")]
_SHOWN_MAX = 200


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
    days = _days(since, until)

    async def opened(application: Application) -> tuple[Ledger, StatementAccount, Run]:
        async def reconcile(connection: AsyncConnection) -> tuple[Ledger, StatementAccount, Run]:
            found, session = await find_ledger(connection, code=ledger), await driver(connection)
            whose = await find_statement_account(
                session, ledger=found, directory=application.directory, provider=provider, shortcode=code,
                sub_account=account, currency=currency or found.base_currency,
            )  # fmt: skip
            reconciler = Reconciler(recorder=application.recorder, ids=application.ids)
            made = await reconciler.reconcile(
                session, ledger=found, account=whose, days=days, actor=actor, now=application.now()
            )
            return found, whose, made

        return await run_transaction(application.engine, reconcile, again_on=RACING_CONSTRAINTS)

    found, whose, made = run_command(opened)
    if as_json:
        typer.echo(json.dumps(_summary(made)))
    else:
        numbered = enumerate(made.decisions, start=1)
        _print(found, whose, made, [pair for pair in numbered if matched or not pair[1].is_explained])
    raise typer.Exit(0 if made.agrees else 1)


def _days(since: datetime | None, until: datetime | None) -> Days | None:
    if (since is None) != (until is None):
        raise typer.BadParameter("--since and --until go together")
    return Days(since.date(), until.date()) if since and until else None


def _summary(run: Run) -> dict[str, object]:
    return {
        "run": encode(PREFIX, run.id),
        "from": run.days.first.isoformat(),
        "until": run.days.last.isoformat(),
        "lines": run.lines,
        "states": dict(Counter(one.state.value for one in run.decisions)),
        "breaks": len(run.breaks),
        "unexplained": run.unexplained,
        "opening_gap": run.opening_gap,
        "carried": run.carried,
        "agrees": run.agrees,
        "resolved": run.resolved,
        "statement_opening": run.statement_opening,
        "statement_closing": run.statement_closing,
        "books_opening": run.books_opening,
        "books_closing": run.books_closing,
        "difference": run.difference,
    }


def _print(ledger: Ledger, account: StatementAccount, run: Run, shown: Sequence[tuple[int, Decision]]) -> None:
    out, currency = console(), account.currency

    def money(cents: int | None) -> str:
        return "untold" if cents is None else format_minor_units(cents, currency)

    rows = [
        ("opening", money(run.statement_opening), money(run.books_opening)),
        ("closing", money(run.statement_closing), money(run.books_closing)),
    ]
    title = f"{encode(PREFIX, run.id)}: {account.path}, {run.days.first} to {run.days.last}, {account.currency}"
    out.print(table(title, ("", ">statement", ">books"), rows))
    counts = Counter((one.state.value, one.rule) for one in run.decisions)
    out.print(
        table(
            f"{run.lines:,} lines, {len(run.decisions):,} decisions",
            ("state", "rule", ">decisions"),
            [(state, rule, f"{count:,}") for (state, rule), count in sorted(counts.items())],
        )
    )
    if shown:
        listed = [
            (f"{number:,}", f"{one.at.astimezone(ledger.zone):%Y-%m-%d %H:%M:%S}", one.receipt, one.state.value,
             one.rule, money(one.difference), one.reason)
            for number, one in shown[:_SHOWN_MAX]
        ]  # fmt: skip
        heading = f"{len(listed):,} of {len(shown):,}"
        out.print(table(heading, (">", "when", "receipt", "state", "rule", ">difference", "why"), listed))
    if run.resolved:
        out.print(f"{run.resolved:,} payouts of unknown outcome were told by the statement")
    if run.opening_gap:
        gap = f"{account.currency} {money(run.opening_gap)}"
        out.print(f"before these days the statement held {gap} more than the books; run the days before with --since")
    breaks = [f"{len(run.breaks):,} breaks over {account.currency} {money(run.unexplained)}"] if run.breaks else []
    gaps = ["the opening balance"] if run.opening_gap else []
    out.print(f"unexplained: {', and '.join([*breaks, *gaps]) or 'nothing'}")
