"""Every planted bug is caught: without this, histories that break nothing would prove nothing."""

from __future__ import annotations

import pytest

from tests.simulation import mutants
from tests.simulation.conftest import Lived
from tests.simulation.options import expand

mutants.sow_all()
# Tried in this order: the first few catch most bugs, the rest are those that caught what those had missed.
SEEDS_MAX = 120
FIRST: dict[str, int] = {}


def seeds_for(bug: str) -> list[int]:
    """The seed that caught it when it was last looked for, then all others."""
    return [*([FIRST[bug]] if bug in FIRST else []), *range(SEEDS_MAX)]


@pytest.mark.parametrize("bug", sorted(mutants.PLANTED))
def test_a_planted_bug_is_caught(lived: Lived, bug: str) -> None:
    outcomes = lived((expand(seed) for seed in seeds_for(bug)), bug)

    assert outcomes[-1].violations, f"not caught in {len(outcomes)} histories"


def test_there_are_enough_of_them() -> None:
    assert len(mutants.PLANTED) >= 25
