"""Histories held against the provider's statements: no invariant breaks, and planted bugs are caught."""

from __future__ import annotations

import pytest

from tests.simulation import mutants
from tests.simulation.conftest import Lived
from tests.simulation.kept import kept_seeds
from tests.simulation.options import Kind, expand
from tests.simulation.outcome import Outcome
from tests.simulation.verdicts import assert_troubled, assert_unbroken

mutants.sow_all()
# More are lived by `make simulate ARGS=--statements`.
HISTORIES = range(2)
# Bugs that a first history catches; the others are looked for by `make simulate-long`.
SOON_CAUGHT = {"entry-matched-twice": 0, "late-row-ignored": 0, "oldest-statement-has-the-last-word": 0}


@pytest.fixture(scope="module")
def outcomes(lived: Lived) -> list[Outcome]:
    return lived((expand(seed, kind=Kind.STATEMENTS) for seed in HISTORIES), "")


def test_no_invariant_breaks(outcomes: list[Outcome]) -> None:
    assert_unbroken(outcomes)


def test_every_history_had_a_crash_and_a_statement(outcomes: list[Outcome]) -> None:
    assert_troubled(outcomes, ["crash"])
    assert all(one.counts["statements taken in"] for one in outcomes)


def test_a_seed_lived_again_is_the_same_history(lived: Lived, outcomes: list[Outcome]) -> None:
    (again,) = lived([expand(HISTORIES[0], kind=Kind.STATEMENTS)], "")

    assert again.fingerprint == outcomes[0].fingerprint


@pytest.mark.parametrize("seed", kept_seeds(Kind.STATEMENTS))
def test_what_once_found_a_bug_finds_none(lived: Lived, seed: int) -> None:
    (outcome,) = lived([expand(seed, kind=Kind.STATEMENTS)], "")

    assert outcome.violations == []


@pytest.mark.parametrize("bug", sorted(SOON_CAUGHT))
def test_a_planted_bug_is_caught(lived: Lived, bug: str) -> None:
    (outcome,) = lived([expand(SOON_CAUGHT[bug], kind=Kind.STATEMENTS)], bug)

    assert outcome.violations
