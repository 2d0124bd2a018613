"""The roles and the database, made by an administrator before the first migration. Tables and their privileges are
the migrations' business.

Four roles, none with any power over the server: the owner of everything (no login), the migrator (may become the
owner), the application and the reader (may not). Everything here may be run again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import sql
from sqlalchemy import URL, make_url

from ledger.database import Driver, conninfo
from ledger.errors import UnsafeDatabase
from ledger.session import Session

OWNER = "daftari_owner"
MIGRATOR = "daftari_migrator"
APPLICATION = "daftari_app"
READER = "daftari_reader"

# Held while roles and databases change, so that two provisionings of one server do not collide.
_LOCK_KEY = 0x0DAF7A21


@dataclass(frozen=True, slots=True)
class Passwords:
    """The passwords of the three roles that log in, in clear text."""

    migrator: str = field(repr=False)
    application: str = field(repr=False)
    reader: str = field(repr=False)


async def provision(admin_url: str | URL, *, database: str, passwords: Passwords) -> None:
    """Creates what is missing of the roles and `database`, and sets passwords and privileges.

    `admin_url` names any existing database of the server and a superuser, or a role with CREATEROLE and CREATEDB.
    """
    async with administration(admin_url) as admin:
        await create_roles(admin, passwords=passwords)
        async with _membership(admin):
            await _create_database(admin, database)
            # Inside, for the membership is also what lets an administrator who is no superuser in again.
            async with _session(make_url(admin_url).set(database=database)) as inside:
                await inside.execute(_statement("SET ROLE {}", OWNER))
                await restrict_database(inside, database=database)


@asynccontextmanager
async def administration(admin_url: str | URL) -> AsyncIterator[Driver]:
    """A session that commits each statement, alone among those that provision from the same database."""
    async with _session(admin_url) as admin:
        await admin.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        yield admin


@asynccontextmanager
async def _session(url: str | URL) -> AsyncIterator[Driver]:
    async with await Session.connect(conninfo(url), autocommit=True) as session:
        yield session


async def create_roles(admin: Driver, *, passwords: Passwords) -> None:
    """Creates the four roles, or sets their passwords anew. Raises UnsafeDatabase when one has grown powers."""
    await _ensure_role(admin, OWNER, sql.SQL("NOLOGIN"))
    # NOINHERIT: a migrator has the owner's powers after SET ROLE and not before.
    await _ensure_role(admin, MIGRATOR, sql.SQL("LOGIN NOINHERIT"), passwords.migrator)
    await _ensure_role(admin, APPLICATION, sql.SQL("LOGIN"), passwords.application)
    await _ensure_role(admin, READER, sql.SQL("LOGIN"), passwords.reader)
    if not await _is_member(admin, MIGRATOR):
        await admin.execute(_statement("GRANT {} TO {}", OWNER, MIGRATOR))


async def restrict_database(owner: Driver, *, database: str) -> None:
    """Takes from PUBLIC what PostgreSQL gives it and lets our three roles in. `owner`, or a superuser, is connected to
    `database`. A clone of a database needs it again."""
    for statement in (
        _statement("REVOKE ALL ON DATABASE {} FROM PUBLIC", database),
        _statement("GRANT CONNECT ON DATABASE {} TO {}, {}, {}", database, MIGRATOR, APPLICATION, READER),
        _statement("REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
        _statement("GRANT USAGE ON SCHEMA public TO {}, {}", APPLICATION, READER),
        _statement("ALTER DATABASE {} SET search_path = public, pg_temp", database),
        _statement("ALTER DATABASE {} SET timezone = 'UTC'", database),
    ):
        await owner.execute(statement)


async def _create_database(admin: Driver, database: str) -> None:
    rows = await admin.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (database,))
    found = await rows.fetchone()
    if found is not None and found[0] != OWNER:
        raise UnsafeDatabase(
            f"database {database} exists and belongs to {found[0]}: name another one, or run ALTER DATABASE {database} "
            f"OWNER TO {OWNER} if it is meant for the books"
        )
    if found is None:
        await admin.execute(
            _statement("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0", database, OWNER)
        )


async def _ensure_role(admin: Driver, role: str, options: sql.SQL, password: str | None = None) -> None:
    rows = await admin.execute(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles "
        "WHERE rolname = %s",
        (role,),
    )
    found = await rows.fetchone()
    if found is not None and found[0]:
        raise UnsafeDatabase(
            f"role {role} has powers over the server (superuser, createrole, createdb, replication or bypassrls): "
            "take them away with ALTER ROLE, then provision again"
        )
    statement = sql.SQL("CREATE ROLE {} {}") if found is None else sql.SQL("ALTER ROLE {} {}")
    await admin.execute(statement.format(sql.Identifier(role), options))
    if password is not None:
        await _set_password(admin, role, password)


async def _set_password(admin: Driver, role: str, password: str) -> None:
    """Sends the SCRAM verifier: the password itself reaches neither the server nor its log."""
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    await admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


@asynccontextmanager
async def _membership(admin: Driver) -> AsyncIterator[None]:
    """An administrator who is no superuser makes itself a member of the owner, for as long as it needs to be."""
    name = admin.info.user
    joins = not await _is_member(admin, name)
    if joins:
        await admin.execute(_statement("GRANT {} TO {}", OWNER, name))
    try:
        yield
    finally:
        if joins:
            await admin.execute(_statement("REVOKE {} FROM {}", OWNER, name))


async def _is_member(admin: Driver, role: str) -> bool:
    """Whether `role` can become the owner with SET ROLE."""
    privilege = "SET" if admin.info.server_version >= 160000 else "MEMBER"
    rows = await admin.execute("SELECT pg_has_role(%s, %s, %s)", (role, OWNER, privilege))
    row = await rows.fetchone()
    return row is not None and bool(row[0])


def _statement(text: LiteralString, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*(sql.Identifier(name) for name in names))
