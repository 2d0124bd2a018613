"""The life cycle searched to its end, and the proof that the search would see a broken rule."""

from __future__ import annotations

import sys

import pytest

from ledger.payouts.payout import TRANSITIONS, Event, State
from tests.lifecycle import books, telling
from tests.lifecycle.mutations import MUTATIONS, broken_by
from tests.lifecycle.scopes import NEVER_ASKED, SMALL
from tests.lifecycle.search import Found, search

Cell = tuple[Event, State]


@pytest.fixture(scope="module")
def searched() -> dict[str, tuple[Found, frozenset[Cell]]]:
    """What each search came to, and the cells of the state table that it asked."""
    return {name: (search(around), frozenset(books.ASKED)) for name, around in SMALL.items()}


@pytest.mark.parametrize("name", SMALL)
def test_no_order_of_steps_breaks_a_rule(searched: dict[str, tuple[Found, frozenset[Cell]]], name: str) -> None:
    found, _ = searched[name]

    sys.stdout.write(telling.row(name, SMALL[name], found) + "\n")
    assert found.violation == "", telling.timeline(found)


def test_every_cell_of_the_state_table_is_asked_or_known_as_out_of_reach(
    searched: dict[str, tuple[Found, frozenset[Cell]]],
) -> None:
    asked = frozenset[Cell]().union(*(cells for _, cells in searched.values()))
    unreached = {(event, state) for row in NEVER_ASKED.values() for event, states in row.items() for state in states}

    assert asked.isdisjoint(unreached)
    assert asked | unreached == {(event, state) for event, row in TRANSITIONS.items() for state in row}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_rule_is_found(name: str) -> None:
    with broken_by(name) as around:
        found = search(around)

    sys.stdout.write(f"{name}: {found.states:,} worlds\n{telling.timeline(found)}\n")
    assert found.violation
    assert found.way


def test_there_are_enough_of_them() -> None:
    assert len(MUTATIONS) >= 25
