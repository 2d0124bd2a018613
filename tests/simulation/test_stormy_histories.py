"""Histories in which much goes wrong: no invariant breaks, and every place where a process may die was died at."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.conftest import Lived
from tests.simulation.kept import kept_seeds
from tests.simulation.options import TROUBLES, Kind, expand
from tests.simulation.outcome import Outcome
from tests.simulation.verdicts import assert_troubled, assert_unbroken

HISTORIES = 125


@pytest.fixture(scope="module")
def outcomes(lived: Lived) -> list[Outcome]:
    return lived((expand(seed) for seed in range(HISTORIES)), "")


def test_no_invariant_breaks(outcomes: list[Outcome]) -> None:
    assert_unbroken(outcomes)


def test_every_history_had_a_crash_and_every_trouble_came(outcomes: list[Outcome]) -> None:
    assert_troubled(outcomes, TROUBLES)


def test_every_place_where_a_process_may_die_was_died_at(outcomes: list[Outcome]) -> None:
    passed: Counter[str] = sum((one.passed for one in outcomes), Counter())
    died: Counter[str] = sum((one.deaths for one in outcomes), Counter())
    # Rare works have few points to die at: those that many a history passes are asked of.
    often = [place for place, times in passed.items() if times > 100]

    assert len(often) > 20
    assert [place for place in often if not died[place]] == []


@pytest.mark.parametrize("seed", kept_seeds(Kind.PAYOUTS))
def test_what_once_found_a_bug_finds_none(lived: Lived, seed: int) -> None:
    (outcome,) = lived([expand(seed)], "")

    assert outcome.violations == []
