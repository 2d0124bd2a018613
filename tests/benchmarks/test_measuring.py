"""The arithmetic of the benchmarks: percentiles, medians, ratios within a round, and who runs when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.benchmarks.measuring import (
    Measured,
    Plan,
    Sample,
    Variant,
    interleave,
    latency_ratio,
    percentile_ratio,
    rate_ratio,
    runs_of,
)

PLAN = Plan(rounds=2, seconds=1.0, warmup_seconds=0.5)


def sample(*, rate: int = 100, call_seconds: Sequence[float] = (0.001,)) -> Sample:
    return Sample(items=rate, seconds=1.0, call_seconds=call_seconds)


def test_percentiles_are_calls_in_milliseconds() -> None:
    hundred = sample(call_seconds=[number / 1000 for number in range(100, 0, -1)])

    assert hundred.percentile(50) == pytest.approx(51)
    assert hundred.percentile(99) == pytest.approx(100)
    assert sample(call_seconds=[0.007]).percentile(99) == pytest.approx(7)


def test_figures_are_medians_of_the_rounds() -> None:
    measured = Measured([sample(rate=rate, call_seconds=[rate / 1000]) for rate in (10, 90, 30)])

    assert measured.rate == 30
    assert measured.percentile(50) == pytest.approx(30)


def test_ratios_are_taken_within_a_round() -> None:
    """The machine was ten times as fast in the second round; the ratio does not see it."""
    one = Measured([sample(rate=20, call_seconds=[0.02]), sample(rate=200, call_seconds=[0.002])])
    other = Measured([sample(rate=10, call_seconds=[0.01]), sample(rate=100, call_seconds=[0.001])])

    assert rate_ratio(one, other) == 2
    assert latency_ratio(one, other) == percentile_ratio(one, other, percent=99) == pytest.approx(2)


async def test_every_variant_is_warmed_up_and_runs_in_every_round_backwards_in_every_other() -> None:
    runs: list[tuple[str, float]] = []
    told: list[str] = []
    used = iter(range(100))

    def variant(name: str) -> Variant:
        async def run(seconds: float) -> Sample:
            runs.append((name, seconds))
            return sample()

        return Variant(name, run)

    variants = [variant("a"), variant("b")]
    measured = await interleave(variants, plan=PLAN, told=told.append, meter=lambda: {"service": next(used)})

    assert runs == [("a", 0.5), ("b", 0.5), ("a", 1.0), ("b", 1.0), ("b", 1.0), ("a", 1.0)]
    assert len(told) == runs_of(variants, plan=PLAN) == len(runs)
    assert measured["a"].processor("service") == pytest.approx(1_000_000 / 100)
