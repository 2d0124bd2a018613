"""Variants measured in turns: warmed up, interleaved round by round, compared by the median of their rounds.

On a machine that others use too, absolute figures drift by the minute; ratios within one round hardly do, and least of
all does the processor time that an item takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TypeAlias

MILLISECONDS, MICROSECONDS = 1e3, 1e6

Meter: TypeAlias = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long a benchmark takes: every variant once for `warmup_seconds`, then `rounds` times for `seconds`."""

    rounds: int
    seconds: float
    warmup_seconds: float


FULL = Plan(rounds=5, seconds=1.8, warmup_seconds=1.0)
QUICK = Plan(rounds=1, seconds=0.4, warmup_seconds=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One variant in one round: `items` done in `seconds`, how long each call took (a call may carry many items), and
    the processor time of each part by its name."""

    items: int
    seconds: float
    call_seconds: Sequence[float]
    processor_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.items / self.seconds

    def percentile(self, percent: float) -> float:
        """Milliseconds that `percent` of the calls stayed within."""
        ordered = sorted(self.call_seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * MILLISECONDS

    def processor(self, part: str) -> float:
        """Microseconds of processor time that an item took of a part."""
        return self.processor_seconds.get(part, 0.0) / self.items * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Variant:
    """A named way to work for a number of seconds."""

    name: str
    run: Callable[[float], Awaitable[Sample]]


@dataclass(slots=True)
class Measured:
    """The rounds of one variant."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Items per second, the median of the rounds."""
        return median(sample.rate for sample in self.samples)

    def percentile(self, percent: float) -> float:
        """Milliseconds, the median of the rounds."""
        return median(sample.percentile(percent) for sample in self.samples)

    def processor(self, part: str) -> float:
        """Microseconds an item, the median of the rounds."""
        return median(sample.processor(part) for sample in self.samples)


def rate_ratio(one: Measured, other: Measured) -> float:
    """How many times the rate of the other: the median over rounds of the ratio within a round."""
    return median(a.rate / b.rate for a, b in zip(one.samples, other.samples, strict=True))


def latency_ratio(one: Measured, other: Measured) -> float:
    """How many times the median latency of the other, likewise."""
    return percentile_ratio(one, other, percent=50)


def percentile_ratio(one: Measured, other: Measured, *, percent: float) -> float:
    """How many times the latency that `percent` of the other's calls stayed within, likewise."""
    return median(
        a.percentile(percent) / b.percentile(percent) for a, b in zip(one.samples, other.samples, strict=True)
    )


async def interleave(
    variants: Sequence[Variant], *, plan: Plan, told: Callable[[str], None], meter: Meter
) -> Mapping[str, Measured]:
    """Runs every variant in every round. `told` hears of each run before it starts (runs_of() says how many come);
    `meter` says what processor time each part has used so far, in seconds."""
    measured = {variant.name: Measured() for variant in variants}
    for variant in variants:
        told(f"warming up: {variant.name}")
        await variant.run(plan.warmup_seconds)
    for number in range(1, plan.rounds + 1):
        # Every other round runs backwards, so that nobody always follows the same neighbour.
        for variant in variants if number % 2 else reversed(variants):
            told(f"round {number} of {plan.rounds}: {variant.name}")
            measured[variant.name].samples.append(await _metered(variant, plan.seconds, meter))
    return measured


def runs_of(variants: Sequence[Variant], *, plan: Plan) -> int:
    """How many runs interleave() makes."""
    return len(variants) * (plan.rounds + 1)


async def _metered(variant: Variant, seconds: float, meter: Meter) -> Sample:
    before = meter()
    sample = await variant.run(seconds)
    after = meter()
    return replace(sample, processor_seconds={part: after[part] - before[part] for part in after})
