"""Histories of money in, money back and loans: no invariant breaks, and planted bugs are caught."""

from __future__ import annotations

import pytest

from tests.simulation import mutants
from tests.simulation.conftest import Lived
from tests.simulation.kept import kept_seeds
from tests.simulation.options import Kind, expand
from tests.simulation.outcome import Outcome
from tests.simulation.verdicts import assert_troubled, assert_unbroken

mutants.sow_all()
# More are lived by `make simulate ARGS=--collections`.
HISTORIES, WITHOUT = range(10, 16), 3
# Troubles that hardly any few histories lack; the others come now and then.
OFTEN = ("crash", "commit-lost", "forger")
# Bugs that one of the first histories catches; the others are looked for by `make simulate-long`.
SEEDS_MAX = 20
SOON_CAUGHT = (
    "allocation-not-taken-off-the-receipt",
    "closed-loan-wanted-before-a-payment",
    "confirmation-acknowledged-and-dropped",
    "confirmation-believed-on-any-path",
    "large-money-given-before-it-is-confirmed",
    "late-result-of-a-return-dropped",
    "lenders-share-kept",
    "list-never-looks-back",
    "loan-does-not-follow-its-payout",
    "money-without-a-meaning-goes-to-the-newest",
    "nobody-lists",
    "order-paid-after-it-expired",
    "orders-never-expire",
    "overpayment-of-a-loan-lost",
    "pending-prompt-taken-for-failed",
    "prompt-never-asked-about",
    "prompt-sent-before-it-is-recorded",
    "receipt-booked-once-per-channel",
    "receipts-told-apart-by-their-bytes",
    "returned-money-stays-in-the-float",
    "reversal-told-by-a-status-query-forgotten",
    "suspense-asks-nobody",
    "two-payments-alike-taken-for-one",
    "unanswered-question-taken-for-a-yes",
)
# The seed that caught it when it was last looked for, where that is not the first.
FIRST = {
    "allocation-not-taken-off-the-receipt": 6,
    "closed-loan-wanted-before-a-payment": 5,
    "large-money-given-before-it-is-confirmed": 2,
    "late-result-of-a-return-dropped": 3,
    "lenders-share-kept": 5,
    "list-never-looks-back": 5,
    "loan-does-not-follow-its-payout": 5,
    "money-without-a-meaning-goes-to-the-newest": 3,
    "nobody-lists": 10,
    "order-paid-after-it-expired": 12,
    "orders-never-expire": 1,
    "overpayment-of-a-loan-lost": 7,
    "pending-prompt-taken-for-failed": 1,
    "prompt-never-asked-about": 18,
    "prompt-sent-before-it-is-recorded": 2,
    "returned-money-stays-in-the-float": 3,
    "reversal-told-by-a-status-query-forgotten": 4,
    "suspense-asks-nobody": 2,
    "two-payments-alike-taken-for-one": 1,
    "unanswered-question-taken-for-a-yes": 2,
}


@pytest.fixture(scope="module")
def outcomes(lived: Lived) -> list[Outcome]:
    return lived((expand(seed, kind=Kind.COLLECTIONS) for seed in HISTORIES), "")


def test_no_invariant_breaks(outcomes: list[Outcome]) -> None:
    assert_unbroken(outcomes)


def test_every_history_had_a_crash_and_the_usual_troubles_came(outcomes: list[Outcome]) -> None:
    assert_troubled(outcomes, OFTEN)


def test_a_seed_lived_again_is_the_same_history(lived: Lived, outcomes: list[Outcome]) -> None:
    again = lived((expand(seed, kind=Kind.COLLECTIONS) for seed in HISTORIES[:2]), "")

    assert [one.fingerprint for one in again] == [one.fingerprint for one in outcomes[:2]]


@pytest.mark.parametrize("path", ["callbacks", "list", "queries"])
def test_without_one_path_of_recovery_the_others_lose_nothing(lived: Lived, path: str) -> None:
    outcomes = lived((expand(seed, without=[path], kind=Kind.COLLECTIONS) for seed in range(WITHOUT)), "")

    assert [(one.options.seed, one.violations) for one in outcomes if one.violations] == []


@pytest.mark.parametrize("seed", kept_seeds(Kind.COLLECTIONS))
def test_what_once_found_a_bug_finds_none(lived: Lived, seed: int) -> None:
    (outcome,) = lived([expand(seed, kind=Kind.COLLECTIONS)], "")

    assert outcome.violations == []


@pytest.mark.parametrize("bug", SOON_CAUGHT)
def test_a_planted_bug_is_caught(lived: Lived, bug: str) -> None:
    seeds = [FIRST.get(bug, 0), *range(SEEDS_MAX)]

    outcomes = lived((expand(seed, kind=Kind.COLLECTIONS) for seed in seeds), bug)

    assert outcomes[-1].violations, f"not caught in {len(outcomes)} histories"
