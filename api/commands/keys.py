"""`daftari key`: create, list and revoke API keys. A key's secret is printed once and kept nowhere."""

from __future__ import annotations

from typing import Annotated

import typer

from api.administration import create_key
from api.commands.opening import run
from api.permissions import Permission
from api.tables import console, table
from api.wiring import Application
from ledger import ids, partners
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
