"""The memory benchmark's results as a table and a chart, beside the figure to stay within. Measures nothing."""

from __future__ import annotations

from tests.benchmarks.memory import IN_FLIGHT, Results
from tests.benchmarks.plot import Axis, Chart, Line
from tests.benchmarks.reporting import Report, Section, yes_or_no

MEGABYTES_MAX = 150.0
_METHOD = """\
The service (`daftari serve --role grpc`, shipped settings) takes {entries:,} entries over gRPC, PostEntries of a
thousand, {in_flight} in flight, on a hot account and a thousand others. Megabytes (2^20 bytes) are what the system
calls resident, code and shared libraries included."""


def memory_report(results: Results, *, command: str) -> Report:
    """Everything found."""
    books = results.books
    return Report(
        title="Memory",
        command=command,
        method=_METHOD.format(entries=results.samples[-1][0], in_flight=IN_FLIGHT),
        facts=results.facts,
        sections=[_memory(results)],
        charts=[
            Chart(
                name="memory",
                title="The service's memory as it posts",
                x=Axis(title="entries posted"),
                y=Axis(title="resident megabytes"),
                lines=[Line("service", results.samples)],
            )
        ],
        verdict=(
            f"The books afterwards: {books.entries:,} entries and {books.postings:,} postings rebuilt and compared, "
            f"{books.differences_total:,} differences."
        ),
        sound=books.agrees,
    )


def _memory(results: Results) -> Section:
    sizes = [megabytes for _, megabytes in results.samples]
    shown = [sizes[0], sizes[len(sizes) // 2], sizes[-1], max(sizes), results.rested]
    columns = (">before, MB", ">half way", ">at the end", ">most", ">after a rest", ">aim", "reached", ">entries/s")
    aim = [f"<= {MEGABYTES_MAX:.0f}", yes_or_no(sizes[-1] <= MEGABYTES_MAX)]
    rate = f"{results.samples[-1][0] / results.seconds:,.0f}"
    return Section("Resident memory of the service", columns, [[*(f"{size:,.0f}" for size in shown), *aim, rate]])
