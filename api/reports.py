"""What finance people read: trial balances and journals as tables. Formats, never computes."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from rich import box
from rich.table import Table

from api.tables import table
from ledger.ids import encode
from ledger.journal.entries import ENTRY_PREFIX, EntryView
from ledger.journal.entry import Side
from ledger.journal.trial_balance import TrialBalance
from ledger.money import format_minor_units


def trial_balance_table(found: TrialBalance) -> Table:
    """Each account on the side its balance stands, and the totals that must be equal."""
    columns = ("number", "account", "name", "currency", ">debits", ">credits", ">balance", "normal side")
    drawn = table("Trial balance", columns, ())
    for line in found.lines:
        figures = [format_minor_units(units, line.currency) for units in (line.debits, line.credits, line.balance)]
        drawn.add_row(line.number, line.path, line.name, line.currency, *figures, line.normal_side.name.lower())
    drawn.add_section()
    for total in found.totals:
        label = "memorandum accounts" if total.is_memo else "all accounts"
        debits, credits = (format_minor_units(units, total.currency) for units in (total.debits, total.credits))
        difference = format_minor_units(total.debits - total.credits, total.currency)
        drawn.add_row("", f"[bold]{label}[/]", "", total.currency, debits, credits, difference, "")
    return drawn


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
