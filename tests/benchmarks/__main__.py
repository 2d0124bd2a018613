"""`python -m tests.benchmarks`: measures, prints the tables, and writes them where the documentation keeps them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api import logs
from api.tables import console
from tests.benchmarks import (
    books,
    callbacks,
    guessing,
    life,
    measuring,
    memory,
    overload,
    posting,
    promotions,
    reconciliation,
    webhooks,
)
from tests.benchmarks.books_report import books_report
from tests.benchmarks.callbacks_report import callbacks_report
from tests.benchmarks.guessing_report import guessing_report
from tests.benchmarks.life_report import life_report
from tests.benchmarks.memory_report import memory_report
from tests.benchmarks.overload_report import overload_report
from tests.benchmarks.plot import svg
from tests.benchmarks.posting_report import posting_report
from tests.benchmarks.promotions_report import promotions_report
from tests.benchmarks.reconciliation_report import reconciliation_report
from tests.benchmarks.reporting import Report, markdown, print_report
from tests.benchmarks.webhooks_report import webhooks_report
from tests.benchmarks.yardstick import yardstick

COMMAND = "python -m tests.benchmarks"
_DOCUMENTATION = Path(__file__).parents[2] / "docs" / "benchmarks"

Starting = Callable[[int], None]
Told = Callable[[str], None]


class Benchmark(enum.Enum):
    """What can be measured; each on a database and processes of its own."""

    POSTING = "posting"
    CALLBACKS = "callbacks"
    WEBHOOKS = "webhooks"
    BOOKS = "books"
    OVERLOAD = "overload"
    MEMORY = "memory"
    LIFE = "life"
    PROMOTIONS = "promotions"
    GUESSING = "guessing"
    RECONCILIATION = "reconciliation"


# What the runs of each take at least, loading and starting not counted: `make bench` may be left alone for their sum.
MINUTES = {
    Benchmark.POSTING: 3,
    Benchmark.CALLBACKS: 3,
    Benchmark.WEBHOOKS: 4,
    Benchmark.BOOKS: 3,
    Benchmark.OVERLOAD: 2,
    Benchmark.MEMORY: 2,
    Benchmark.LIFE: 3,
    Benchmark.PROMOTIONS: 7,
    Benchmark.GUESSING: 1,
    Benchmark.RECONCILIATION: 2,
}


def main(
    which: Annotated[Benchmark, typer.Argument(help="What to measure")] = Benchmark.POSTING,
    quick: Annotated[
        bool, typer.Option("--quick", help="Half a minute that shows it works; figures mean nothing")
    ] = False,
    large: Annotated[
        bool, typer.Option("--large", help="Of books: 10 million postings too; of reconciliation: a million movements")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Markdown file; docs/benchmarks/WHICH.md by default")] = None,
) -> None:
    """Measures, and exits 1 if what was promised to be kept was not: books that agree, messages stored, events told."""
    logs.configure("WARNING")
    command = f"{COMMAND} {which.value}" + (" --quick" if quick else " --large" if large else "")
    report = uvloop.run(_run(which, quick=quick, large=large, command=command))
    print_report(report, out=console())
    target = output or (None if quick else _DOCUMENTATION / f"{which.value}.md")
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(markdown(report))
        for chart in report.charts:
            (target.parent / f"{chart.name}.svg").write_text(svg(chart))
    if not report.sound:
        raise typer.Exit(1)


async def _run(which: Benchmark, *, quick: bool, large: bool, command: str) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Drawn between runs only: a bar that moves by itself would take its share of the client's core.
    aside = Console(stderr=True)
    if not quick:
        aside.print(f"{which.value}: {MINUTES[which]} minutes of runs at least, longer where the machine is slow")
    with Progress(*columns, console=aside, auto_refresh=False) as progress:
        task = progress.add_task("", total=None)

        def starting(runs: int) -> None:
            progress.update(task, total=runs, completed=-1)

        def told(description: str) -> None:
            # Told before each run: one more has ended, except before the first.
            progress.update(task, description=description, advance=1 if progress.tasks[0].total else 0, refresh=True)
            if not aside.is_terminal:  # a log: there a line each
                aside.print(f"{progress.tasks[0].completed:.0f} of {progress.tasks[0].total or '?'}  {description}")

        # Posting has both among what it compares; a quick run means nothing anyway.
        measured_already = quick or which is Benchmark.POSTING
        beside: dict[str, str] = {}
        if not measured_already:
            told("the machine's echo and COPY")
            beside = await yardstick()
        report = await _measure(which, quick=quick, large=large, command=command, starting=starting, told=told)
        return replace(report, facts={**report.facts, **beside})


async def _measure(
    which: Benchmark, *, quick: bool, large: bool, command: str, starting: Starting, told: Told
) -> Report:
    match which:
        case Benchmark.POSTING:
            plan = measuring.QUICK if quick else measuring.FULL
            return posting_report(await posting.measure(plan, starting=starting, told=told), command=command)
        case Benchmark.BOOKS:
            sizes = books.QUICK if quick else books.LARGE if large else books.FULL
            return books_report(await books.measure(sizes, starting=starting, told=told), command=command)
        case Benchmark.OVERLOAD:
            phases = overload.QUICK if quick else overload.FULL
            return overload_report(await overload.measure(phases, starting=starting, told=told), command=command)
        case Benchmark.RECONCILIATION:
            months = reconciliation.QUICK if quick else reconciliation.LARGE if large else reconciliation.FULL
            held = await reconciliation.measure(months, starting=starting, told=told)
            return reconciliation_report(held, command=command)
        case Benchmark.MEMORY:
            entries = memory.QUICK if quick else memory.FULL
            return memory_report(await memory.measure(entries, starting=starting, told=told), command=command)
        case _:
            return await _measure_trade(which, quick=quick, command=command, starting=starting, told=told)


async def _measure_trade(
    which: Literal[
        Benchmark.CALLBACKS,
        Benchmark.WEBHOOKS,
        Benchmark.LIFE,
        Benchmark.PROMOTIONS,
        Benchmark.GUESSING,
    ],
    *,
    quick: bool,
    command: str,
    starting: Starting,
    told: Told,
) -> Report:
    """What there is beside the journal."""
    match which:
        case Benchmark.CALLBACKS:
            plan = callbacks.QUICK if quick else callbacks.FULL
            return callbacks_report(await callbacks.measure(plan, starting=starting, told=told), command=command)
        case Benchmark.WEBHOOKS:
            plan = webhooks.QUICK if quick else webhooks.FULL
            return webhooks_report(await webhooks.measure(plan, starting=starting, told=told), command=command)
        case Benchmark.LIFE:
            lives = life.QUICK if quick else life.FULL
            return life_report(await life.measure(lives, starting=starting, told=told), command=command)
        case Benchmark.PROMOTIONS:
            wanted = promotions.QUICK if quick else promotions.FULL
            return promotions_report(await promotions.measure(wanted, starting=starting, told=told), command=command)
        case Benchmark.GUESSING:
            guesses = guessing.QUICK if quick else guessing.FULL
            return guessing_report(await guessing.measure(guesses, starting=starting, told=told), command=command)


if __name__ == "__main__":
    typer.run(main)
