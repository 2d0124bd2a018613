"""`python -m tests.benchmarks`: measures, prints the tables, and writes them where the documentation keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api import logs
from api.tables import console
from tests.benchmarks.measuring import FULL, QUICK, Plan
from tests.benchmarks.posting import Results, measure
from tests.benchmarks.posting_report import posting_report
from tests.benchmarks.reporting import markdown, print_report

COMMAND = "python -m tests.benchmarks"
_DOCUMENTED = Path(__file__).parents[2] / "docs" / "benchmarks" / "posting.md"


def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Half a minute that shows it works; figures mean nothing")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Markdown file; docs/benchmarks/posting.md by default")] = None,
) -> None:
    """Measures posting on a database and a service of its own. Exits 1 if the books do not agree afterwards."""
    logs.configure("WARNING")
    results = uvloop.run(_run(QUICK if quick else FULL))
    report = posting_report(results, command=COMMAND + (" --quick" if quick else ""))
    print_report(report, out=console())
    target = output or (None if quick else _DOCUMENTED)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(markdown(report))
    if not report.sound:
        raise typer.Exit(1)


async def _run(plan: Plan) -> Results:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Drawn between runs only: a bar that moves by itself would take its share of the client's core.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("", total=None)

        def starting(runs: int) -> None:
            progress.update(task, total=runs, completed=-1)

        def told(description: str) -> None:
            # Told before each run: one more has ended, except before the first.
            progress.update(task, description=description, advance=1 if progress.tasks[0].total else 0, refresh=True)

        return await measure(plan, starting=starting, told=told)


if __name__ == "__main__":
    typer.run(main)
