"""`daftari database`: prepare a PostgreSQL of your own for Daftari, and bring its schema to the newest revision."""

from __future__ import annotations

import asyncio
import secrets

import typer
from pydantic import SecretStr
from sqlalchemy import make_url

from api.profile import DATABASE
from api.settings import Settings
from api.tables import console
from ledger import migrate, provision
from ledger.database import driver_url
from ledger.errors import TextInvalid

app = typer.Typer(help="A PostgreSQL of your own: roles, database, schema.", no_args_is_help=True)


@app.command("prepare")
def prepare_command() -> None:
    """Creates the four roles, the database and its schema, with DAFTARI_ADMIN_URL; prints the URL to run with."""
    settings = Settings()
    if settings.admin_url is None:
        raise TextInvalid("set DAFTARI_ADMIN_URL to an administrator's URL of the server", field="DAFTARI_ADMIN_URL")
    admin = driver_url(settings.admin_url.get_secret_value())
    passwords = provision.Passwords(
        migrator=_password(settings.migrator_password),
        application=_password(settings.app_password),
        reader=_password(settings.reader_password),
    )
    asyncio.run(provision.provision(admin, database=DATABASE, passwords=passwords))
    base = admin.set(database=DATABASE)
    migrate.upgrade(base.set(username=provision.MIGRATOR, password=passwords.migrator))
    url = base.set(username=provision.APPLICATION, password=passwords.application, drivername="postgresql")
    out = console()
    out.print("roles, database and schema are ready; run the service with", soft_wrap=True)
    out.print(f"  DAFTARI_DATABASE_URL={url.render_as_string(hide_password=False)}", soft_wrap=True)
    if settings.secret is None:
        out.print(f"  DAFTARI_SECRET={secrets.token_hex(32)}", soft_wrap=True)


@app.command("migrate")
def migrate_command() -> None:
    """Brings the schema to the newest revision, as daftari_migrator with DAFTARI_MIGRATOR_PASSWORD."""
    settings = Settings()
    if settings.database_url is None or settings.migrator_password is None:
        raise TextInvalid("set DAFTARI_DATABASE_URL and DAFTARI_MIGRATOR_PASSWORD", field="DAFTARI_MIGRATOR_PASSWORD")
    url = make_url(settings.database_url.get_secret_value())
    migrate.upgrade(
        driver_url(url).set(username=provision.MIGRATOR, password=settings.migrator_password.get_secret_value())
    )
    console().print(f"the schema is at revision {migrate.head()}")


def _password(given: SecretStr | None) -> str:
    return given.get_secret_value() if given is not None else secrets.token_urlsafe(24)
