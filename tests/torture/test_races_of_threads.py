"""Eight threads at one thing, each with connections of its own: one right ending, whoever wins. The long form is
`make torture`."""

from __future__ import annotations

import pytest

from tests.fix_database import Database
from tests.torture.races import RACES, run_races

EACH = 15


@pytest.mark.parametrize("name", RACES)
def test_a_race_has_one_right_ending(database: Database, name: str) -> None:
    (told,) = run_races(database.app, {name: EACH}, seed=7)

    assert told.faults == []
    assert told.races == EACH
