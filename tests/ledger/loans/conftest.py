"""How thoroughly to search: `--hypothesis-profile=thorough` lives through ten times as many loans. And a shop that
lends, for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.ledger.loans.lending import Lending, open_lending

settings.register_profile("thorough", settings.get_profile("search"), max_examples=10_000)


@pytest.fixture
async def lending(engine: AsyncEngine) -> AsyncIterator[Lending]:
    """A shop that lends, on real books."""
    async with open_lending(engine) as opened:
        yield opened
