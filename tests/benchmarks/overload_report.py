"""The overload benchmark's results as tables and charts, beside what is asked of a service under a flood. Formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from api.server import STREAMS_PER_CONNECTION_MAX
from tests.benchmarks.flood import CONNECTIONS, Ending
from tests.benchmarks.overload import CALL_SECONDS_MAX, TIMES, Overload, Results
from tests.benchmarks.plot import Axis, Chart, Line, Scale
from tests.benchmarks.reporting import Report, Section, yes_or_no

RECOVERY_SECONDS_MAX, GROWTH_MEGABYTES_MAX, GOODPUT_MIN = 5.0, 64.0, 0.5
_METHOD = """\
PostgreSQL, the service (`daftari serve`) and the client are processes of one machine and share its cores. For each
method: what callers who wait for their answers get done in {sustained:g} s (the sustained rate); calls at half that
rate for {calm:g} s (calm); then {times} times that rate for {flood:g} s, whatever becomes of the calls; then again half
of it, from the flood's last call on. Every call has a deadline of {deadline:g} s. The client speaks HTTP/2 by hand over
{connections} connections, keeps to the streams that the service allows and never tries again."""
_FLOOD_NOTE = """\
Per second, over the flood. Done: answered in time, durable. Offered falls short of the
times wanted where this client cannot begin more calls."""
_ENDINGS_NOTE = """\
Refused: RESOURCE_EXHAUSTED, by the service, before any work. Not taken: by HTTP/2's REFUSED_STREAM, where a connection
opens more than its {streams} streams at once: the service saw nothing of the call, gRPC clients may repeat it by
themselves. Late: unanswered at its deadline; what had not been begun by then is not done."""
_MEMORY_NOTE = """\
The service's resident megabytes. Stored: items that the books hold of those begun in all phases; none that was answered
as done may be missing among them."""
_FILES = {"PostEntry": "post-entry", "RequestPayout": "request-payout"}


def overload_report(results: Results, *, command: str) -> Report:
    """Everything found, in reading order."""
    plan, books = results.plan, results.books
    sound = books.agrees and all(one.stored >= one.answered for one in results.methods)
    return Report(
        title="More than the service can take",
        command=command,
        method=_METHOD.format(
            sustained=plan.sustained_seconds,
            calm=plan.calm_seconds,
            times=TIMES,
            flood=plan.flood_seconds,
            deadline=CALL_SECONDS_MAX,
            connections=CONNECTIONS,
        ),
        facts=results.facts,
        sections=[section(results) for section in (_flooded, _endings, _memory, _aims)],
        charts=[*(_chart(one) for one in results.methods), _memory_chart(results)],
        verdict=(
            f"The books afterwards: {books.entries:,} entries and {books.postings:,} postings rebuilt and compared, "
            f"{books.differences_total:,} differences; payouts agree with their entries."
        ),
        sound=sound,
    )


def _flooded(results: Results) -> Section:
    before = ("method", ">sustained", ">p50 ms", ">calm p50 ms")
    columns = (*before, ">offered", ">times", ">done", ">to sustained", ">p50 ms", ">p99 ms")
    rows = []
    for one in results.methods:
        taken = one.done_milliseconds
        calm = [f"{one.sustained:,.0f}", f"{one.sustained_milliseconds:,.0f}", f"{median(one.calm):,.0f}"]
        flooded = [f"{one.offered:,.0f}", f"{one.offered / one.sustained:.1f}", f"{one.goodput:,.0f}"]
        flooded += [f"{one.goodput / one.sustained:.2f}", f"{median(taken):,.0f}", f"{_p99(taken):,.0f}"]
        rows.append([one.name, *calm, *flooded])
    return Section("Items a second before and under the flood", columns, rows, _FLOOD_NOTE)


def _endings(results: Results) -> Section:
    columns = ("method", ">begun", *(f">{ending.value}" for ending in Ending))
    rows = [[one.name, f"{one.begun:,}", *(f"{one.total(ending):,}" for ending in Ending)] for one in results.methods]
    note = _ENDINGS_NOTE.format(streams=STREAMS_PER_CONNECTION_MAX)
    return Section("What became of the flood's calls", columns, rows, note)


def _memory(results: Results) -> Section:
    columns = ("method", ">before, MB", ">most, MB", ">afterwards, MB", ">back to normal after s", ">stored")
    rows = []
    for one in results.methods:
        sizes = [megabytes for _, megabytes in one.memory]
        recovered = f"{one.recovered_seconds:.1f}" if one.recovered_seconds is not None else "not seen"
        memory = [f"{size:,.0f}" for size in (sizes[0], max(sizes), sizes[-1])]
        rows.append([one.name, *memory, recovered, f"{one.stored:,}"])
    return Section("Memory, and the time to recover", columns, rows, _MEMORY_NOTE)


def _aims(results: Results) -> Section:
    return Section("Against the aims", ("what", ">measured", ">aim", "reached"), list(_aim_rows(results)))


def _aim_rows(results: Results) -> Iterator[list[str]]:
    for one in results.methods:
        ratio = one.goodput / one.sustained
        yield [f"{one.name}: done under the flood to sustained", f"{ratio:.2f}", f">= {GOODPUT_MIN}",
               yes_or_no(ratio >= GOODPUT_MIN)]  # fmt: skip
        recovered = one.recovered_seconds
        yield [f"{one.name}: seconds until calls take at most twice their calm time",
               f"{recovered:.1f}" if recovered is not None else "not seen", f"<= {RECOVERY_SECONDS_MAX:g}",
               yes_or_no(recovered is not None and recovered <= RECOVERY_SECONDS_MAX)]  # fmt: skip
        bare = one.total(Ending.BARE)
        yield [f"{one.name}: refusals without RetryInfo", f"{bare:,}", "0", yes_or_no(bare == 0)]
    sizes = [megabytes for one in results.methods for _, megabytes in one.memory]
    growth = max(sizes) - sizes[0]
    yield ["growth of memory over all floods, MB", f"{growth:,.0f}", f"<= {GROWTH_MEGABYTES_MAX:g}",
           yes_or_no(growth <= GROWTH_MEGABYTES_MAX)]  # fmt: skip


def _chart(one: Overload) -> Chart:
    def line(name: str, counts: list[int]) -> Line:
        # A logarithmic axis has no zero: none is drawn as one.
        return Line(name, [(second + 0.5, max(1, count * one.items)) for second, count in enumerate(counts)])

    seconds = one.seconds
    shown = [Ending.DONE, Ending.REFUSED, Ending.NOT_TAKEN, Ending.LATE]
    return Chart(
        name=f"overload-{_FILES.get(one.name, 'post-entries')}",
        title=f"{one.name} under {TIMES} times its sustained rate ({one.sustained:,.0f}/s)",
        x=Axis(title="seconds"),
        y=Axis(title="items a second", scale=Scale.LOGARITHMIC),
        lines=[
            line("offered", [second.begun for second in seconds]),
            *(line(ending.value, [second.ended[ending] for second in seconds]) for ending in shown),
        ],
    )


def _memory_chart(results: Results) -> Chart:
    return Chart(
        name="overload-memory",
        title="The service's memory under and after each flood",
        x=Axis(title="seconds"),
        y=Axis(title="resident megabytes"),
        lines=[Line(one.name, one.memory) for one in results.methods],
    )


def _p99(ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
