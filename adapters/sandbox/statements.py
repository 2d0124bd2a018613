"""The organisation's statement of one account, as the portal exports it: a preamble, 13 columns, newest first.

Written from the sandbox's own truth: a line is what an account had more or less after a movement. Charges stand in the
statement of the Charges Paid account alone, below zero.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import MappingProxyType

from adapters.sandbox import names, statement_words
from adapters.sandbox.world import Balances, Movement, World

_EAST_AFRICA = timezone(timedelta(hours=3))
_MOMENT = "%d-%m-%Y %H:%M:%S"
_HEADINGS = (
    "Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status", "Paid In", "Withdrawn",
    "Balance", "Balance Confirmed", "Reason Type", "Other Party Info", "Linked Transaction ID", "A/C No.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    cents: Callable[[Balances], int]


ACCOUNTS: Mapping[str, _Account] = MappingProxyType(
    {
        "utility": _Account("Utility Account", lambda one: one.utility_cents),
        "working": _Account("MMF Account", lambda one: one.working_cents),
        "charges_paid": _Account("Charges Paid Account", lambda one: one.charges_paid_cents),
    }
)


def statement(world: World, account: str, *, shortcode: str, since: datetime, until: datetime) -> str:
    """The CSV of one of ACCOUNTS; only movements of `since <= t <= until` stand in it."""
    whose = ACCOUNTS[account]
    before, rows, opening = whose.cents(world.opening), list[list[str]](), whose.cents(world.opening)
    moved: list[int] = []
    for movement in world.movements:
        after = whose.cents(movement.balances_after)
        change, before = after - before, after
        if movement.completed_at < since:
            opening = after
        elif change and movement.completed_at <= until:
            moved.append(change)
            rows.append(_row(movement, change, after, account, shortcode))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows(_preamble(whose.name, shortcode, since, until, opening, moved))
    writer.writerow(_HEADINGS)
    writer.writerows(reversed(rows))
    return out.getvalue()


def _preamble(
    name: str, shortcode: str, since: datetime, until: datetime, opening: int, moved: Sequence[int]
) -> list[list[str]]:
    closing = opening + sum(moved)
    paid_in = sum(one for one in moved if one > 0)
    organisation = names.ORGANISATION
    return [
        ["Account Holder:", organisation],
        ["Short Code:", shortcode],
        ["Account:", name],
        ["Time Period:", "From", _moment(since), "To", _moment(until)],
        ["Operator:", "fin.viewer", "Organization:", organisation, "Date of Report:", _moment(until)],
        [
            "Opening Balance:", _cents(opening), "Closing Balance:", _cents(closing), "Available Balance:",
            _cents(closing), "Total Paid In:", _cents(paid_in), "Total Withdrawn:", _cents(sum(moved) - paid_in),
        ],
    ]  # fmt: skip


def _row(movement: Movement, change: int, after: int, account: str, shortcode: str) -> list[str]:
    details, reason = statement_words.details(movement, shortcode), statement_words.reason_type(movement)
    party = movement.collection
    typed = party.reference if party else ""
    if account == "charges_paid":
        details = reason = _charge(movement)
        typed = ""
    paid_in, withdrawn = (_cents(change), "") if change > 0 else ("", _cents(change))
    return [
        movement.receipt, _moment(movement.completed_at), _moment(movement.initiated_at), details, "Completed", paid_in,
        withdrawn, _cents(after), "true", reason, "", movement.linked_receipt, typed,
    ]  # fmt: skip


def _charge(movement: Movement) -> str:
    if movement.reversal is not None:
        return "Pay Bill Charge Reversal"
    return "Pay Bill Charge" if movement.collection is not None else "Fee For B2C Payment"


def _moment(at: datetime) -> str:
    return at.astimezone(_EAST_AFRICA).strftime(_MOMENT)


def _cents(amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02}"
