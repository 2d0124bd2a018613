"""A shop that takes money in, for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.ledger.collections.till import Till, open_till


@pytest.fixture
async def till(engine: AsyncEngine) -> AsyncIterator[Till]:
    """A shop whose shortcode collects."""
    async with open_till(engine) as opened:
        yield opened
