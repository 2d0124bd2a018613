"""Whether a PostgreSQL server, and the role we connect as, may be trusted with money. Looks; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import UnsafeDatabase

VERSION_MIN = 15

# Effective values, as this very session has them: ALTER ROLE and ALTER DATABASE count as much as postgresql.conf.
# MEMBER means every way to become the owner, an ADMIN option included, on all versions alike.
_FACTS = text("""
SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit, current_setting('server_encoding') AS encoding,
       current_setting('synchronous_standby_names') AS standby_names, pg_is_in_recovery() AS in_recovery,
       current_setting('server_version_num')::int / 10000 AS version,
       s.rolname AS role, s.rolsuper AS is_superuser, s.rolbypassrls AS bypasses_row_security,
       (SELECT min(o.rolname) FROM pg_roles o WHERE pg_has_role(session_user, o.oid, 'MEMBER') AND (
            o.oid = (SELECT datdba FROM pg_database WHERE datname = current_database())
            OR o.oid IN (SELECT relowner FROM pg_class WHERE relnamespace = 'public'::regnamespace))) AS owner
FROM pg_roles s WHERE s.rolname = session_user
""")

# From PostgreSQL 16 on; null where the server asked for no proof of who we are. Before, nothing tells.
_AUTHENTICATED = text("SELECT SYSTEM_USER IS NOT NULL")
_AUTHENTICATED_SINCE = 16

_CONSEQUENCES = {
    "fsync": "a crash of the machine would lose or corrupt committed entries",
    "full_page_writes": "a crash of the machine could leave half-written pages",
    "synchronous_commit": "a crash would lose entries whose callers were told that they are booked",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a session sees of its server and of itself. `owner` is the owning role it is or can become."""

    fsync: str
    full_page_writes: str
    synchronous_commit: str
    standby_names: str
    in_recovery: bool
    encoding: str
    version: int
    role: str
    is_authenticated: bool
    is_superuser: bool
    bypasses_row_security: bool
    owner: str | None
    migration: str | None


async def check_safety(connection: AsyncConnection, *, migration_head: str) -> None:
    """Raises UnsafeDatabase, saying what to do, unless durability, role, version, encoding and migrations are right.

    `connection` is one of the application's own engine, `migration_head` is migrate.head().
    """
    row = (await connection.execute(_FACTS)).one()
    is_authenticated = row.version < _AUTHENTICATED_SINCE or (await connection.execute(_AUTHENTICATED)).scalar_one()
    facts = Facts(**row._mapping, is_authenticated=is_authenticated, migration=await _migration(connection))
    judge(facts, migration_head=migration_head)


def judge(facts: Facts, *, migration_head: str) -> None:
    """The decision of check_safety, pure."""
    _judge_server(facts)
    _judge_role(facts)
    if facts.migration != migration_head:
        raise UnsafeDatabase(
            f"the schema is at migration {facts.migration or 'none'} and this version of the service needs "
            f"{migration_head}: run `daftari database migrate`, or the version of the service that fits",
            setting="migrations",
        )


def _judge_server(facts: Facts) -> None:
    for name, consequence in _CONSEQUENCES.items():
        if getattr(facts, name) == "off":
            raise UnsafeDatabase(
                f"{name} is off: {consequence}. Set it on in postgresql.conf and wherever ALTER ROLE or ALTER DATABASE "
                "set it off, then start again",
                setting=name,
            )
    if facts.standby_names and facts.synchronous_commit == "local":
        raise UnsafeDatabase(
            "synchronous_commit is local and synchronous_standby_names is set: a failover would lose entries whose "
            "callers were told that they are booked. Set synchronous_commit on, then start again",
            setting="synchronous_commit",
        )
    if facts.in_recovery:
        raise UnsafeDatabase(
            "the server is a standby, which takes no entries: connect to the primary", setting="in_recovery"
        )
    if facts.version < VERSION_MIN:
        raise UnsafeDatabase(f"the server is PostgreSQL {facts.version}: use {VERSION_MIN} or later", setting="version")
    if facts.encoding != "UTF8":
        raise UnsafeDatabase(
            f"the database's encoding is {facts.encoding}: create one with ENCODING 'UTF8' TEMPLATE template0",
            setting="encoding",
        )


def _judge_role(facts: Facts) -> None:
    advice = "connect as daftari_app, which provisioning creates"
    if not facts.is_authenticated:
        raise UnsafeDatabase(
            f"the server takes role {facts.role} at its word (trust): have pg_hba.conf ask for scram-sha-256, then "
            "start again",
            setting="trust",
        )
    if facts.is_superuser:
        raise UnsafeDatabase(f"role {facts.role} is a superuser, whom no guard binds: {advice}", setting="superuser")
    if facts.bypasses_row_security:
        raise UnsafeDatabase(f"role {facts.role} has BYPASSRLS: {advice}", setting="bypassrls")
    if facts.owner is not None:
        raise UnsafeDatabase(
            f"role {facts.role} is, or can become, {facts.owner}, the owner, who could switch the guards off: {advice}",
            setting="owner",
        )


async def _migration(connection: AsyncConnection) -> str | None:
    """The schema's revision; None when there is none, or none that this role may see."""
    try:
        async with connection.begin_nested():
            rows = await connection.execute(text("SELECT version_num FROM alembic_version"))
    except ProgrammingError:
        return None
    revision: str | None = rows.scalar_one_or_none()
    return revision
