"""What the demonstration prints of its loan: each entry with what is owed after it, and the proof that nothing is
left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from daftari.v1 import journal_pb2, loans_pb2
from rich.console import Console

from api.demonstration_report import kes
from api.tables import table

_DEBIT = journal_pb2.SIDE_DEBIT
_COLUMNS = (
    "entry kind", "account", ">debit", ">credit", ">principal", ">fees due", ">owed after it", ">fee unearned",
)  # fmt: skip


def owed(parts: loans_pb2.LoanParts) -> int:
    """All of it, in minor units."""
    return parts.penalty_minor_units + parts.fee_minor_units + parts.interest_minor_units + parts.principal_minor_units


def print_loan_entries(
    out: Console,
    entries: Sequence[journal_pb2.JournalEntry],
    statement: Sequence[loans_pb2.LoanStatementLine],
    *,
    loan: loans_pb2.Loan,
) -> None:
    """A line per posting, oldest first; the last of each entry tells what the loan's accounts hold after it."""
    changes = {line.entry_id: line for line in statement}
    nothing = loans_pb2.LoanStatementLine()
    own = [changes.get(entry.id, nothing) for entry in entries]
    principal = accumulate(line.change.principal_minor_units for line in own)
    fees = accumulate(line.change.fee_minor_units for line in own)
    total = accumulate(owed(line.change) for line in own)
    unearned = accumulate(line.deferred_fee_minor_units for line in own)
    drawn = table(f"\nThe loan's journal, {{loan}} being {loan.id.lower()}", _COLUMNS, ())
    for entry, *after in zip(entries, principal, fees, total, unearned, strict=True):
        for number, line in enumerate(entry.postings, start=1):
            is_debit = line.side == _DEBIT
            path = line.account.replace(loan.id.lower(), "{loan}")
            figure = kes(line.amount.minor_units)
            is_last = number == len(entry.postings)
            drawn.add_row(
                entry.kind if number == 1 else "",
                path if is_debit else f"  {path}",
                figure if is_debit else "",
                "" if is_debit else figure,
                *(kes(units) if is_last else "" for units in after),
                end_section=is_last,
            )
    out.print(drawn)


def print_receipts(
    out: Console, entries: Sequence[journal_pb2.JournalEntry], *, confirmations: int, payments: int
) -> bool:
    """What the rail sent and what was booked of it; whether each payment was booked once."""
    booked = sum(entry.kind == "collection.received" for entry in entries)
    told = f"{payments} payments were told by {confirmations} confirmations and a prompt's callback"
    out.print(f"{told}: {booked} receipts booked.")
    return booked == payments < confirmations


def print_proof(out: Console, loan: loans_pb2.Loan, own: Mapping[str, int], *, float_units: int, agrees: bool) -> bool:
    """Whether the loan is closed with every account of its own at zero, and float and charges moved as the rail's
    did."""
    closed = loan.state == loans_pb2.Loan.STATE_CLOSED
    held = {path: units for path, units in own.items() if units}
    state = loans_pb2.Loan.State.Name(loan.state).removeprefix("STATE_")
    accounts = f"all {len(own)} accounts of the loan hold 0.00" if not held else f"[bold red]it still holds {held}[/]"
    rail = "as on the rail" if agrees else "[bold red]otherwise than on the rail[/]"
    out.print(f"[bold]Loan {state}[/]: {accounts}; float and charges moved {rail}, KES {kes(float_units)} remain.\n")
    return closed and bool(own) and not held and agrees
