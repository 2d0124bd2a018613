"""The posting benchmark's results as tables, beside the figures it is meant to reach. Formats; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measuring import Measured, Variant, latency_ratio, rate_ratio
from tests.benchmarks.plot import Axis, Chart, Line, Scale
from tests.benchmarks.posting import CROWD, IN_FLIGHT, Results
from tests.benchmarks.reporting import Report, Section, yes_or_no
from tests.benchmarks.rig import CLIENT, POSTGRESQL, SERVICE

_METHOD = """\
PostgreSQL, the service (`daftari serve`) and the client are processes of one machine and share its cores. Every entry
has two lines and a request id and is durable when it is answered. Every way to post was warmed up, then measured
{rounds} times for {seconds:g} s, in turns with the others. Figures are medians of the rounds; ratios are medians of the
ratios within a round. Compare ratios and processor times: absolute rates are the machine's as much as the program's."""
_UNARY_NOTE = """\
The echo is the same server's health check, which needs no key and touches no database. Hot: every entry debits one and
the same account and credits one of a thousand; uniform: it debits and credits one of a thousand each."""
_WAYS_NOTE = """\
A transaction per call, and in process: the same posting engine, called without gRPC. COPY writes the same rows
(headers, lines, request ids) into tables with the same columns, checks and indexes, but without any guard."""
_PROCESSOR_NOTE = """\
Microseconds of processor time, user and system. The client's own work counts as well: where the posting engine is
called in process, it is the client's."""

_IN_FLIGHT_AXIS = Axis(title="calls in flight", scale=Scale.LOGARITHMIC)


def posting_report(results: Results, *, command: str) -> Report:
    """Everything found, in reading order."""
    plan, books = results.plan, results.books
    return Report(
        title="Posting",
        command=command,
        method=_METHOD.format(rounds=plan.rounds, seconds=plan.seconds),
        facts=results.facts,
        sections=[section(results) for section in (_unary, _ways, _aims, _processor, _sizes, _memory)],
        verdict=(
            f"The books afterwards: {books.entries:,} entries and {books.postings:,} postings rebuilt and compared, "
            f"{books.differences_total:,} differences."
        ),
        sound=books.agrees,
        charts=[_rates_chart(results), _latency_chart(results)],
    )


def _unary(results: Results) -> Section:
    rows = []
    for number in IN_FLIGHT:
        echo, unary = results.of(results.variants.echo[number]), results.of(results.variants.unary[number])
        rows.append([str(number), *_figures(echo), *_figures(unary), f"{rate_ratio(unary, echo):.2f}"])
    columns = (">in flight", ">echo/s", ">p50 ms", ">p99 ms", ">entries/s", ">p50 ms", ">p99 ms", ">to the echo")
    return Section("One entry a call (PostEntry), on a hot account", columns, rows, _UNARY_NOTE)


def _rates_chart(results: Results) -> Chart:
    lines = [
        Line("echo", [(number, results.of(results.variants.echo[number]).rate) for number in IN_FLIGHT]),
        Line("PostEntry, hot", [(number, results.of(results.variants.unary[number]).rate) for number in IN_FLIGHT]),
    ]
    y = Axis(title="calls answered per second")
    return Chart(name="posting-rate", title="One entry a call", x=_IN_FLIGHT_AXIS, y=y, lines=lines)


def _latency_chart(results: Results) -> Chart:
    measured = {number: results.of(results.variants.unary[number]) for number in IN_FLIGHT}
    lines = [
        Line(f"PostEntry, p{percent}", [(number, one.percentile(percent)) for number, one in measured.items()])
        for percent in (50, 99)
    ]
    y = Axis(title="milliseconds to the answer", scale=Scale.LOGARITHMIC)
    return Chart(name="posting-latency", title="Time of one entry a call", x=_IN_FLIGHT_AXIS, y=y, lines=lines)


def _ways(results: Results) -> Section:
    columns = ("way to post", ">entries/s", ">p50 ms of a call", ">p99 ms of a call")
    rows = [[way.name, *_figures(results.of(way))] for way in results.variants.ways]
    return Section("Ways to post", columns, rows, _WAYS_NOTE)


def _figures(measured: Measured) -> list[str]:
    return [f"{measured.rate:,.0f}", f"{measured.percentile(50):,.2f}", f"{measured.percentile(99):,.2f}"]


def _aims(results: Results) -> Section:
    return Section("Against the aims", ("what", ">measured", ">aim", "reached"), list(_aim_rows(results)))


def _aim_rows(results: Results) -> Iterator[list[str]]:
    chosen = results.variants
    crowd, lone = chosen.unary[CROWD], chosen.unary[1]

    def rate(one: Variant, other: Variant) -> float:
        return rate_ratio(results.of(one), results.of(other))

    yield _at_least(f"PostEntry to echo, {CROWD} in flight", rate(crowd, chosen.echo[CROWD]), 0.85)
    yield _at_most(f"PostEntry, {CROWD} in flight, p99 in ms", results.of(crowd).percentile(99), 50)
    yield _measured_only("PostEntry to a transaction per call in process", rate(crowd, chosen.transaction_per_call))
    lone_ratio = latency_ratio(results.of(lone), results.of(chosen.alone))
    yield _at_most("a lone PostEntry's p50 to a transaction's in process", lone_ratio, 1.3)
    yield _at_least("hot to uniform accounts", rate(crowd, chosen.uniform), 0.9)
    yield _at_least("StreamEntries, entries/s", results.of(chosen.streamed_many).rate, 12_000)
    yield _at_least("PostEntries, entries/s", results.of(chosen.bulk).rate, 12_000)
    yield _at_least("in process to raw COPY", rate(chosen.sets, chosen.copied), 0.35)
    yield _at_most("bytes per two-line entry, indexes included", results.entry_bytes, 560)
    yield _measured_only("bytes that its request id adds, index included", results.key_bytes)


def _at_least(name: str, measured: float, aim: float) -> list[str]:
    return [name, _number(measured), f">= {_number(aim)}", yes_or_no(measured >= aim)]


def _at_most(name: str, measured: float, aim: float) -> list[str]:
    return [name, _number(measured), f"<= {_number(aim)}", yes_or_no(measured <= aim)]


def _measured_only(name: str, measured: float) -> list[str]:
    return [name, _number(measured), "", ""]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _processor(results: Results) -> Section:
    parts = (SERVICE, POSTGRESQL, CLIENT)
    rows = []
    for variant in (results.variants.echo[CROWD], *results.variants.ways):
        times = [results.of(variant).processor(part) for part in parts]
        rows.append([variant.name, *(f"{time:,.0f}" for time in (*times, sum(times)))])
    columns = ("what", *(f">{part}" for part in parts), ">together")
    return Section("Processor time per call or entry", columns, rows, _PROCESSOR_NOTE)


def _sizes(results: Results) -> Section:
    sizes = [(one.name, one.heap, one.indexes) for one in results.sizes]
    sizes.append(("together", sum(one.heap for one in results.sizes), sum(one.indexes for one in results.sizes)))
    rows = [[name, f"{heap:,.0f}", f"{indexes:,.0f}", f"{heap + indexes:,.0f}"] for name, heap, indexes in sizes]
    return Section("Bytes on disk per two-line entry", ("table", ">heap", ">indexes", ">together"), rows)


def _memory(results: Results) -> Section:
    sizes = [f"{size:,.0f}" if size is not None else "unknown" for size in results.memory]
    columns = (">before, MB", ">afterwards, MB", ">entries in the books")
    return Section("Resident memory of the service", columns, [[*sizes, f"{results.books.entries:,}"]])
