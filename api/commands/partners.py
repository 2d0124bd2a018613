"""`daftari partner`: add partners. The key is printed once and kept nowhere."""

from __future__ import annotations

from typing import Annotated

import typer

from api.administration import create_partner
from api.commands.opening import run
from api.tables import console
from api.wiring import Application
from ledger.partners import Partner

app = typer.Typer(help="Partners: who may ask for money to move.", no_args_is_help=True)


@app.command("create")
def create_command(
    code: Annotated[str, typer.Argument(help="2 to 32 of a-z, 0-9, dash")],
    ledger: Annotated[str, typer.Option(help="Ledger code")],
    name: Annotated[str, typer.Option(help="For people")] = "",
    currency: Annotated[str, typer.Option(help="Currency it is funded in; the ledger's own if empty")] = "",
    fee: Annotated[str, typer.Option(help="What each payout costs it, such as 10.00")] = "0",
) -> None:
    """Adds a partner with a prefunded account and prints its first API key, once."""

    async def command(application: Application) -> tuple[Partner, str]:
        return await create_partner(
            application, ledger_code=ledger, code=code, name=name or code, currency=currency, fee=fee
        )

    partner, key = run(command)
    out = console()
    out.print(f"partner {partner.code}, funded by {partner.funding_account} in {partner.payout_fee.currency}")
    out.print(f"API key (shown once, keep it safe): {key}", soft_wrap=True)
