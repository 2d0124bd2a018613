"""Faults put in on purpose: scripted ones, seeded rates, and what may happen to a callback on its way.

Chooses behaviours and draws lots; carries nothing out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.sandbox import magic
from adapters.sandbox.magic import Behaviour


@dataclass(frozen=True, slots=True)
class Scripted:
    """The next `count` requests to `msisdn` (None: to anyone) get this behaviour, whatever their number says."""

    behaviour: str
    count: int
    msisdn: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Rate:
    """The share, 0 to 1, of otherwise plain requests that get this behaviour."""

    behaviour: str
    share: float


@dataclass(frozen=True, slots=True)
class CallbackFaults:
    """On the way of every callback: a delay in seconds plus up to `jitter_seconds` (which reorders), and the shares,
    0 to 1, that never arrive or arrive twice."""

    delay_seconds: float = 0.05
    jitter_seconds: float = 0.0
    drop_rate: float = 0.0
    duplicate_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Journey:
    """What one callback meets on its way: how long it waits, and how many copies of it leave (none: it is lost)."""

    delay_seconds: float
    copies: int


class Faults:
    """Scripted faults come first, then the magic numbers, then the rates."""

    def __init__(self, *, callbacks: CallbackFaults, seed: int) -> None:
        self._callbacks_at_start = callbacks
        self._seed_at_start = seed
        self.clear()

    def clear(self) -> None:
        """No script, no rates, callbacks as at start, the first seed again."""
        self.scripted: list[Scripted] = []
        self.rates: tuple[Rate, ...] = ()
        self.callbacks = self._callbacks_at_start
        self.reseed(self._seed_at_start)

    def reseed(self, seed: int) -> None:
        """Starts the lots over: a seed and an order of requests give the same faults again."""
        self._random = random.Random(seed)

    def script(self, scripted: Sequence[Scripted]) -> None:
        """Appends to the script; earlier lines are used up first."""
        self.scripted.extend(scripted)

    def choose(self, msisdn: str) -> Behaviour:
        """The behaviour for one request, using up a scripted fault if one matches."""
        for index, fault in enumerate(self.scripted):
            if fault.msisdn in {None, msisdn}:
                self._use_up(index)
                return magic.BEHAVIOURS[fault.behaviour]
        behaviour = magic.behaviour_of(msisdn)
        return self._drawn() if behaviour is magic.SUCCESS else behaviour

    def journey(self) -> Journey:
        """What the next callback will meet."""
        delay_seconds = self.callbacks.delay_seconds + self._random.uniform(0, self.callbacks.jitter_seconds)
        lot = self._random.random()
        if lot < self.callbacks.drop_rate:
            return Journey(delay_seconds, copies=0)
        doubled = lot < self.callbacks.drop_rate + self.callbacks.duplicate_rate
        return Journey(delay_seconds, copies=2 if doubled else 1)

    def _use_up(self, index: int) -> None:
        fault = self.scripted.pop(index)
        if fault.count > 1:
            self.scripted.insert(index, Scripted(fault.behaviour, fault.count - 1, fault.msisdn))

    def _drawn(self) -> Behaviour:
        lot = self._random.random()
        for rate in self.rates:
            if lot < rate.share:
                return magic.BEHAVIOURS[rate.behaviour]
            lot -= rate.share
        return magic.SUCCESS
