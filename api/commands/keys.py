"""`daftari key`: create, list and revoke API keys. A key's secret is printed once and kept nowhere."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.permissions import PARTNER_PERMISSIONS, Permission
from api.tables import console, table
from api.wiring import Application
from ledger import ids, partners
from ledger.database import run as run_transaction
from ledger.database import transaction
from ledger.errors import KeyNotFound
from ledger.journal import books

app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)


@app.command("create")
def create_command(
    name: Annotated[str, typer.Argument(help="Who uses it; keys of one name share their request ids")],
    ledger: Annotated[str, typer.Option(help="Ledger code; empty for an operator of every ledger")] = "",
    partner: Annotated[str, typer.Option(help="Partner code; the key then speaks for that partner alone")] = "",
    permission: Annotated[list[Permission] | None, typer.Option(help="Repeatable; all if none is named")] = None,
    days: Annotated[int, typer.Option(min=0, help="Days until it expires; 0 for never")] = 0,
) -> None:
    """Creates a key and prints it, once."""

    async def command(application: Application) -> str:
        return await create_key(
            application, name=name, ledger_code=ledger, partner_code=partner, permissions=permission, days=days
        )

    console().print(f"API key (shown once, keep it safe): {run(command)}", soft_wrap=True)


@app.command("list")
def list_command(
    ledger: Annotated[str, typer.Option(help="Ledger code; empty for operators' keys")] = "",
) -> None:
    """Lists keys, without their secrets."""

    async def command(application: Application) -> list[tuple[str, ...]]:
        async with transaction(application.engine) as connection:
            scope = (await books.find_ledger(connection, code=ledger)).id if ledger else None
            rows = await partners.list_keys(connection, ledger_id=scope)
        return [
            (
                ids.encode("dft", row.id),
                row.name,
                ", ".join(row.permissions),
                f"{row.created_at:%Y-%m-%d %H:%M}",
                f"{row.expires_at:%Y-%m-%d}" if row.expires_at else "never",
                f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else "",
            )
            for row in rows
        ]

    console().print(table("API keys", ("id", "name", "permissions", "created", "expires", "revoked"), run(command)))


@app.command("revoke")
def revoke_command(key: Annotated[str, typer.Argument(help="The key's id, dft_ and 13 characters")]) -> None:
    """Revokes a key; it is refused everywhere within two seconds."""
    key_id = ids.decode("dft", key)
    if key_id is None:
        raise KeyNotFound("a key's id is dft_ and 13 characters; see `daftari key list`", field="key")

    async def command(application: Application) -> None:
        async with transaction(application.engine) as connection:
            await partners.revoke_key(connection, key_id=key_id, now=application.now())

    run(command)
    console().print(f"{key} is revoked")


async def create_key(
    application: Application,
    *,
    name: str,
    ledger_code: str,
    partner_code: str,
    permissions: list[Permission] | None,
    days: int,
) -> str:
    """The text of a new key; a partner's key gets a partner's permissions unless some are named."""

    async def command(connection: AsyncConnection) -> str:
        now = application.now()
        ledger = await books.find_ledger(connection, code=ledger_code) if ledger_code or partner_code else None
        partner_id = None
        if partner_code and ledger is not None:
            partner_id = (await partners.find_partner(connection, ledger_id=ledger.id, code=partner_code)).id
        granted = permissions or (PARTNER_PERMISSIONS if partner_code else list(Permission))
        return await partners.create_key(
            connection,
            name=name,
            ledger_id=ledger.id if ledger is not None else None,
            partner_id=partner_id,
            permissions=[one.value for one in granted],
            expires_at=now + timedelta(days=days) if days else None,
            secret=secrets.token_bytes(partners.SECRET_BYTES),
            ids=application.ids,
            now=now,
        )

    return await run_transaction(application.engine, command)
