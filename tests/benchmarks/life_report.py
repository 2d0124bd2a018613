"""The results of the benchmark of whole lives as tables, beside the aims. Formats; measures nothing."""

from __future__ import annotations

from tests.benchmarks.life import CALLBACKS_IN_FLIGHT, IN_FLIGHT, PER_SECOND, Results
from tests.benchmarks.life_rig import BUSY, PARTS
from tests.benchmarks.measuring import Measured
from tests.benchmarks.reporting import Report, Section, yes_or_no

LIVES_A_SECOND, CALLBACKS_A_SECOND, REDEMPTION_MILLISECONDS_MAX = 500, 2_000, 200.0
_METHOD = """\
PostgreSQL, each role of the service (`daftari serve --role grpc`, `http`, `worker`: one process each), the sandbox
(`daftari sandbox`) and the client, which is the partner with its receiver of webhooks, are processes of one machine and
share its cores. A life is RequestPayout over gRPC, the call to the provider, its callback, the settlement, and the
webhook, each over real sockets; {in_flight} are in flight, and a round ends with its last webhook. Callbacks are true
results of payouts taken in before, {callbacks} at once over {callers} connections, until the last of them is settled.
Redemptions are RequestPayout at {pace} a second whether or not those before were answered, their lives going on behind
them. Settings other than the shipped: {settings}. Measured {rounds} times, in turns, lives and redemptions for
{seconds:g} s; figures are medians of the rounds."""
_REACHED_NOTE = """\
Milliseconds: of a life from the request to the arrival of its webhook, of a callback to its answer, of a redemption
from the moment when the call was to begin to its answer."""
_PROFILE_NOTE = """\
Microseconds of processor time. Two cores have 2,000,000 in a second for everything together: 2,000,000 divided by
what one item takes of all parts is the most a second that two cores can do, with nothing else on them. Where other
work has most of the machine, an item takes more than alone, for caches are cold and sets are small.

Where it goes, what was tried and what is left stands in where-the-time-goes.md."""


def life_report(results: Results, *, command: str) -> Report:
    """Everything found."""
    plan, tally = results.plan, results.tally
    return Report(
        title="Whole lives of payouts",
        command=command,
        method=_METHOD.format(
            in_flight=IN_FLIGHT,
            callbacks=f"{plan.callbacks:,}",
            callers=CALLBACKS_IN_FLIGHT,
            pace=PER_SECOND,
            settings=", ".join(f"{name} {value}" for name, value in BUSY.items()),
            rounds=plan.rounds,
            seconds=plan.seconds,
        ),
        facts=results.facts,
        sections=[_reached(results), _profile(results)],
        verdict=(
            f"Of {tally.requested:,} payouts requested {tally.settled:,} are settled, the provider paid {tally.paid:,} "
            f"and {tally.told:,} were told by webhook ({tally.repeated:,} told again, {tally.detours:,} were unknown "
            f"for a while); of {tally.called_back:,} results called back {tally.booked:,} are settled; the books agree."
        ),
        sound=tally.sound,
    )


def _reached(results: Results) -> Section:
    lives, callbacks, redemptions = results.lives, results.callbacks, results.redemptions
    p99 = redemptions.percentile(99)
    rows = [
        [
            "payouts through the whole life", *_figures(lives),
            f">= {LIVES_A_SECOND:,} a second", yes_or_no(lives.rate >= LIVES_A_SECOND),
        ],
        [
            "callbacks ingested and settled", *_figures(callbacks),
            f">= {CALLBACKS_A_SECOND:,} a second", yes_or_no(callbacks.rate >= CALLBACKS_A_SECOND),
        ],
        [
            f"redemptions, {PER_SECOND} a second", *_figures(redemptions),
            f"p99 <= {REDEMPTION_MILLISECONDS_MAX:.0f} ms", yes_or_no(p99 <= REDEMPTION_MILLISECONDS_MAX),
        ],
    ]  # fmt: skip
    return Section(
        "What is reached", ("what", ">a second", ">p50 ms", ">p99 ms", "aim", "reached"), rows, _REACHED_NOTE
    )


def _figures(measured: Measured) -> list[str]:
    return [f"{measured.rate:,.0f}", f"{measured.percentile(50):,.0f}", f"{measured.percentile(99):,.0f}"]


def _profile(results: Results) -> Section:
    kinds = {"a life": results.lives, "a callback": results.callbacks}
    rows = []
    for name, measured in kinds.items():
        taken = [measured.processor(part) for part in PARTS]
        rows.append([name, *(f"{one:,.0f}" for one in taken), f"{sum(taken):,.0f}"])
    return Section("Where the time goes", ("what", *(f">{part}" for part in PARTS), ">all"), rows, _PROFILE_NOTE)
