"""Planted bugs: each a small change of the product that loses, doubles or hides money. Every one must be caught.

A simulation proves only what its world can do; these are the measure of what it can. Each is named by what it gets
wrong and stands in the module of its part of the product: planted_in_*.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from tests.simulation.options import Kind

Change: TypeAlias = Callable[[Any, Any, Any], None]
Plant: TypeAlias = Callable[[Change], None]
# By what the histories that must catch them are about.
PLANTED: dict[str, Plant] = {}
PLANTED_IN_MONEY_IN: dict[str, Plant] = {}
PLANTED_IN_PROMOTIONS: dict[str, Plant] = {}
PLANTED_IN_STATEMENTS: dict[str, Plant] = {}


def planted(plant: Plant) -> Plant:
    """Keeps a bug under the name of its function."""
    return _keep(PLANTED, plant)


def planted_in_money_in(plant: Plant) -> Plant:
    """The same for one of money in."""
    return _keep(PLANTED_IN_MONEY_IN, plant)


def planted_in_promotions(plant: Plant) -> Plant:
    """The same for one of promotions and of the wallet that pays them."""
    return _keep(PLANTED_IN_PROMOTIONS, plant)


def planted_in_statements(plant: Plant) -> Plant:
    """The same for one of statements: of taking them in, matching, adjusting and closing."""
    return _keep(PLANTED_IN_STATEMENTS, plant)


def _keep(kept: dict[str, Plant], plant: Plant) -> Plant:
    name = plant.__name__.replace("_", "-")
    assert name not in _all_planted(), f"two bugs of the name {name}"
    kept[name] = plant
    return plant


def _all_planted() -> dict[str, Plant]:
    return PLANTED | PLANTED_IN_MONEY_IN | PLANTED_IN_PROMOTIONS | PLANTED_IN_STATEMENTS


def bugs_of(kind: Kind) -> dict[str, Plant]:
    """Those that histories of a kind must catch."""
    return {
        Kind.PAYOUTS: PLANTED, Kind.COLLECTIONS: PLANTED_IN_MONEY_IN, Kind.PROMOTIONS: PLANTED_IN_PROMOTIONS,
        Kind.STATEMENTS: PLANTED_IN_STATEMENTS,
    }[kind]  # fmt: skip


def part(name: str) -> Any:
    """A module of the product, to be changed: what it holds is nobody's business but the bug's."""
    return importlib.import_module(name)


def sow_all() -> None:
    """Makes every bug known."""
    from tests.simulation import (
        planted_in_judging,
        planted_in_money_in,
        planted_in_promotions,
        planted_in_proofs,
        planted_in_requests_and_webhooks,
        planted_in_returns_and_loans,
        planted_in_sending,
        planted_in_statements,
        planted_in_states_and_booking,
    )

    parts = [
        planted_in_judging, planted_in_money_in, planted_in_promotions, planted_in_proofs,
        planted_in_requests_and_webhooks,
        planted_in_returns_and_loans, planted_in_sending, planted_in_statements,
        planted_in_states_and_booking,
    ]  # fmt: skip
    assert all(parts), "importing them makes their bugs known"


@contextmanager
def sown(name: str) -> Iterator[None]:
    """The product with one bug in it."""
    before: list[tuple[Any, Any, Any]] = []

    def change(place: Any, key: Any, value: Any) -> None:
        if isinstance(place, dict):
            before.append((place, key, place[key]))
            place[key] = value
        else:
            before.append((place, key, place.__dict__[key]))
            setattr(place, key, value)

    _all_planted()[name](change)
    try:
        yield
    finally:
        for place, key, value in reversed(before):
            if isinstance(place, dict):
                place[key] = value
            else:
                setattr(place, key, value)
