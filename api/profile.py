"""Which PostgreSQL this process uses: the one DAFTARI_DATABASE_URL names, or the embedded one, set up on first use."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from api.settings import Settings
from ledger import migrate, provision
from ledger.database import connect, transaction
from ledger.database_safety import check_safety
from ledger.embedded import EmbeddedServer
from ledger.embedded_directory import Address, reachable_directory, running_address
from ledger.errors import TextInvalid
from ledger.sealing import SECRET_BYTES

log = structlog.get_logger(__name__)

DATABASE = "daftari"


@dataclass(frozen=True, slots=True)
class Profile:
    """An engine as the application role on a checked, migrated database, and the installation's secret."""

    engine: AsyncEngine
    description: str
    secret: bytes = field(repr=False)


@asynccontextmanager
async def open_profile(settings: Settings, *, application_name: str) -> AsyncIterator[Profile]:
    """Opens the database for this process and closes it again. An embedded server that another process runs is used,
    not started. Raises UnsafeDatabase, EmbeddedUnavailable, TextInvalid, each saying what to do."""
    async with contextlib.AsyncExitStack() as stack:
        if settings.database_url is not None:
            url: str | URL = settings.database_url.get_secret_value()
            description = "PostgreSQL given by DAFTARI_DATABASE_URL"
        else:
            directory = reachable_directory(settings.data_directory / "postgres")
            address = await stack.enter_async_context(_embedded(settings, directory))
            url = address.url(role=provision.APPLICATION, database=DATABASE)
            description = f"embedded PostgreSQL in {directory}"
        secret = installation_secret(settings)
        engine = connect(url, pool_size=settings.database_pool_size, application_name=application_name)
        stack.push_async_callback(engine.dispose)
        async with transaction(engine) as connection:
            await check_safety(connection, migration_head=migrate.head())
        yield Profile(engine, description, secret)


@asynccontextmanager
async def _embedded(settings: Settings, directory: Path) -> AsyncIterator[Address]:
    running = running_address(directory)
    if running is not None:
        yield running
        return
    server = EmbeddedServer(directory, binaries=settings.postgres_bin)
    await server.start()
    supervision = asyncio.create_task(
        server.supervise(report=lambda event: log.warning("postgres.event", event_text=repr(event)))
    )
    try:
        await prepare_embedded(server.address)
        yield server.address
    finally:
        supervision.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await supervision
        await server.stop()


async def prepare_embedded(address: Address) -> None:
    """Roles, database and migrations of an embedded server; nothing to do where they are there."""
    passwords = provision.Passwords(
        migrator=address.password(provision.MIGRATOR),
        application=address.password(provision.APPLICATION),
        reader=address.password(provision.READER),
    )
    admin = address.url(role="postgres", database="postgres")
    await provision.provision(admin, database=DATABASE, passwords=passwords)
    await asyncio.to_thread(migrate.upgrade, address.url(role=provision.MIGRATOR, database=DATABASE))


def installation_secret(settings: Settings) -> bytes:
    """The installation's one secret: given, or beside an embedded database kept in a file made on first use. Raises
    TextInvalid where it must be given and is not."""
    if settings.database_url is not None or settings.secret is not None:
        return _given_secret(settings)
    return _kept_secret(settings.data_directory)


def _given_secret(settings: Settings) -> bytes:
    return read_key(settings.secret.get_secret_value() if settings.secret is not None else "", field="secret")


def read_key(text: str, *, field: str) -> bytes:
    """32 bytes from 64 hexadecimal digits. Raises TextInvalid without quoting them."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != SECRET_BYTES:
        raise TextInvalid(
            f"set DAFTARI_{field.upper()} to 64 hexadecimal digits, the same for every process: "
            "`openssl rand -hex 32` makes them",
            field=f"DAFTARI_{field.upper()}",
        )
    return key


def _kept_secret(directory: Path) -> bytes:
    path = directory / "secret"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(SECRET_BYTES))
    return bytes.fromhex(path.read_text())
