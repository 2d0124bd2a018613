"""PostgreSQL is crashed under load: no acknowledged post is lost (scenario 14). The long form is `make torture`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.torture.crashes import CARELESS, SOUND, crash_and_recover, is_refused
from tests.torture.server import Crash, server_directory


@pytest.fixture
async def directory() -> AsyncIterator[Path]:
    async with server_directory() as made:
        yield made


async def test_a_crashed_server_keeps_what_was_acknowledged(directory: Path) -> None:
    told = await crash_and_recover(directory, settings=SOUND, crashes=3, seed=7)

    assert told.faults == []
    assert told.lost == 0
    assert all(told.crashes[crash] == 1 for crash in Crash)


async def test_a_server_that_acknowledges_too_early_loses_which_is_seen_and_is_refused(directory: Path) -> None:
    told = await crash_and_recover(directory, settings=CARELESS, crashes=1, seed=7, kinds=[Crash.STOPPED_AT_ONCE])

    assert told.lost > 0
    assert await is_refused(directory, settings=CARELESS)
