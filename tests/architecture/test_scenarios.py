"""docs/scenarios.md names a test for every scenario it owes, and every test it names is there."""

from __future__ import annotations

import re
from functools import cache

from tests.architecture.sources import ROOT, sources

# The payouts' part of the failure scenarios: those of collections and promotions are not built yet.
OWED = {*range(1, 29), *range(37, 42)}
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def rows() -> dict[int, str]:
    """Each scenario's last cell by its number."""
    lines = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8").splitlines()
    cells = [line.strip("|").split("|") for line in lines if re.match(r"\|\s*\d", line)]
    assert len({cell[0] for cell in cells}) == len(cells), "a number stands twice"
    return {int(cell[0]): cell[-1] for cell in cells}


def test_no_scenario_is_missing_and_each_names_its_tests() -> None:
    assert rows().keys() == OWED
    assert [number for number, shown in rows().items() if not _NAMED.search(shown)] == []


def test_every_test_that_the_scenarios_name_is_there() -> None:
    there = {(one.path, function.name) for one in sources() for function in one.functions()}
    named = {found for shown in rows().values() for found in _NAMED.findall(shown)}

    assert named - there == set()


def test_nothing_stands_where_a_test_is_named_but_a_test() -> None:
    """A slip of the pen would otherwise be no test and go unnoticed."""
    quoted = {text for shown in rows().values() for text in re.findall(r"`([^`]*)`", shown)}

    assert [text for text in sorted(quoted) if not _NAMED.fullmatch(f"`{text}`")] == []
