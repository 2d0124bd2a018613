"""A fair per test, in a ledger of its own on the shared database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.ledger.promotions.fair import Fair, open_fair


@pytest.fixture
async def fair(engine: AsyncEngine) -> AsyncIterator[Fair]:
    """With one campaign, and a partner with KES 200,000."""
    async with open_fair(engine) as opened:
        yield opened
