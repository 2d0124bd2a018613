"""Journals as tables. Formats, never computes."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from rich import box
from rich.table import Table

from ledger.ids import encode
from ledger.journal.entries import ENTRY_PREFIX, EntryView
from ledger.journal.entry import Side
from ledger.money import format_minor_units


def entries_table(title: str, entries: Iterable[EntryView], *, zone: ZoneInfo) -> Table:
    """A journal: a line per posting, debits and credits in columns of their own, times in the ledger's zone."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("entry", "kind", "effective", "account"):
        drawn.add_column(heading, overflow="fold")
    for heading in ("debit", "credit"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("reference", overflow="fold")
    for entry in entries:
        head = (encode(ENTRY_PREFIX, entry.id), entry.kind, f"{entry.effective_at.astimezone(zone):%Y-%m-%d %H:%M:%S}")
        for line in entry.lines:
            posting = line.posting
            figure = format_minor_units(posting.money.minor_units, posting.money.currency)
            sides = (figure, "") if posting.side is Side.DEBIT else ("", figure)
            indent = "" if posting.side is Side.DEBIT else "  "
            drawn.add_row(*head, indent + posting.account, *sides, entry.reference or "" if head[0] else "")
            head = ("", "", "")
        drawn.add_section()
    return drawn
