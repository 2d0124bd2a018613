"""What a borrower owes, by instalment and part, as the balances of the loan's accounts say. Pure.

No instalment keeps a balance of its own. Of each part the oldest instalment is always paid first, whatever the
waterfall, so the four balances and the schedule say which instalments are paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from ledger.loans.accrual import interest_before, interest_between, interest_by_instalment
from ledger.loans.schedule import Schedule
from ledger.loans.terms import EarlySettlement, Part
from ledger.money import Money


@dataclass(frozen=True, slots=True)
class Parts:
    """An amount by its parts, in minor units of one currency, none negative."""

    currency: str
    penalty: int = 0
    fee: int = 0
    interest: int = 0
    principal: int = 0

    def __post_init__(self) -> None:
        assert min(self.penalty, self.fee, self.interest, self.principal) >= 0, self

    def of(self, part: Part) -> Money:
        """One of them."""
        units: int = getattr(self, part.value)
        return Money(self.currency, units)

    @property
    def total(self) -> Money:
        """All of them."""
        return Money(self.currency, self.penalty + self.fee + self.interest + self.principal)


@dataclass(frozen=True, slots=True)
class Due:
    """What is open of one instalment: interest as far as it has accrued, and all of its principal."""

    number: int
    due_on: date
    parts: Parts


@dataclass(frozen=True, slots=True)
class Payoff:
    """What closes a loan today: `to_accrue` is interest to be accrued first, for the days before `accrue_before`;
    `total` is then due, that included."""

    to_accrue: Money
    accrue_before: date
    total: Money


def sum_parts(currency: str, parts: Iterable[Parts]) -> Parts:
    """The sum, part by part."""
    rows = [(one.penalty, one.fee, one.interest, one.principal) for one in parts]
    penalty, fee, interest, principal = (sum(column) for column in zip((0, 0, 0, 0), *rows, strict=True))
    return Parts(currency, penalty=penalty, fee=fee, interest=interest, principal=principal)


def dues_of(schedule: Schedule, *, outstanding: Parts, accrued_before: date) -> tuple[Due, ...]:
    """The instalments with anything open, oldest first. `outstanding` are the balances of the loan's accounts;
    interest has been accrued for all days before `accrued_before`. Penalties and fees stand with the oldest open
    instalment."""
    principal = _open([one.principal for one in schedule.instalments], outstanding.principal)
    interest = _open(interest_by_instalment(schedule, accrued_before), outstanding.interest)
    dues = []
    penalty, fee = outstanding.penalty, outstanding.fee
    for instalment, units, accrued in zip(schedule.instalments, principal, interest, strict=True):
        is_last = instalment is schedule.instalments[-1]
        if units or accrued or (is_last and (penalty or fee)):
            parts = Parts(schedule.currency, penalty=penalty, fee=fee, interest=accrued, principal=units)
            dues.append(Due(instalment.number, instalment.due_on, parts))
            penalty = fee = 0
    return tuple(dues)


def due_by(dues: Sequence[Due], day: date) -> tuple[Due, ...]:
    """Those that are to be paid by the end of `day`."""
    return tuple(due for due in dues if due.due_on <= day)


def payoff(
    policy: EarlySettlement, schedule: Schedule, *, outstanding: Parts, accrued_before: date, today: date
) -> Payoff:
    """What a borrower pays today to owe nothing more. The day of payment bears no interest."""
    until = max(accrued_before, today)
    if policy is EarlySettlement.WHOLE_INTEREST:
        until = max(accrued_before, schedule.ends_on)
    to_accrue = interest_between(schedule, from_day=accrued_before, to_day=until)
    return Payoff(to_accrue=to_accrue, accrue_before=until, total=outstanding.total + to_accrue)


def is_paid_off(policy: EarlySettlement, schedule: Schedule, *, outstanding: Parts, accrued_before: date) -> bool:
    """Whether nothing is open: under WHOLE_INTEREST, also no interest that is still to accrue."""
    if outstanding.total.minor_units:
        return False
    return policy is EarlySettlement.ACCRUED_INTEREST or interest_before(schedule, accrued_before) == schedule.interest


def _open(amounts: Sequence[int], outstanding: int) -> list[int]:
    """What is open of each amount when so much is open of them all and the first are paid first."""
    paid = sum(amounts) - outstanding
    assert paid >= 0, "more is open than was ever owed"
    left = []
    for amount in amounts:
        settled = min(amount, paid)
        paid -= settled
        left.append(amount - settled)
    return left
