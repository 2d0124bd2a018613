"""Promotions for people and printers: tables of batches and of a campaign's figures, and the printer's file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from rich.table import Table

from api.tables import table
from ledger.promotions.issuing import PrintedCode
from ledger.promotions.report import CampaignReport
from ledger.promotions.writing import Batch

# What a spreadsheet would carry out instead of showing it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_BATCH_COLUMNS = (
    "batch", "campaign", "state", ">one code", ">codes", ">live", ">redeemed", ">failed", ">owed", "ends", "assignee",
)  # fmt: skip
_FIGURE_COLUMNS = (
    "batch", "state", ">one code", ">issued", ">live", ">redeemed", ">paying", ">paid", ">failed", ">expired",
    ">taken out", ">owed",
)  # fmt: skip
_DAY_COLUMNS = ("day", "batch", ">issued", ">redeemed", ">paid", ">failed", ">expired", ">taken out")
_EXPORT_COLUMNS = ("number", "code", "amount", "currency", "ends", "assignee")


def batches_table(batches: Iterable[Batch], *, zone: ZoneInfo) -> Table:
    """Batches as they stand; `failed` are winners who wait because their payout failed."""
    rows = [
        (
            one.code, one.campaign, one.state.value.lower(), str(one.amount), f"{one.issued:,} of {one.count:,}",
            f"{one.live:,}", f"{one.redeemed:,}", f"{one.failed:,}", str(one.liability),
            f"{one.expires_at.astimezone(zone):%Y-%m-%d %H:%M}", one.assignee,
        )
        for one in batches
    ]  # fmt: skip
    return table(f"{len(rows)} batches", _BATCH_COLUMNS, rows)


def figures_tables(report: CampaignReport) -> list[Table]:
    """A campaign in figures: its batches, then its days."""
    batches = [
        (
            one.batch.code, one.batch.state.value.lower(), str(one.batch.amount),
            *(f"{count:,}" for count in (one.batch.issued, one.live, one.batch.redeemed, one.paying, one.paid,
                                         one.batch.failed, one.expired, one.voided)),
            str(one.batch.liability),
        )
        for one in report.batches
    ]  # fmt: skip
    days = [
        (
            day.day.isoformat(), day.batch.code,
            *(f"{count:,}" for count in (day.issued, day.redeemed, day.paid, day.failed, day.expired, day.voided)),
        )
        for day in report.days
    ]  # fmt: skip
    return [
        table(f"Campaign {report.campaign.code}: {report.campaign.name}", _FIGURE_COLUMNS, batches),
        table("By day", _DAY_COLUMNS, days),
    ]


def export_header() -> str:
    """The first line of the printer's file."""
    return csv_lines([_EXPORT_COLUMNS])


def export_lines(batch: Batch, codes: Iterable[PrintedCode], *, zone: ZoneInfo) -> str:
    """A line of the printer's file per code."""
    amount = str(batch.amount).partition(" ")[2]
    ends = f"{batch.expires_at.astimezone(zone):%Y-%m-%d %H:%M}"
    return csv_lines(
        [(str(one.number), one.code, amount, batch.amount.currency, ends, batch.assignee) for one in codes]
    )


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Lines of a CSV file in which no cell is a formula: a leading apostrophe keeps a spreadsheet from carrying it
    out."""
    written = io.StringIO()
    # With these ends of lines, and no others, a cell that holds any end of a line is quoted.
    csv.writer(written, lineterminator="\r\n").writerows([[neutral(cell) for cell in row] for row in rows])
    return written.getvalue()


def neutral(cell: str) -> str:
    """A cell that is shown and not carried out. An apostrophe in front is doubled, so that neutral_undone() knows."""
    return f"'{cell}" if cell.startswith((*_FORMULA_STARTS, "'")) else cell


def neutral_undone(cell: str) -> str:
    """What neutral() was given."""
    return cell.removeprefix("'")
