"""Tables and lines for people: what commands print. Money is formatted here and nowhere else in the CLI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

RIGHT = ">"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table; a column whose heading begins with ">" is set flush right."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column.startswith(RIGHT)
        drawn.add_column(column.removeprefix(RIGHT), justify="right" if right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def console() -> Console:
    """Standard output; wide enough for the tables where it is not a terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=150)
