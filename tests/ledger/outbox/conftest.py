"""A shop on a database of its own: claims span ledgers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.ledger.payouts.shop import Shop, open_shop


@pytest.fixture
async def shop(fresh_engine: AsyncEngine) -> AsyncIterator[Shop]:
    """Prefunded with KES 200,000, no fee."""
    async with open_shop(fresh_engine) as opened:
        yield opened
