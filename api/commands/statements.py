"""`daftari statement`: providers' statements, imported from files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from api.commands.opening import run
from api.statements import StatementOrder, import_statement
from api.tables import console
from api.wiring import Application
from ledger.ids import encode
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
    order = StatementOrder(
        path=file,
        ledger=ledger,
        provider=provider,
        shortcode=code,
        sub_account=account,
        actor=actor,
        currency=currency,
        declared=columns.read_bytes() if columns else None,
    )

    async def command(application: Application) -> None:
        say = partial(_say, as_json)
        _tell(*await import_statement(application, order, say=say), as_json=as_json)

    run(command)


def _say(as_json: bool, count: int) -> None:
    if not as_json:
        console().print(f"{count:,} lines read")


def _tell(ledger: Ledger, whose: StatementAccount, one: Imported, *, as_json: bool) -> None:
    if as_json:
        told = {
            "import": encode("imp", one.import_id),
            "lines": one.lines,
            "added": one.added,
            "from": one.from_at.isoformat(),
            "until": one.until_at.isoformat(),
            "opening": one.opening,
            "closing": one.closing,
        }
        typer.echo(json.dumps(told))
        return
    out = console()
    first, last = (f"{at.astimezone(ledger.zone):%Y-%m-%d %H:%M:%S}" for at in (one.from_at, one.until_at))
    out.print(f"{one.lines:,} lines of {whose.path}, {one.added:,} of them new, from {first} to {last}")
    if one.opening is not None and one.closing is not None:
        opening, closing = (format_minor_units(cents, whose.currency) for cents in (one.opening, one.closing))
        out.print(f"the running balance holds from {whose.currency} {opening} to {closing}")
