"""The rig as fixtures, for every suite that needs one: its conftest.py imports these names.

Most tests share a database through `shared_rig`, because making and dropping one takes longer than they do; each has a
ledger of its own there and leaves nothing due behind, since the worker's queues span ledgers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import LiteralString

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import connect, conninfo
from tests.fix_database import Database, Postgres
from tests.journeys.rig import Rig, open_rig

# After its ledger was checked for the last time: what is due is done, what is waited for is waited for no longer.
_QUIETEN: tuple[LiteralString, ...] = (
    "UPDATE instructions SET done_at = now() WHERE done_at IS NULL",
    "UPDATE inbox SET judged_at = now(), verdict = 'left over' WHERE judged_at IS NULL",
    "UPDATE payouts SET state = 'UNKNOWN', version = version + 1 WHERE state = 'SUBMITTED'",
)


@pytest.fixture(scope="session")
def rig_database(postgres: Postgres) -> Iterator[Database]:
    """The database that the rigs of the session share."""
    shared = postgres.clone()
    yield shared
    postgres.drop(shared.name)


@pytest.fixture
async def rig(fresh_engine: AsyncEngine) -> AsyncIterator[Rig]:
    """A shop and everything around it, on a database of its own."""
    async with open_rig(fresh_engine) as opened:
        yield opened


@pytest.fixture
async def shared_rig(rig_database: Database) -> AsyncIterator[Rig]:
    """A shop and everything around it, on the database of all such rigs."""
    engine = connect(rig_database.app, pool_size=5, application_name="tests")
    try:
        async with open_rig(engine) as opened:
            yield opened
    finally:
        quieten(rig_database)
        await engine.dispose()


def quieten(database: Database) -> None:
    """Leaves nothing for the workers of the next test. As nobody but a superuser can: no guard would have it."""
    with psycopg.connect(conninfo(database.admin)) as admin:
        admin.execute("SET session_replication_role = replica")
        for statement in _QUIETEN:
            admin.execute(statement)
