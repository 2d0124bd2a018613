"""`daftari vault`: write provider credentials, list them without showing them, rotate the vault's key."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.profile import read_key
from api.tables import console, table
from api.wiring import Application
from ledger import vault
from ledger.database import driver
from ledger.database import run as run_transaction
from ledger.errors import TextInvalid
from ledger.journal import books
from ledger.vault import SecretInfo, VaultKey

app = typer.Typer(help="Provider credentials: written, replaced, never shown.", no_args_is_help=True)
_BATCH = 200


@app.command("put")
def put_command(
    ledger: Annotated[str, typer.Argument(help="Ledger code")],
    name: Annotated[str, typer.Argument(help="Such as daraja/600584/consumer_secret")],
    actor: Annotated[str, typer.Option(help="Who writes it")],
) -> None:
    """Writes a secret, read from standard input so that no shell history keeps it."""
    secret = (typer.prompt("secret", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()).rstrip("\r\n")

    async def command(application: Application) -> SecretInfo:
        async def put(connection: AsyncConnection) -> SecretInfo:
            found = await books.find_ledger(connection, code=ledger)
            return await vault.put_secret(
                await driver(connection),
                ledger_id=found.id,
                name=name,
                secret=secret,
                key=application.vault_key,
                actor=actor,
                now=application.now(),
            )

        return await run_transaction(application.engine, put, again_on=vault.RACING_CONSTRAINTS)

    info = run(command)
    console().print(f"{info.name} is version {info.version}, fingerprint {info.fingerprint}")


@app.command("list")
def list_command(ledger: Annotated[str, typer.Argument(help="Ledger code")]) -> None:
    """Lists the newest versions: fingerprint and date, never the secret."""

    async def command(application: Application) -> list[SecretInfo]:
        async def read(connection: AsyncConnection) -> list[SecretInfo]:
            found = await books.find_ledger(connection, code=ledger)
            return await vault.list_secrets(await driver(connection), ledger_id=found.id)

        return await run_transaction(application.engine, read)

    rows = [
        (one.name, str(one.version), one.fingerprint, one.written_by, f"{one.written_at:%Y-%m-%d %H:%M}")
        for one in run(command)
    ]
    console().print(table("Vault", ("name", ">version", "fingerprint", "written by", "written (UTC)"), rows))


@app.command("rotate")
def rotate_command() -> None:
    """Wraps every data key with the key now in force; DAFTARI_VAULT_KEY_OLD is the one before. Payouts go on meanwhile
    in processes that were started with both."""

    async def command(application: Application) -> int:
        old = application.settings.vault_key_old
        if old is None:
            raise TextInvalid("set DAFTARI_VAULT_KEY_OLD to the key before", field="DAFTARI_VAULT_KEY_OLD")
        before = VaultKey(read_key(old.get_secret_value(), field="vault_key_old"))
        rewrap = partial(_rewrap, old=before, new=application.vault_key)
        total = 0
        while count := await run_transaction(application.engine, rewrap):
            total += count
            console().print(f"{total:,} wrapped anew")
        return total

    console().print(f"done: {run(command):,} data keys are under the key now in force; the old one can be destroyed")


async def _rewrap(connection: AsyncConnection, *, old: VaultKey, new: VaultKey) -> int:
    return await vault.rewrap(await driver(connection), old=old, new=new, limit=_BATCH)
