"""What every kind of history is asked by its test: that nothing broke, and that much went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.simulation.outcome import Outcome
from tests.simulation.run import timeline


def assert_unbroken(outcomes: Sequence[Outcome]) -> None:
    """No invariant broke; else the timeline of the first history that did."""
    broken = [one for one in outcomes if one.violations]

    assert [(one.options.seed, one.violations) for one in broken] == [], "\n".join(timeline(broken[0]))


def assert_troubled(outcomes: Sequence[Outcome], troubles: Iterable[str]) -> None:
    """A crash in each history, and each of the troubles in some."""
    came: Counter[str] = sum((one.troubles for one in outcomes), Counter())

    assert all(one.deaths for one in outcomes)
    assert [trouble for trouble in troubles if not came[trouble]] == []
