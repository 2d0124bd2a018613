"""`daftari statement`: providers' statements, imported from files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from api.commands.opening import run
from api.statement_desk import statement_desk
from api.statements import StatementFile, Whose
from api.statements_told import imported_summary
from api.tables import console
from api.wiring import Application
from ledger.journal.books import Ledger
from ledger.money import format_minor_units
from ledger.reconciliation.importing import Imported, StatementAccount

app = typer.Typer(help="Providers' statements.", no_args_is_help=True)

Shortcode = Annotated[str, typer.Argument(help="Whose statement, such as daraja:600584")]
SubAccount = Annotated[str, typer.Option("--account", help="utility, working or charges_paid; as the books call it")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of sentences")]


@app.command("import")
def import_command(
    ledger: Annotated[str, typer.Argument(help="Ledger code")],
    shortcode: Shortcode,
    file: Annotated[Path, typer.Argument(help="CSV or XLSX, one sub-account's")],
    *,
    account: SubAccount,
    actor: Annotated[str, typer.Option(help="Who does it, for the record")],
    currency: Annotated[str, typer.Option(help="The statement's; empty for the ledger's")] = "",
    columns: Annotated[Path | None, typer.Option(help="A JSON document that declares the columns")] = None,
    as_json: Json = False,
) -> None:
    """Takes a statement in, whole or not at all; lines that are there already are left as they are."""
    provider, _, code = shortcode.partition(":")
    whose = Whose(ledger=ledger, provider=provider, shortcode=code, sub_account=account, currency=currency)
    statement = StatementFile(path=file, name=file.name, declared=columns.read_bytes() if columns else None)

    async def command(application: Application) -> None:
        desk, say = statement_desk(application), partial(_say, as_json)
        _tell(*await desk.take_in(whose, statement, actor=actor, say=say), as_json=as_json)

    run(command)


def _say(as_json: bool, count: int) -> None:
    if not as_json:
        console().print(f"{count:,} lines read")


def _tell(ledger: Ledger, whose: StatementAccount, one: Imported, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(imported_summary(one)))
        return
    out = console()
    first, last = (f"{at.astimezone(ledger.zone):%Y-%m-%d %H:%M:%S}" for at in (one.from_at, one.until_at))
    out.print(f"{one.lines:,} lines of {whose.path}, {one.added:,} of them new, from {first} to {last}")
    if one.opening is not None and one.closing is not None:
        opening, closing = (format_minor_units(cents, whose.currency) for cents in (one.opening, one.closing))
        out.print(f"the running balance holds from {whose.currency} {opening} to {closing}")
