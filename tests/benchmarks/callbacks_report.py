"""The callback benchmark's results as a table, beside what is promised to providers. Formats; measures nothing."""

from __future__ import annotations

from tests.benchmarks.callbacks import Results
from tests.benchmarks.measuring import Variant, latency_ratio
from tests.benchmarks.reporting import Report, Section, yes_or_no

ANSWER_MILLISECONDS_MAX = 100.0
_METHOD = """\
PostgreSQL, the callback edge (`daftari serve --role http`), a worker that judges what was stored meanwhile, and the
client, which plays the provider, are processes of one machine and share its cores. A callback is a result of the
provider's documented form on an unguessable path of its own; it is sealed, written and committed before it is answered.
Measured {rounds} times for {seconds:g} s, in turns; figures are medians of the rounds, ratios medians of the ratios
within a round."""
_NOTE = """\
Milliseconds from the request to the whole answer. At a pace, they count from the moment when the call was to begin. The
aim is for callbacks at a pace; as fast as they are answered, the machine is the limit."""


def callbacks_report(results: Results, *, command: str) -> Report:
    """Everything found."""
    plan, tally = results.plan, results.tally
    return Report(
        title="Callbacks",
        command=command,
        method=_METHOD.format(rounds=plan.rounds, seconds=plan.seconds),
        facts=results.facts,
        sections=[_answers(results)],
        verdict=(
            f"Of {tally.answered:,} callbacks answered {tally.stored:,} are stored; {tally.judged:,} were judged by "
            "the end."
        ),
        sound=tally.answered == tally.stored,
    )


def _answers(results: Results) -> Section:
    rows = [_row(results, results.echo, aim=False)]
    rows += [_row(results, one, aim=False) for one in results.closed.values()]
    rows += [_row(results, one, aim=True) for one in results.paced.values()]
    columns = ("what", ">a second", ">p50 ms", ">p99 ms", ">p50 to a health check", ">aim for p99", "reached")
    return Section("How long a provider waits", columns, rows, _NOTE)


def _row(results: Results, variant: Variant, *, aim: bool) -> list[str]:
    measured = results.of(variant)
    p99 = measured.percentile(99)
    figures = [f"{measured.rate:,.0f}", f"{measured.percentile(50):,.1f}", f"{p99:,.1f}"]
    reached = [f"<= {ANSWER_MILLISECONDS_MAX:.0f}", yes_or_no(p99 <= ANSWER_MILLISECONDS_MAX)] if aim else ["", ""]
    return [variant.name, *figures, f"{latency_ratio(measured, results.of(results.echo)):.2f}", *reached]
