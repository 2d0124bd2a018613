"""Histories of promotions over a MoMo wallet: no invariant breaks, and planted bugs are caught."""

from __future__ import annotations

import pytest

from tests.simulation import mutants
from tests.simulation.conftest import Lived
from tests.simulation.options import Kind, expand
from tests.simulation.outcome import Outcome
from tests.simulation.verdicts import assert_troubled, assert_unbroken

mutants.sow_all()
# More are lived by `make simulate ARGS=--promotions`.
HISTORIES = range(6)
OFTEN = ("crash", "commit-lost", "forger", "guesser", "hop-again")
# Bugs that the first history catches at once; the others are looked for by `make simulate-long`.
SOON_CAUGHT = (
    "liability-not-lowered",
    "payout-bound-to-two-codes",
    "thanked-before-the-commit",
    "throttle-of-one-process-only",
    "used-codes-sound-otherwise",
)


@pytest.fixture(scope="module")
def outcomes(lived: Lived) -> list[Outcome]:
    return lived((expand(seed, kind=Kind.PROMOTIONS) for seed in HISTORIES), "")


def test_no_invariant_breaks(outcomes: list[Outcome]) -> None:
    assert_unbroken(outcomes)


def test_every_history_had_a_crash_and_the_usual_troubles_came(outcomes: list[Outcome]) -> None:
    assert_troubled(outcomes, OFTEN)


def test_a_seed_lived_again_is_the_same_history(lived: Lived, outcomes: list[Outcome]) -> None:
    (again,) = lived([expand(HISTORIES[0], kind=Kind.PROMOTIONS)], "")

    assert again.fingerprint == outcomes[0].fingerprint


@pytest.mark.parametrize("bug", SOON_CAUGHT)
def test_a_planted_bug_is_caught(lived: Lived, bug: str) -> None:
    outcomes = lived((expand(seed, kind=Kind.PROMOTIONS) for seed in range(5)), bug)

    assert outcomes[-1].violations, f"not caught in {len(outcomes)} histories"
