"""Runs migrations for ledger.migrate: as the owner, one process at a time, and never long in the service's way."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, NullPool, create_engine, text

from ledger.provision import APPLICATION, MIGRATOR, OWNER, READER

_LOCK_KEY = 0x0DAF7A11
_LOCK_TIMEOUT = "2s"
_STATEMENT_TIMEOUT = "15min"


def _prepare(connection: Connection) -> None:
    """Waits its turn, then limits itself. The turn ends with the connection."""
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
    connection.execute(text(f"SET ROLE {OWNER}"))
    connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'"))
    connection.execute(text("SET search_path = public, pg_temp"))
    connection.commit()


def _let_everyone_see_the_revision(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[str], run_args: Mapping[str, object]
) -> None:
    """Called by Alembic, by these names, in the transaction of each migration. The application compares the revision
    with its own before it serves."""
    assert ctx.connection is not None
    ctx.connection.execute(text(f"GRANT SELECT ON alembic_version TO {MIGRATOR}, {APPLICATION}, {READER}"))


def _run() -> None:
    url = context.config.attributes.get("url")
    assert url is not None, "run `daftari database migrate`: migrations have no settings of their own"
    with create_engine(url, poolclass=NullPool).connect() as connection:
        _prepare(connection)
        context.configure(
            connection=connection, transaction_per_migration=True, on_version_apply=_let_everyone_see_the_revision
        )
        with context.begin_transaction():
            context.run_migrations()


_run()
