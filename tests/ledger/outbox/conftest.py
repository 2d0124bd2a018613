"""A shop on the database of the rigs: claims span ledgers, and theirs leave nothing due behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ledger.database import connect
from tests.fix_database import Database
from tests.journeys.fixtures import quieten, rig_database
from tests.ledger.payouts.shop import Shop, open_shop

__all__ = ["rig_database"]


@pytest.fixture
async def shop(rig_database: Database) -> AsyncIterator[Shop]:
    """Prefunded with KES 200,000, no fee."""
    engine = connect(rig_database.app, pool_size=5, application_name="tests")
    try:
        async with open_shop(engine) as opened:
            yield opened
    finally:
        quieten(rig_database)
        await engine.dispose()
