"""What breaks of a run come to: an entry that books the difference, a receipt, or that they belong together. Pure.

Certain by rule are charges, where what the provider took is held against what was accrued for the same payment, and
collections that a statement alone shows. Whatever else is a person's to say."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.errors import NotFound, RuleBroken
from ledger.journal.chart import path_of
from ledger.journal.entry import Posting, Side
from ledger.money import Money
from ledger.reconciliation.importing import CHARGES_PAID, StatementAccount
from ledger.reconciliation.matching import State
from ledger.reconciliation.statement import LineKind

_CHARGE_RULE = "charge"
# What a charge of its own account may be, where a payment of the same receipt is in the books.
_CHARGE_BREAKS = frozenset({State.FEE_MISMATCH, State.MISSING_HERE, State.MISSING_THERE})
_CHARGES_REASON = "what the provider took for {} payments, held against the tariff"
_RECEIPT_REASON = "the statement alone shows this payment"


class AdjustmentNotFound(NotFound):
    """No adjustment of that id in this ledger."""


class RunNotFound(NotFound):
    """No run of that id in this ledger, or no decision of that number in it."""


class AdjustmentNotReady(RuleBroken):
    """It was decided otherwise, the books have moved since, or another adjustment is about the same."""


class Way(enum.Enum):
    """How an adjustment explains what it is about."""

    ENTRY = "entry"
    RECEIPT = "receipt"
    MATCH = "match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A decision of a run that leaves something open. `kind` is that of its first line, None where it has none."""

    number: int
    state: State
    rule: str
    at: datetime
    receipt: str
    difference: int
    lines: tuple[int, ...]
    entries: tuple[int, ...]
    kind: LineKind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An adjustment before it is written down. `postings` are empty but for Way.ENTRY."""

    way: Way
    breaks: Sequence[Break]
    reason: str
    postings: tuple[Posting, ...] = ()

    @property
    def difference(self) -> int:
        """What its breaks leave open together."""
        return sum(one.difference for one in self.breaks)

    @property
    def receipt(self) -> str:
        """The provider's number, where all are of one."""
        receipts = {one.receipt for one in self.breaks}
        return receipts.pop() if len(receipts) == 1 else ""

    @property
    def at(self) -> datetime:
        """When the last of them happened."""
        return max(one.at for one in self.breaks)


@dataclass(frozen=True, slots=True)
class Paid:
    """What the books know of payments by receipt: what was accrued for their charges, None for the account of charges
    itself; and of which receipts there are payments, True for those that came in."""

    accrued: Mapping[str, int] | None
    came_in: Mapping[str, bool]


def charges_draft(account: StatementAccount, breaks: Sequence[Break], paid: Paid) -> Draft | None:
    """One entry for all charges of an account that are not booked as they were taken: what was accrued and is taken
    from the float ends in charges owed, what the tariff did not foresee in the expense. None where there are none."""
    own = [one for one in breaks if _is_charge(account, one) and one.receipt in paid.came_in]
    if not own:
        return None
    owed = path_of("2410", provider=account.provider, shortcode=account.shortcode)
    net: dict[str, int] = {account.path: 0, owed: 0}
    for one in own:
        accrued = 0 if paid.accrued is None else paid.accrued.get(one.receipt, 0)
        expense = path_of("5111" if paid.came_in[one.receipt] else "5110")
        net[account.path] += one.difference
        if account.sub_account != CHARGES_PAID:
            net[owed] += accrued
        net[expense] = net.get(expense, 0) - one.difference - accrued
    return Draft(
        way=Way.ENTRY, breaks=own, reason=_CHARGES_REASON.format(len(own)), postings=_postings(net, account.currency)
    )


def receipt_drafts(breaks: Sequence[Break]) -> list[Draft]:
    """A receipt for each payment that came in and that no entry is about."""
    own = [
        one for one in breaks
        if one.state is State.MISSING_HERE and one.kind is LineKind.COLLECTION and one.difference > 0
        and len(one.lines) == 1
    ]  # fmt: skip
    return [Draft(way=Way.RECEIPT, breaks=[one], reason=_RECEIPT_REASON) for one in own]


def entry_draft(account: StatementAccount, breaks: Sequence[Break], *, against: str, reason: str) -> Draft:
    """An entry over what the breaks leave open, against another account: "" for where what nobody can explain waits.
    Raises AdjustmentNotReady where nothing is open."""
    difference = sum(one.difference for one in breaks)
    if difference == 0:
        raise AdjustmentNotReady(
            "nothing is open between these; say that they belong together as they are", field="breaks"
        )
    other = against or path_of("2450" if difference > 0 else "1430")
    if other == account.path:
        raise AdjustmentNotReady("an entry moves money between two accounts; name the other one", field="against")
    net = {account.path: difference, other: -difference}
    return Draft(way=Way.ENTRY, breaks=breaks, reason=reason, postings=_postings(net, account.currency))


def _is_charge(account: StatementAccount, one: Break) -> bool:
    if one.difference == 0:
        return False
    if account.sub_account == CHARGES_PAID:
        return one.state in _CHARGE_BREAKS
    return one.rule == _CHARGE_RULE


def _postings(net: Mapping[str, int], currency: str) -> tuple[Posting, ...]:
    """Debits first; what comes to nothing is left out."""
    lines = [
        Posting(path, Side.DEBIT if units > 0 else Side.CREDIT, Money(currency, abs(units)))
        for path, units in net.items()
        if units
    ]
    return tuple(sorted(lines, key=lambda line: line.side is Side.CREDIT))
