"""`daftari verify`: rebuilds every cache from the postings and names each difference."""

from __future__ import annotations

from typing import Annotated

import typer

from api.administration import verify_ledgers
from api.commands.opening import run as run_command
from api.tables import console


def run(
    code: Annotated[str, typer.Argument(help="Ledger; all of them if none is named")] = "",
) -> None:
    """Rebuilds balances, days, chains and links from the postings; exits 1 when something differs."""
    if not run_command(lambda application: verify_ledgers(application, code=code, out=console())):
        raise typer.Exit(1)
