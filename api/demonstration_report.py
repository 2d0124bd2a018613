"""What the demonstration prints: lives, journal, trial balance, and the ledger's float beside the rail's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

from daftari.v1 import journal_pb2, payouts_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from api.demonstration_books import CHARGES, FLOAT, RailTruth, balances_of
from api.tables import table
from ledger.money import format_minor_units


class Told(Protocol):
    """What the report needs of a request of the story."""

    @property
    def story(self) -> str: ...

    @property
    def reference(self) -> str: ...


Lives = Sequence[tuple[Told, payouts_pb2.GetPayoutResponse]]


def print_lives(out: Console, lives: Lives, *, zone: ZoneInfo) -> None:
    """A table of payouts, then what happened to each, in order."""
    rows = [
        (
            told.reference,
            told.story,
            life.payout.msisdn,
            kes(life.payout.amount.minor_units),
            kes(life.payout.fee.minor_units),
            _state(life.payout.state),
            life.payout.receipt or life.payout.failure_text,
        )
        for told, life in lives
    ]
    columns = ("reference", "what the rail does", "MSISDN", ">KES", ">fee", "state", "receipt or reason")
    out.print(table(f"\n{len(rows)} payouts", columns, rows))
    steps = [
        (told.reference if number == 0 else "", clock(event.record_time, zone), event.event, _state(event.state),
         event.entry_id, event.detail)
        for told, life in lives
        for number, event in enumerate(life.events)
    ]  # fmt: skip
    out.print(table("Their lives", ("reference", "time", "event", "state after it", "journal entry", "detail"), steps))


def print_duplicate(
    out: Console, first: payouts_pb2.RequestPayoutResponse, again: payouts_pb2.RequestPayoutResponse
) -> None:
    """The same request twice: one payout, one answer."""
    same = "the same answer" if again.payout == first.payout and again.replayed else "[bold red]another answer[/]"
    out.print(f"The first request sent again under its request id: {same}, payout {again.payout.id}.")


def print_webhooks(out: Console, types: Sequence[str], *, refused: int) -> None:
    """What the partner's backend was told, signature verified."""
    counts = ", ".join(f"{types.count(name)} {name}" for name in sorted(set(types)))
    out.print(f"Webhooks received and verified by the partner's backend: {counts}; {refused} refused.")


def print_forgery(out: Console, *, believed: bool) -> None:
    """What a forged success for the unknown payout did."""
    did = "[bold red]moved money[/]" if believed else "was stored, answered like any other, and moved nothing"
    out.print(f"A forged success for the unknown payout, right in all but its path, {did}.\n")


def print_entries(out: Console, entries: Sequence[journal_pb2.JournalEntry], *, zone: ZoneInfo) -> None:
    """The journal, oldest first: a line per posting."""
    rows = []
    for entry in entries:
        head = (entry.id, entry.kind, clock(entry.effective_time, zone))
        for line in entry.postings:
            figure = kes(line.amount.minor_units)
            is_debit = line.side == journal_pb2.SIDE_DEBIT
            account = line.account if is_debit else f"  {line.account}"
            rows.append((*head, account, figure if is_debit else "", "" if is_debit else figure, entry.reference))
            head = ("", "", "")
            entry.reference = ""
    out.print(table("Journal", ("entry", "kind", "time", "account", ">debit", ">credit", "reference"), rows))


def print_trial_balance(out: Console, trial: journal_pb2.GetTrialBalanceResponse) -> bool:
    """The trial balance; whether debits equal credits."""
    rows = [
        (line.number, line.path, kes(line.debits_minor_units), kes(line.credits_minor_units),
         kes(line.balance_minor_units), journal_pb2.Side.Name(line.normal_side).removeprefix("SIDE_").lower())
        for line in trial.lines
    ]  # fmt: skip
    columns = ("number", "account", ">debits", ">credits", ">balance", "normal side")
    drawn = table("Trial balance, KES", columns, rows)
    drawn.add_section()
    for total in trial.totals:
        debits, credits = total.debits_minor_units, total.credits_minor_units
        drawn.add_row("", "[bold]total[/]", kes(debits), kes(credits), kes(debits - credits), "must be zero")
    out.print(drawn)
    return all(total.debits_minor_units == total.credits_minor_units for total in trial.totals)


def print_float(
    out: Console,
    trial: journal_pb2.GetTrialBalanceResponse,
    lives: Sequence[payouts_pb2.GetPayoutResponse],
    truth: RailTruth,
) -> bool:
    """The ledger's float and charges beside the rail's; whether unknown payouts explain every shilling between them,
    and every settled payout was paid and every released one was not."""
    balances = balances_of(trial)
    unknown = [life.payout for life in lives if life.payout.state == payouts_pb2.Payout.STATE_UNKNOWN]
    paid_unknown = [payout for payout in unknown if payout.provider_reference in truth.paid]
    paid = sum(truth.paid[payout.provider_reference] for payout in paid_unknown)
    charged = sum(truth.charged[payout.provider_reference] for payout in paid_unknown)
    books_float, books_charges = balances.get(FLOAT, 0), balances.get(CHARGES, 0)
    owed = -truth.charges_paid
    figures = {
        "Float, utility account": (books_float, truth.utility, books_float - truth.utility, paid),
        "Charges owed": (books_charges, owed, owed - books_charges, charged),
    }
    rows = [(name, *map(kes, row)) for name, row in figures.items()]
    columns = ("KES", ">ledger", ">rail's own books", ">difference", ">explained by unknown payouts")
    out.print(table("The ledger beside the rail", columns, rows))
    for payout in unknown:
        truth_told = "the rail did pay it" if payout in paid_unknown else "the rail did not pay it"
        out.print(
            f"  unknown: {payout.id} ({payout.partner_reference}), KES {kes(payout.amount.minor_units)}: {truth_told}"
        )
    explained = books_float - truth.utility == paid and owed - books_charges == charged
    return explained and _states_tell_the_truth(lives, truth)


def _states_tell_the_truth(lives: Sequence[payouts_pb2.GetPayoutResponse], truth: RailTruth) -> bool:
    settled = {
        life.payout.provider_reference for life in lives if life.payout.state == payouts_pb2.Payout.STATE_SETTLED
    }
    unknown = {
        life.payout.provider_reference for life in lives if life.payout.state == payouts_pb2.Payout.STATE_UNKNOWN
    }
    return settled <= set(truth.paid) and set(truth.paid) <= settled | unknown


def kes(minor_units: int) -> str:
    """Shillings and cents."""
    return format_minor_units(minor_units, "KES")


def _state(state: payouts_pb2.Payout.State.ValueType) -> str:
    return payouts_pb2.Payout.State.Name(state).removeprefix("STATE_")


def clock(stamp: Timestamp, zone: ZoneInfo) -> str:
    """The time of day in the ledger's zone."""
    return f"{stamp.ToDatetime(zone):%H:%M:%S.%f}"[:-3]
