"""Transactions against a real server: limits, when they are run again, and what is known when COMMIT breaks."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import migrate
from ledger.database import transaction
from ledger.database_safety import check_safety
from tests.fix_database import Database


async def test_the_application_role_passes(fresh_engine: AsyncEngine) -> None:
    async with transaction(fresh_engine) as connection:
        await check_safety(connection, migration_head=migrate.head())
        assert (await connection.execute(text("select current_user"))).scalar_one() == "daftari_app"


def test_current(fresh_database: Database) -> None:
    assert migrate.current(fresh_database.migrator) == migrate.head()
