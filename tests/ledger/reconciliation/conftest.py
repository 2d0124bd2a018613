"""A desk where statements are held against the books, for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.ledger.collections.till import open_till
from tests.ledger.reconciliation.desk import Desk


@pytest.fixture
async def desk(engine: AsyncEngine) -> AsyncIterator[Desk]:
    """A shop that pays out and collects over one shortcode, and its statements."""
    async with open_till(engine) as opened:
        yield Desk(opened)
