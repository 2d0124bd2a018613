"""Fixtures: `scene`, books and keys on a database of their own, and no process yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fix_database import Database
from tests.journeys.scene import Scene, open_scene

SEED = 20_261_128


@pytest.fixture
async def scene(fresh_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    """See above."""
    async with open_scene(fresh_database, files=tmp_path, seed=SEED) as opened:
        yield opened
