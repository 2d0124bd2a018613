"""The journeys' rig, for the two doors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.journeys.rig import Rig, open_rig


@pytest.fixture
async def rig(fresh_engine: AsyncEngine) -> AsyncIterator[Rig]:
    """A shop and everything around it, on a database of its own."""
    async with open_rig(fresh_engine) as opened:
        yield opened
