"""The books benchmark's results as tables and charts, beside the figures they are meant to reach. Measures nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from tests.benchmarks.books import BULK, CROWD, SETS, Results, Shelf
from tests.benchmarks.footprint import KEYS, TableSize
from tests.benchmarks.measuring import Measured, latency_ratio, rate_ratio
from tests.benchmarks.plot import Axis, Chart, Line, Scale
from tests.benchmarks.reading import ANY_WALLET, BALANCE, BALANCE_AT, GRPC, HOT_ACCOUNT, STATEMENT
from tests.benchmarks.reporting import Report, Section, yes_or_no
from tests.benchmarks.rig import CLIENT, POSTGRESQL, SERVICE

READING_RATIO_MAX, POSTING_RATIO_MIN, ENTRY_BYTES_MAX = 1.5, 0.8, 560
_METHOD = """\
Each size is a PostgreSQL of its own with its shipped settings and a service (`daftari serve`); they and the client
share one machine. A loader builds the books: entries of two lines over ninety days on 2,001 accounts, half of them on
one hot account, a request id chosen at random for each, a subject for every tenth. Then every query was warmed up and
measured {rounds} times for {seconds:g} s by one caller, in turns with the same query on the other sizes. Figures are
medians of the rounds; ratios are medians of the ratios within a round."""
_READING_NOTE = """\
Milliseconds. In process: the ledger's own function in a transaction of its own, without gRPC. Accounts, entries,
subjects and moments are drawn at random, where there are many. A trial balance has a line for each of the 2,001
accounts, however many postings there are."""
_WORK_NOTE = """\
Microseconds of processor time, user and system, that one call takes of PostgreSQL, the service and the client together:
what the machine's other work disturbs least."""
_POSTING_NOTE = """\
Durable entries of two lines, with request ids chosen at random, posted in turns to the smallest and to the largest
books. Microseconds are processor time of PostgreSQL and of the service and client, user and system, per entry."""
_BYTES_NOTE = """\
As loaded, after VACUUM. An entry is its header, its lines and what they add to balances and days, with all indexes; its
request id comes on top, and so does, where it names a subject, what finds it by that. In books of few entries the first
pages of every table and the rows of 2,001 accounts weigh."""
_CHARTED = (f"{BALANCE}, {HOT_ACCOUNT}", f"{STATEMENT}, {HOT_ACCOUNT}", f"{BALANCE_AT}, {HOT_ACCOUNT}", "entry by id")


def books_report(results: Results, *, command: str) -> Report:
    """Everything found, in reading order."""
    plan, shelves = results.plan.reading, results.shelves
    told = "; ".join(
        f"{shelf.verified.entries:,} entries and {shelf.verified.postings:,} postings rebuilt and compared, "
        f"{shelf.verified.differences_total:,} differences"
        for shelf in shelves
    )
    return Report(
        title="Books as they grow",
        command=command,
        method=_METHOD.format(rounds=plan.rounds, seconds=plan.seconds),
        facts=results.facts,
        sections=[_reading(shelves), _work(shelves), _posting(shelves), _bytes(shelves), _aims(shelves)],
        charts=[_reading_chart(shelves), _bytes_chart(shelves)],
        verdict=f"The books afterwards: {told}.",
        sound=all(shelf.verified.agrees for shelf in shelves),
    )


def _reading(shelves: Sequence[Shelf]) -> Section:
    sizes = [f"{shelf.postings:,}" for shelf in shelves]
    columns = ["query", *(f">{size}: p50" for size in sizes), *(f">p99, {size}" for size in sizes)]
    columns += [f">{size} to {before}" for before, size in itertools.pairwise(sizes)]
    rows = []
    for name in shelves[0].reading:
        read = [shelf.reading[name] for shelf in shelves]
        ratios = [latency_ratio(larger, smaller) for smaller, larger in itertools.pairwise(read)]
        figures = [one.percentile(50) for one in read] + [one.percentile(99) for one in read] + ratios
        rows.append([name, *(f"{figure:,.2f}" for figure in figures)])
    return Section("Reading books of so many postings", columns, rows, _READING_NOTE)


def _work(shelves: Sequence[Shelf]) -> Section:
    sizes = [f"{shelf.postings:,}" for shelf in shelves]
    columns = ["query", *(f">{size}" for size in sizes)]
    columns += [f">{size} to {before}" for before, size in itertools.pairwise(sizes)]
    rows = []
    for name in shelves[0].reading:
        taken = [_processor(shelf.reading[name]) for shelf in shelves]
        ratios = [f"{larger / smaller:.2f}" if smaller else "" for smaller, larger in itertools.pairwise(taken)]
        rows.append([name, *(f"{one:,.0f}" for one in taken), *ratios])
    return Section("Processor time of a query on books of so many postings", columns, rows, _WORK_NOTE)


def _posting(shelves: Sequence[Shelf]) -> Section:
    smallest, largest = shelves[0], shelves[-1]
    sizes = [f"{shelf.postings:,}" for shelf in (smallest, largest)]
    columns = ["way to post", *(f">entries/s, {size}" for size in sizes), ">ratio"]
    columns += [f">PostgreSQL us, {size}" for size in sizes] + [f">others us, {size}" for size in sizes]
    rows = []
    for name in smallest.posting:
        pair = [smallest.posting[name], largest.posting[name]]
        rates = [f"{one.rate:,.0f}" for one in pair] + [f"{rate_ratio(pair[1], pair[0]):.2f}"]
        inside = [f"{one.processor(POSTGRESQL):,.0f}" for one in pair]
        outside = [f"{one.processor(SERVICE) + one.processor(CLIENT):,.0f}" for one in pair]
        rows.append([name, *rates, *inside, *outside])
    return Section("Posting to books of so many postings", columns, rows, _POSTING_NOTE)


def _bytes(shelves: Sequence[Shelf]) -> Section:
    names = sorted({size.name for shelf in shelves for size in shelf.sizes})
    by_name = [{size.name: size for size in shelf.sizes} for shelf in shelves]
    rows = [[name, *(f"{_whole(sizes[name]):,.0f}" for sizes in by_name)] for name in names]
    rows.append(["an entry, every tenth with a subject", *(f"{_entry_bytes(shelf):,.0f}" for shelf in shelves)])
    rows.append(["an entry that names no subject", *(f"{_plain_entry_bytes(shelf):,.0f}" for shelf in shelves)])
    rows.append(["together", *(f"{sum(map(_whole, shelf.sizes)):,.0f}" for shelf in shelves)])
    columns = ("table", *(f">{shelf.postings:,} postings" for shelf in shelves))
    return Section("Bytes on disk per two-line entry, indexes included", columns, rows, _BYTES_NOTE)


def _aims(shelves: Sequence[Shelf]) -> Section:
    return Section("Against the aims", ("what", ">measured", ">aim", "reached"), list(_aim_rows(shelves)))


def _aim_rows(shelves: Sequence[Shelf]) -> Iterator[list[str]]:
    before, largest = shelves[-2:]
    sizes = f"{largest.postings:,} to {before.postings:,} postings"
    for what in (BALANCE, STATEMENT, BALANCE_AT):
        for whose in (HOT_ACCOUNT, ANY_WALLET, GRPC):
            name = f"{what}, {whose}"
            ratio = latency_ratio(largest.reading[name], before.reading[name])
            reached = yes_or_no(ratio <= READING_RATIO_MAX)
            yield [f"{name}, {sizes}", f"{ratio:.2f}", f"<= {READING_RATIO_MAX}", reached]
    for name in (BULK, CROWD, SETS):
        ratio = rate_ratio(largest.posting[name], shelves[0].posting[name])
        sizes = f"{largest.postings:,} to {shelves[0].postings:,} postings"
        yield [
            f"rate of {name}, {sizes}",
            f"{ratio:.2f}",
            f">= {POSTING_RATIO_MIN}",
            yes_or_no(ratio >= POSTING_RATIO_MIN),
        ]
    for name, taken in (("no subject", _plain_entry_bytes(largest)), ("every tenth a subject", _entry_bytes(largest))):
        reached = yes_or_no(taken <= ENTRY_BYTES_MAX)
        what = f"bytes per entry, {name}, {largest.postings:,} postings"
        yield [what, f"{taken:,.0f}", f"<= {ENTRY_BYTES_MAX}", reached]


def _reading_chart(shelves: Sequence[Shelf]) -> Chart:
    def points(name: str) -> list[tuple[float, float]]:
        return [(shelf.postings, _median(shelf.reading[name])) for shelf in shelves]

    return Chart(
        name="books-reading",
        title="Median time of a query as the books grow",
        x=Axis(title="postings in the books", scale=Scale.LOGARITHMIC),
        y=Axis(title="milliseconds"),
        lines=[Line(name, points(name)) for name in _CHARTED],
    )


def _bytes_chart(shelves: Sequence[Shelf]) -> Chart:
    # The smallest books are mostly first pages: drawn, they would press the rest against the axis.
    shown = shelves[1:]
    return Chart(
        name="books-bytes",
        title="Bytes on disk per two-line entry as the books grow",
        x=Axis(title="postings in the books", scale=Scale.LOGARITHMIC),
        y=Axis(title="bytes, indexes included"),
        lines=[
            Line("an entry", [(shelf.postings, _entry_bytes(shelf)) for shelf in shown]),
            Line("an entry and its request id", [(one.postings, sum(map(_whole, one.sizes))) for one in shown]),
        ],
    )


def _processor(measured: Measured) -> float:
    return sum(measured.processor(part) for part in (SERVICE, POSTGRESQL, CLIENT))


def _median(measured: Measured) -> float:
    return measured.percentile(50)


def _entry_bytes(shelf: Shelf) -> float:
    return sum(_whole(size) for size in shelf.sizes if size.name != KEYS)


def _plain_entry_bytes(shelf: Shelf) -> float:
    return _entry_bytes(shelf) - shelf.subject_bytes


def _whole(size: TableSize) -> float:
    return size.heap + size.indexes
