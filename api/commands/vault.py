"""`daftari vault`: write provider credentials, list them without showing them, print the public key, rotate keys."""

from __future__ import annotations

import sys
from datetime import datetime
from functools import partial
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.credentials import public_key, vault_opener
from api.profile import installation_secret
from api.settings import Settings
from api.tables import console, table
from api.wiring import Application
from ledger import vault
from ledger.database import driver
from ledger.database import run as run_transaction
from ledger.errors import TextInvalid
from ledger.journal import books
from ledger.vault import Draft, Rewrapped, SecretInfo
from ledger.vault_keys import Opener, Writer, writer_given

app = typer.Typer(help="Provider credentials: written, replaced, never shown.", no_args_is_help=True)
_BATCH = 200
_SHOWN_MAX = 10_000


@app.command("put")
def put_command(
    ledger: Annotated[str, typer.Argument(help="Ledger code")],
    name: Annotated[str, typer.Argument(help="Such as daraja/600584/consumer_secret")],
    actor: Annotated[str, typer.Option(help="Who writes it")],
) -> None:
    """Writes a secret, read from standard input so that no shell history keeps it. Needs the public key alone."""
    secret = (typer.prompt("secret", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()).rstrip("\r\n")
    draft = Draft(name, secret)

    async def command(application: Application) -> SecretInfo:
        writer = writer_given(application.vault_writer)

        async def put(connection: AsyncConnection) -> SecretInfo:
            found = await books.find_ledger(connection, code=ledger)
            return await vault.put_secret(
                await driver(connection),
                ledger_id=found.id,
                draft=draft,
                writer=writer,
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
            return await vault.list_secrets(await driver(connection), ledger_id=found.id, after="", limit=_SHOWN_MAX)

        return await run_transaction(application.engine, read)

    rows = [
        (one.name, str(one.version), one.fingerprint, one.written_by, f"{one.written_at:%Y-%m-%d %H:%M}")
        for one in run(command)
    ]
    console().print(table("Vault", ("name", ">version", "fingerprint", "written by", "written (UTC)"), rows))


@app.command("key")
def key_command() -> None:
    """Prints the public key that belongs to DAFTARI_VAULT_KEY, for DAFTARI_VAULT_PUBLIC_KEY of processes that only
    write. Asks no database."""
    settings = Settings()
    key = public_key(settings, secret=lambda: installation_secret(settings))
    if key is None:
        raise TextInvalid(
            "set DAFTARI_VAULT_KEY to 64 hexadecimal digits, as for workers: `openssl rand -hex 32` makes them",
            field="DAFTARI_VAULT_KEY",
        )
    console().print(key.text, soft_wrap=True)


@app.command("rotate")
def rotate_command() -> None:
    """Wraps every data key for the key now in force; DAFTARI_VAULT_KEY_OLD is the one before. Payouts go on meanwhile
    in workers that were started with both; whoever writes needs the new public key first."""

    async def command(application: Application) -> None:
        opener, writer = _rotation(application)
        others = opener.fingerprints() - {writer.key.fingerprint}
        await _sweep(application, opener, writer)
        # Only now that all of it could be opened; what was still on its way meanwhile is swept up afterwards.
        await run_transaction(application.engine, partial(_retire, fingerprints=others, now=application.now()))
        await _sweep(application, opener, writer)

    run(command)
    console().print("every data key is wrapped for the key now in force; any other can be destroyed")


def _rotation(application: Application) -> tuple[Opener, Writer]:
    """What opens and what writes. Raises TextInvalid where what is written could not be opened by these very keys."""
    settings, secret = application.settings, application.profile.secret
    opener, writer = vault_opener(settings, secret=secret), writer_given(application.vault_writer)
    if writer.key not in [key.public for key in opener.keys]:
        raise TextInvalid(
            "set DAFTARI_VAULT_KEY to the new key: nothing is rotated to a public key alone, which nobody may be able "
            "to open",
            field="DAFTARI_VAULT_KEY",
        )
    return opener, writer


async def _sweep(application: Application, opener: Opener, writer: Writer) -> None:
    rewrap, left = partial(_rewrap, opener=opener, writer=writer), 1
    while left:
        done = await run_transaction(application.engine, rewrap)
        left = done.left
        if done.count or left:
            console().print(f"{done.count:,} wrapped anew, {left:,} left")


async def _retire(connection: AsyncConnection, *, fingerprints: set[str], now: datetime) -> None:
    await vault.retire_keys(await driver(connection), fingerprints=fingerprints, now=now)


async def _rewrap(connection: AsyncConnection, *, opener: Opener, writer: Writer) -> Rewrapped:
    return await vault.rewrap(await driver(connection), opener=opener, writer=writer, limit=_BATCH)
