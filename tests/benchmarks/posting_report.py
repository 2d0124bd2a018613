"""The posting benchmark's results as tables, and the figures it is meant to reach. Formats; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measuring import Measured, Variant, latency_ratio, rate_ratio
from tests.benchmarks.posting import CROWD, IN_FLIGHT, Results
from tests.benchmarks.reporting import Report, Section

_UNARY_COLUMNS = (">in flight", ">echo/s", ">p50 ms", ">p99 ms", ">entries/s", ">p50 ms", ">p99 ms", ">of the echo")
_WAYS_COLUMNS = ("way to post", ">entries/s", ">p50 ms of a call", ">p99 ms of a call")
_RATIO_COLUMNS = ("what", ">measured", ">aim", "reached")
_SIZE_COLUMNS = ("table", ">heap", ">indexes", ">together")


def posting_report(results: Results, *, command: str) -> Report:
    """Everything found, in reading order."""
    plan, books = results.plan, results.books
    return Report(
        title="Posting",
        command=command,
        method=(
            "PostgreSQL, the service (`daftari serve`) and the client are processes of one machine and share its cores. "
            "Every entry has two lines and a request id, and is durable when it is answered. Every way to post was warmed "
            f"up, then measured {plan.rounds} times for {plan.seconds:g} s in turns with the others; figures are medians of "
            "the rounds, ratios are medians of the ratios within a round. Compare ratios, not absolute figures."
        ),
        facts=results.facts,
        sections=[_unary(results), _ways(results), _ratios(results), _sizes(results), _memory(results)],
        verdict=(
            f"The books afterwards: {books.entries:,} entries and {books.postings:,} postings rebuilt and compared, "
            f"{books.differences_total:,} differences."
        ),
        sound=books.agrees,
    )


def _unary(results: Results) -> Section:
    rows = []
    for number in IN_FLIGHT:
        echo, unary = results.of(results.variants.echo[number]), results.of(results.variants.unary[number])
        rows.append([str(number), *_figures(echo), *_figures(unary), f"{rate_ratio(unary, echo):.0%}"])
    return Section(
        "One entry a call (PostEntry), on a hot account",
        _UNARY_COLUMNS,
        rows,
        "The echo is the same server's health check, which needs no key and touches no database. Hot: every entry debits "
        "one and the same account and credits one of a thousand.",
    )


def _ways(results: Results) -> Section:
    chosen = results.variants
    ways = (
        chosen.unary[CROWD],
        chosen.uniform,
        chosen.streamed,
        chosen.bulk,
        chosen.transaction_per_call,
        chosen.alone,
        chosen.sets,
        chosen.copied,
    )
    return Section(
        "Ways to post",
        _WAYS_COLUMNS,
        [[way.name, *_figures(results.of(way))] for way in ways],
        "A transaction per call, and in process: the same posting engine called without gRPC. COPY writes the same rows "
        "(entries, lines, request ids) into tables with the same columns, checks and indexes, without any guard.",
    )


def _figures(measured: Measured) -> list[str]:
    return [f"{measured.rate:,.0f}", f"{measured.percentile(50):,.2f}", f"{measured.percentile(99):,.2f}"]


def _ratios(results: Results) -> Section:
    return Section("Against the aims", _RATIO_COLUMNS, list(_ratio_rows(results)))


def _ratio_rows(results: Results) -> Iterator[list[str]]:
    chosen = results.variants
    crowd = chosen.unary[CROWD]

    def rate(one: Variant, other: Variant) -> float:
        return rate_ratio(results.of(one), results.of(other))

    alone = latency_ratio(results.of(chosen.unary[1]), results.of(chosen.alone))
    yield _at_least(f"PostEntry to echo, {CROWD} in flight", rate(crowd, chosen.echo[CROWD]), 0.85)
    yield _at_most(f"PostEntry, {CROWD} in flight, p99 in ms", results.of(crowd).percentile(99), 50)
    yield _at_most("a lone caller's p50 to one transaction's in process", alone, 1.3)
    yield _at_least("hot to uniform accounts", rate(crowd, chosen.uniform), 0.9)
    yield _at_least("PostEntry to a transaction per call, in process", rate(crowd, chosen.transaction_per_call), None)
    yield _at_least("StreamEntries, entries/s", results.of(chosen.streamed).rate, 12_000)
    yield _at_least("PostEntries, entries/s", results.of(chosen.bulk).rate, 12_000)
    yield _at_least("in process to raw COPY", rate(chosen.sets, chosen.copied), 0.35)
    yield _at_most("bytes per two-line entry, indexes included", _entry_bytes(results), 560)


def _at_least(name: str, measured: float, aim: float | None) -> list[str]:
    if aim is None:
        return [name, _number(measured), "", ""]
    return [name, _number(measured), f">= {_number(aim)}", _yes_or_no(measured >= aim)]


def _at_most(name: str, measured: float, aim: float) -> list[str]:
    return [name, _number(measured), f"<= {_number(aim)}", _yes_or_no(measured <= aim)]


def _yes_or_no(answer: object) -> str:
    return "yes" if answer else "no"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _entry_bytes(results: Results) -> float:
    return sum(size.heap + size.indexes for size in results.sizes)


def _sizes(results: Results) -> Section:
    rows = [
        [one.name, f"{one.heap:,.0f}", f"{one.indexes:,.0f}", f"{one.heap + one.indexes:,.0f}"] for one in results.sizes
    ]
    heap, indexes = sum(one.heap for one in results.sizes), sum(one.indexes for one in results.sizes)
    rows.append(["together", f"{heap:,.0f}", f"{indexes:,.0f}", f"{heap + indexes:,.0f}"])
    return Section("Bytes on disk per two-line entry", _SIZE_COLUMNS, rows)


def _memory(results: Results) -> Section:
    cells = [f"{size:,.0f}" if size is not None else "unknown" for size in results.memory]
    return Section(
        "Memory of the service",
        (">before, MB", ">afterwards, MB", ">entries in the books"),
        [[*cells, f"{results.books.entries:,}"]],
    )
