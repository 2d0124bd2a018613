"""A search in words: a row of the table, and the shortest way to a broken rule as a timeline. Pure."""

from __future__ import annotations

from tests.lifecycle.search import Found
from tests.lifecycle.world import Surroundings

HEAD = """\
| surroundings | crashes | worlds | steps | farthest | cells asked | broken rules |
|---|---:|---:|---:|---:|---:|---|"""


def row(name: str, around: Surroundings, found: Found) -> str:
    """Of the table under HEAD."""
    counts = f"{around.crashes_max} | {found.states:,} | {found.edges:,} | {found.depth} | {found.cells}"
    return f"| {name} | {counts} | {found.violation or 'none'} |"


def timeline(found: Found) -> str:
    """Every step to the broken rule, with the state of the payout after it."""
    steps = [f"{number:3}  {words}" for number, words in enumerate(found.way, start=1)]
    return "\n".join([*steps, f"     broken: {found.violation}"])
