"""The connection breaks at COMMIT, before the server hears it or before its answer comes back: each request is booked
once, and its answer stays the first (scenario 13). The long form is `make torture`."""

from __future__ import annotations

from tests.fix_database import Database
from tests.journeys.scene import Scene
from tests.torture.cuts import cut_at_commit

EACH = 20


async def test_connections_cut_at_commit_lose_and_double_nothing(scene: Scene, fresh_database: Database) -> None:
    told = await cut_at_commit(scene, fresh_database, each=EACH, seed=7)

    assert told.faults == []
    assert (told.before >= EACH, told.after >= EACH) == (True, True)
    assert told.interrupted >= told.before + told.after
    assert told.repeated == told.posted + told.requested
