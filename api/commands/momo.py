"""`daftari momo`: an API user in MTN's sandbox, which alone lets one be made by API."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from adapters.dispatch import fresh_token
from adapters.momo.provisioning import NotProvisioned, provision
from adapters.momo.references import reference_id
from adapters.transport import Secret
from api.tables import console
from ledger.text import check_text

app = typer.Typer(help="MTN MoMo: what its sandbox needs.", no_args_is_help=True)


@app.command("provision")
def provision_command(
    callback_host: Annotated[str, typer.Argument(help="The host of DAFTARI_PUBLIC_URL: a name alone")],
    base_url: Annotated[str, typer.Option(help="MTN's sandbox")] = "https://sandbox.momodeveloper.mtn.com",
) -> None:
    """Makes an API user and its key for the product whose subscription key is asked for, and prints USER:KEY once: what
    DAFTARI_MOMO_DISBURSEMENT_CREDENTIAL or DAFTARI_MOMO_COLLECTION_CREDENTIAL takes."""
    subscription_key: str = typer.prompt("subscription key", hide_input=True)
    check_text(subscription_key, field="subscription_key", length_max=200)
    made = asyncio.run(
        provision(
            base_url=base_url,
            subscription_key=Secret(subscription_key),
            user_id=reference_id(fresh_token()),
            callback_host=callback_host,
        )
    )
    if isinstance(made, NotProvisioned):
        console().print(f"not made: {made.reason}", soft_wrap=True)
        raise typer.Exit(1)
    console().print(made.reveal(), soft_wrap=True)
