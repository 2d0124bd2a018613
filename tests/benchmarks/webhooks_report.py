"""The webhook benchmark's results as a table, beside what scenario 25 promises. Formats; measures nothing."""

from __future__ import annotations

from tests.benchmarks.measuring import percentile_ratio
from tests.benchmarks.reporting import Report, Section, yes_or_no
from tests.benchmarks.webhooks import EVENTS_PER_SECOND, OTHERS, OTHERS_EVENTS_PER_SECOND, Results

RATIO_MAX = 2.0
_METHOD = """\
PostgreSQL, one worker (`daftari serve --role worker`, shipped settings) and the client, which makes the events and is
every partner's receiver, are processes of one machine and share its cores. The partner watched has {rate:g} events a
second, {others} others have {other_rate:g} each; an event is a payout cancelled. Receivers that hang take every request
and never answer. Measured {rounds} times for {seconds:g} s, in turns; figures are medians of the rounds, ratios medians
of the ratios within a round."""
_NOTE = """\
Milliseconds from an event to its arrival at the watched partner's receiver, which answers at once. An idle worker looks
for work five times a second, which is most of the median."""


def webhooks_report(results: Results, *, command: str) -> Report:
    """Everything found."""
    plan, tally = results.plan, results.tally
    method = _METHOD.format(
        rate=EVENTS_PER_SECOND,
        others=OTHERS,
        other_rate=OTHERS_EVENTS_PER_SECOND,
        rounds=plan.rounds,
        seconds=plan.seconds,
    )
    return Report(
        title="Webhooks while receivers hang",
        command=command,
        method=method,
        facts=results.facts,
        sections=[_lateness(results)],
        verdict=f"Of {tally.made:,} events of the watched partner {tally.arrived:,} arrived; the books agree.",
        sound=tally.made == tally.arrived,
    )


def _lateness(results: Results) -> Section:
    rows = []
    baseline = results.of(0)
    for hanging, variant in results.variants.items():
        measured = results.of(hanging)
        figures = [f"{measured.percentile(percent):,.0f}" for percent in (50, 99)]
        ratio = percentile_ratio(measured, baseline, percent=99)
        aim = [f"<= {RATIO_MAX:.2f}", yes_or_no(ratio <= RATIO_MAX)] if hanging else ["", ""]
        rows.append([variant.name, *figures, f"{ratio:.2f}", *aim])
    columns = ("others", ">p50 ms", ">p99 ms", ">p99 to none hanging", ">aim", "reached")
    return Section("How late the others' partner is told", columns, rows, _NOTE)
