"""The desk and its receivers as fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.webhooks.desk import Desk, open_desk, retry_policy
from tests.webhooks.receiver import Receiver, open_receiver


@pytest.fixture
async def desk(fresh_engine: AsyncEngine) -> AsyncIterator[Desk]:
    """A shop on a database of its own, with the shipped retry schedule."""
    async with open_desk(fresh_engine, retry=retry_policy()) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything until told otherwise."""
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def other_receiver() -> AsyncIterator[Receiver]:
    """A second one."""
    async with open_receiver() as opened:
        yield opened
