"""Who gets what of a repayment: the parts of it always sum to the payment. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from ledger.loans.dues import Due, Parts, sum_parts
from ledger.loans.terms import LoanTerms, Part, Precedence
from ledger.money import Money


@dataclass(frozen=True, slots=True)
class Share:
    """What one instalment gets of a repayment."""

    number: int
    parts: Parts


@dataclass(frozen=True, slots=True)
class Allocation:
    """A repayment divided: `parts` pay what is due, `rest` is more than that; `shares` are the parts by instalment."""

    parts: Parts
    rest: Money
    shares: tuple[Share, ...]

    @property
    def taken(self) -> Money:
        """What pays something due."""
        return self.parts.total


@dataclass(frozen=True, slots=True)
class Recovery:
    """Money for a loan that was written off: `taken` is recovered, `rest` is more than was written off."""

    taken: Money
    rest: Money


def allocate_repayment(payment: Money, dues: Sequence[Due], terms: LoanTerms, *, today: date) -> Allocation:
    """Divides a payment (positive) over the dues, given oldest first, in the order of the terms: min(payment, due) is
    taken, and the rest is the borrower's. What is due by today goes before what is not."""
    assert payment.minor_units > 0
    assert payment.currency == terms.currency
    taken = [dict.fromkeys(Part, 0) for _ in dues]
    left = payment.minor_units
    for index, part in _order(dues, terms, today):
        amount = min(left, dues[index].parts.of(part).minor_units)
        taken[index][part] = amount
        left -= amount
    shares = tuple(
        Share(due.number, Parts(terms.currency, **{part.value: units for part, units in amounts.items()}))
        for due, amounts in zip(dues, taken, strict=True)
        if any(amounts.values())
    )
    whole = sum_parts(terms.currency, (share.parts for share in shares))
    return Allocation(parts=whole, rest=Money(terms.currency, left), shares=shares)


def recover(payment: Money, *, written_off: Money) -> Recovery:
    """Divides money for a written-off loan, of which so much is still pursued."""
    assert payment.minor_units > 0
    taken = Money(payment.currency, min(payment.minor_units, written_off.minor_units))
    return Recovery(taken=taken, rest=payment - taken)


def _order(dues: Sequence[Due], terms: LoanTerms, today: date) -> Iterator[tuple[int, Part]]:
    if terms.precedence is Precedence.OLDEST_INSTALMENT:
        return ((index, part) for index in range(len(dues)) for part in terms.waterfall)
    due = sum(one.due_on <= today for one in dues)
    groups = (range(due), range(due, len(dues)))
    return ((index, part) for group in groups for part in terms.waterfall for index in group)
