"""The statements that people export from the provider's portal: one account each, as CSV of 13 columns with a preamble.

Written from the provider's own account. A late row is in none of them until it is shown, and their balances are then
those without it. In a torn one a row is missing though its balances know of it.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from tests.simulation.account import UTILITY, Row
from tests.simulation.daraja import OPENING_UTILITY_CENTS, SHORTCODE

EAST_AFRICA = timezone(timedelta(hours=3))
_NAMES = {"utility": "Utility Account", "charges_paid": "Charges Paid Account"}
_HEADINGS = (
    "Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status", "Paid In", "Withdrawn",
    "Balance", "Balance Confirmed", "Reason Type", "Other Party Info", "Linked Transaction ID", "A/C No.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exported:
    """A file: what it says of itself, its rows in their order, and whether it is whole."""

    name: str
    account: str
    since: datetime
    until: datetime
    rows: tuple[Row, ...]
    opening: int
    closing: int
    is_whole: bool = True

    def write(self, folder: Path, *, shuffled: random.Random | None) -> None:
        """Newest first, or in any order."""
        balances, balance = dict[int, int](), self.opening
        for place, row in enumerate(self.rows):
            balance += row.cents
            balances[place] = balance
        places = list(reversed(balances))
        if shuffled is not None:
            shuffled.shuffle(places)
        dropped = {len(places) // 2} if not self.is_whole else set()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerows(self._preamble())
        writer.writerow(_HEADINGS)
        writer.writerows(_cells(self.rows[one], balances[one]) for one in places if one not in dropped)
        (folder / self.name).write_text(out.getvalue())

    def _preamble(self) -> list[list[str]]:
        paid_in = sum(one.cents for one in self.rows if one.cents > 0)
        withdrawn = self.closing - self.opening - paid_in
        return [
            ["Account Holder:", "Duka Ltd"],
            ["Short Code:", SHORTCODE],
            ["Account:", _NAMES[self.account]],
            ["Time Period:", "From", _moment(self.since), "To", _moment(self.until)],
            ["Operator:", "fin.viewer", "Organization:", "Duka Ltd", "Date of Report:", _moment(self.until)],
            [
                "Opening Balance:", _cents(self.opening), "Closing Balance:", _cents(self.closing),
                "Available Balance:", _cents(self.closing), "Total Paid In:", _cents(paid_in), "Total Withdrawn:",
                _cents(withdrawn),
            ],
        ]  # fmt: skip


def export(rows: Sequence[Row], account: str, *, number: int, since: date, now: datetime) -> Exported | None:
    """Everything from the beginning of a day until now that is shown by now; None where nothing is."""
    begin, until = midnight(since), now.replace(microsecond=0)
    own = [one for one in rows if one.account == account and one.shown_from <= now]
    before = sum(one.cents for one in own if one.at < begin) + (OPENING_UTILITY_CENTS if account == UTILITY else 0)
    shown = tuple(one for one in own if one.at >= begin)
    closing = before + sum(one.cents for one in shown)
    name = f"{account}-{number:03}.csv"
    return Exported(name, account, begin, until, shown, before, closing) if shown else None


def torn(exported: Exported) -> Exported:
    """The same without one of its rows."""
    return replace(exported, is_whole=False)


def day_of(at: datetime) -> date:
    """Where the provider is, and the books are kept."""
    return at.astimezone(EAST_AFRICA).date()


def midnight(day: date) -> datetime:
    """When a day begins there."""
    return datetime(day.year, day.month, day.day, tzinfo=EAST_AFRICA)


def _cells(row: Row, balance: int) -> list[str]:
    at = _moment(row.at)
    paid_in, withdrawn = (_cents(row.cents), "") if row.cents > 0 else ("", _cents(row.cents))
    return [
        row.receipt, at, at, row.details, "Completed", paid_in, withdrawn, _cents(balance), "true", row.reason,
        row.party, row.linked, row.typed,
    ]  # fmt: skip


def _moment(at: datetime) -> str:
    return at.astimezone(EAST_AFRICA).strftime("%d-%m-%Y %H:%M:%S")


def _cents(amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02}"
