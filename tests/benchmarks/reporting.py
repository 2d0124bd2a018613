"""A benchmark's result as tables: for the terminal and as Markdown for the documentation. Formats, never computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from api.tables import RIGHT, table
from tests.benchmarks.plot import Chart


@dataclass(frozen=True, slots=True)
class Section:
    """One table. A column whose heading begins with ">" is set flush right; `note` says how to read it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything one benchmark found. `sound` is whether the books agreed with their postings afterwards. Charts are
    files beside the Markdown."""

    title: str
    command: str
    method: str
    facts: Mapping[str, str]
    sections: Sequence[Section]
    verdict: str
    sound: bool
    charts: Sequence[Chart] = ()


def yes_or_no(answer: object) -> str:
    """Whether an aim is reached."""
    return "yes" if answer else "no"


def print_report(report: Report, *, out: Console) -> None:
    """The tables, then the verdict on the books."""
    for section in report.sections:
        out.print(table(section.title, section.columns, section.rows))
        if section.note:
            out.print(section.note, style="dim")
        out.print()
    for name, value in report.facts.items():
        out.print(f"{name}: {value}", soft_wrap=True)
    out.print(report.verdict, style="bold")


def markdown(report: Report) -> str:
    """The same for docs/benchmarks."""
    parts = [f"# {report.title}", f"Made by `{report.command}`. {report.method}"]
    for section in report.sections:
        parts.append(f"## {section.title}")
        parts.append(_markdown_table(section))
        if section.note:
            parts.append(section.note)
    parts += [f"![{chart.title}]({chart.name}.svg)" for chart in report.charts]
    parts.append("## Where it ran")
    parts.append("\n".join(f"- {name}: {value}" for name, value in report.facts.items()))
    parts.append(report.verdict)
    return "\n\n".join(parts) + "\n"


def _markdown_table(section: Section) -> str:
    headings = [column.removeprefix(RIGHT) for column in section.columns]
    rules = ["---:" if column.startswith(RIGHT) else "---" for column in section.columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *section.rows))
