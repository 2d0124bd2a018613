"""Histories as on most days, and those with a path of recovery taken away: everything ends, and little is parked."""

from __future__ import annotations

import pytest

from tests.simulation.conftest import Lived
from tests.simulation.options import PATHS, expand
from tests.simulation.verdicts import assert_unbroken

CALM, WITHOUT = 80, 15


def test_on_most_days_everything_ends_and_hardly_anything_waits_for_a_person(lived: Lived) -> None:
    outcomes = lived((expand(seed, calm=True) for seed in range(CALM)), "")

    assert_unbroken(outcomes)
    # Where the provider refuses repeats, what was lost on its way is sent again; elsewhere only a person can know.
    repeatable = [one for one in outcomes if one.options.refuses_repeats]
    assert sum(one.parked for one in repeatable) <= 1
    assert sum(one.payouts for one in repeatable) > 150


@pytest.mark.parametrize("path", PATHS)
def test_without_one_path_of_recovery_the_others_lose_nothing(lived: Lived, path: str) -> None:
    outcomes = lived((expand(seed, without=[path]) for seed in range(WITHOUT)), "")

    assert [(one.options.seed, one.violations) for one in outcomes if one.violations] == []
