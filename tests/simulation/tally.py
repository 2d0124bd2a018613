"""What many histories come to: counts that add up, and the tables they are told in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.actors import POINTS
from tests.simulation.options import Kind
from tests.simulation.outcome import Outcome


@dataclass(slots=True)
class Tally:
    """Adds histories up. `parked` and `payouts` are by kind of rail."""

    kind: Kind = Kind.PAYOUTS
    histories: int = 0
    crashed: int = 0
    commits: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    parked: Counter[str] = field(default_factory=Counter)
    payouts: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, told: Mapping[str, Any]) -> None:
        """Adds a history, as `told()` tells it."""
        self.histories += 1
        self.crashed += bool(sum(told["deaths"].values()))
        self.commits += told["commits"]
        self.troubles.update(told["troubles"])
        self.passed.update(told["passed"])
        self.deaths.update(told["deaths"])
        self.parked[told["rail"]] += told["parked"]
        self.payouts[told["rail"]] += told["payouts"]
        self.counts.update(told["counts"])
        self.failures += [(told["seed"], one) for one in told["violations"]]


def told(outcome: Outcome) -> dict[str, Any]:
    """A history as plain data, to be sent between processes."""
    options = outcome.options
    return {
        "seed": options.seed,
        "rail": "refuses repeats" if options.refuses_repeats else "pays repeats",
        "violations": outcome.violations,
        "troubles": dict(outcome.troubles),
        "passed": dict(outcome.passed),
        "deaths": dict(outcome.deaths),
        "commits": outcome.commits,
        "parked": outcome.parked,
        "payouts": outcome.payouts,
        "counts": outcome.counts,
        "fingerprint": outcome.fingerprint,
    }


def markdown(tally: Tally, *, command: str, seconds: float) -> str:
    """The summary as a page."""
    lines = [
        f"Printed by `{command}`.",
        "",
        "| what | figure |",
        "|---|---:|",
        f"| histories | {tally.histories:,} |",
        f"| with a crash | {tally.crashed:,} |",
        f"| crashes | {tally.deaths.total():,} |",
        f"| commits | {tally.commits:,} |",
        f"| histories per minute | {60 * tally.histories / seconds:,.0f} |",
        f"| violations | {len(tally.failures):,} |",
        *(_payouts(tally) if tally.kind is Kind.PAYOUTS else [f"| {one} | {n:,} |" for one, n in tally.counts.items()]),
    ]
    lines += ["", "| trouble | times |", "|---|---:|"]
    lines += [f"| {trouble} | {tally.troubles[trouble]:,} |" for trouble in tally.kind.troubles]
    return "\n".join([*lines, "", *crash_table(tally), ""])


def _payouts(tally: Tally) -> Sequence[str]:
    payouts, parked = tally.payouts.total(), tally.parked.total()
    return [
        f"| payouts | {payouts:,} |",
        f"| parked for a person | {parked:,} ({100 * parked / max(payouts, 1):.2f} %) |",
        *(
            f"| of them where the rail {rail} | {tally.parked[rail]:,} of {count:,} "
            f"({100 * tally.parked[rail] / max(count, 1):.2f} %) |"
            for rail, count in sorted(tally.payouts.items())
        ),
    ]


def crash_table(tally: Tally) -> Sequence[str]:
    """Deaths by kind of work and point; "-" where the work has no such point."""
    works = sorted({place.partition(", ")[0] for place in tally.passed})
    rows = []
    for work in works:
        cells = [f"{tally.deaths[place]:,}" if tally.passed[place := f"{work}, {point}"] else "-" for point in POINTS]
        rows.append(f"| {work} | {' | '.join(cells)} |")
    return [f"| died while | {' | '.join(POINTS)} |", f"|---|{'---:|' * len(POINTS)}", *rows]
