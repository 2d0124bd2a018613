"""A seed is a history: lived again it is the same, entry for entry, commit for commit; a failure shrinks to a page."""

from __future__ import annotations

import asyncio

from tests.simulation.conftest import Lived
from tests.simulation.options import TROUBLES, expand
from tests.simulation.postgres import simulation_server
from tests.simulation.run import TIMELINE_LINES_MAX, open_arena, shrink, timeline


def test_a_seed_lived_again_is_the_same_history(lived: Lived) -> None:
    seeds = range(8)

    first, again = (lived((expand(seed) for seed in seeds), "") for _ in range(2))

    assert [one.fingerprint for one in first] == [one.fingerprint for one in again]
    assert [one.commits for one in first] == [one.commits for one in again]
    assert len({one.fingerprint for one in first}) == len(seeds)


def test_a_failure_shrinks_to_the_troubles_it_needs_and_is_told_in_a_page() -> None:
    async def find() -> tuple[int, int, list[str], list[str]]:
        async with simulation_server() as postgres, open_arena(postgres) as arena:
            options = expand(2)
            smallest = await shrink(arena, options, bug="unknown-never-asked-about")
            return len(options.troubles), len(smallest.options.troubles), timeline(smallest), smallest.violations

    before, after, told, violations = asyncio.run(find())

    assert violations
    assert after < before <= len(TROUBLES)
    assert 0 < len(told) <= TIMELINE_LINES_MAX
