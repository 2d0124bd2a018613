"""`daftari partner`: add partners. The key is printed once and kept nowhere."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.permissions import PARTNER_PERMISSIONS
from api.tables import console
from api.wiring import Application
from ledger import partners
from ledger.database import run as run_transaction
from ledger.journal import books
from ledger.money import Money, parse_decimal
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


async def create_partner(
    application: Application, *, ledger_code: str, code: str, name: str, currency: str, fee: str
) -> tuple[Partner, str]:
    """A partner and its first key, in one transaction."""

    async def command(connection: AsyncConnection) -> tuple[Partner, str]:
        ledger = await books.find_ledger(connection, code=ledger_code)
        payout_fee: Money = parse_decimal(fee, currency or ledger.base_currency)
        now = application.now()
        partner = await partners.create_partner(
            connection, ledger=ledger, code=code, name=name, payout_fee=payout_fee, ids=application.ids, now=now
        )
        key = await partners.create_key(
            connection,
            name=code,
            ledger_id=ledger.id,
            partner_id=partner.id,
            permissions=[one.value for one in PARTNER_PERMISSIONS],
            expires_at=None,
            secret=secrets.token_bytes(partners.SECRET_BYTES),
            ids=application.ids,
            now=now,
        )
        return partner, key

    return await run_transaction(application.engine, command)
