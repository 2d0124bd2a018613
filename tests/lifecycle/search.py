"""Breadth first through every world that any order of steps leads to: the shortest way to a broken rule, or none."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.lifecycle import books, surrounding, working
from tests.lifecycle.rules import at_rest, broken
from tests.lifecycle.world import Surroundings, World

# Ours go on by themselves; by them alone a payout must come to rest, whatever the others leave undone.
OURS = (working.claims, working.calls, working.records, surrounding.judgements, surrounding.silences)
OTHERS = (
    working.crashes,
    surrounding.providers,
    surrounding.deliveries,
    surrounding.partners,
    surrounding.operators,
)
_TOLD_EVERY = 20_000


@dataclass(slots=True)
class Found:
    """What a search came to. `cells` counts those of the state table that were asked; `way` is the shortest to the
    violation, in words."""

    states: int = 0
    edges: int = 0
    depth: int = 0
    cells: int = 0
    seconds: float = 0.0
    violation: str = ""
    way: list[str] = field(default_factory=list)


class Graph:
    """Worlds by number in the order they were found, how each was reached first, and who leads to whom."""

    def __init__(self) -> None:
        self.worlds: list[World] = []
        self.edges = 0
        self._numbers: dict[World, int] = {}
        self._parents = array("l")
        self._words: list[str] = []
        self._depths = array("l")
        self._sources, self._targets = array("l"), array("l")

    def enter(self, world: World, *, parent: int, words: str) -> int:
        """The world's number; a new one if it was not known."""
        known = self._numbers.get(world)
        if known is not None:
            return known
        number = self._numbers[world] = len(self.worlds)
        self.worlds.append(world)
        self._parents.append(parent)
        self._words.append(words)
        self._depths.append(self._depths[parent] + 1 if number else 0)
        return number

    def expand(self, number: int, around: Surroundings) -> None:
        """Enters all that one step leads to; keeps the edges of our own steps."""
        world = self.worlds[number]
        for kinds, ours in ((OURS, True), (OTHERS, False)):
            for steps in kinds:
                for words, after in steps(world, around):
                    target = self.enter(after, parent=number, words=words)
                    self.edges += 1
                    if ours:
                        self._sources.append(number)
                        self._targets.append(target)

    def depth(self) -> int:
        """Steps to the farthest world."""
        return max(self._depths)

    def way(self, number: int) -> list[str]:
        """The shortest way to a world: each step in words, with the state the payout is in after it."""
        lines: list[str] = []
        while number > 0:
            lines.append(f"{self._words[number]} -> {self.worlds[number].state.name}")
            number = self._parents[number]
        return lines[::-1]

    def stuck(self) -> int | None:
        """The first world from which our own steps lead to no rest."""
        rests = bytearray(at_rest(world) for world in self.worlds)
        before = self._sources_by_target()
        found = [number for number, rest in enumerate(rests) if rest]
        while found:
            for source in before(found.pop()):
                if not rests[source]:
                    rests[source] = 1
                    found.append(source)
        number = rests.find(0)
        return None if number < 0 else number

    def _sources_by_target(self) -> Callable[[int], array[int]]:
        firsts = array("l", bytes(8 * (len(self.worlds) + 1)))
        for target in self._targets:
            firsts[target + 1] += 1
        for number in range(len(self.worlds)):
            firsts[number + 1] += firsts[number]
        places, sorted_sources = array("l", firsts), array("l", bytes(8 * len(self._sources)))
        for source, target in zip(self._sources, self._targets, strict=True):
            sorted_sources[places[target]] = source
            places[target] += 1
        return lambda target: sorted_sources[firsts[target] : firsts[target + 1]]


def search(
    around: Surroundings,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    tell: Callable[[int], None] = lambda _: None,
) -> Found:
    """Every world, or all up to the first that breaks a rule. `tell` hears now and then how many were found."""
    began, graph = monotonic(), Graph()
    books.forget()
    surrounding.forget()
    graph.enter(World(), parent=0, words="")
    number, violation = 0, None
    while number < len(graph.worlds) and violation is None:
        violation = broken(graph.worlds[number])
        graph.expand(number, around)
        if number % _TOLD_EVERY == 0:
            tell(len(graph.worlds))
        number += 1
    wrong: int | None = number - 1
    if violation is None:
        wrong = graph.stuck()
        violation = "from here nothing that we do brings the payout to an end or before a person" if wrong else None
    return Found(
        states=len(graph.worlds),
        edges=graph.edges,
        depth=graph.depth(),
        cells=len(books.ASKED),
        seconds=monotonic() - began,
        violation=violation or "",
        way=graph.way(wrong) if violation and wrong else [],
    )
