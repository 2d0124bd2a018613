"""What money for a loan does to it, whether it comes from a receipt or from a wallet. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ledger.journal.entry import Posting, Side
from ledger.loans import loan as table
from ledger.loans.dues import Parts, dues_of, is_paid_off
from ledger.loans.loan import Event, Move, State, Stay, transition
from ledger.loans.shares import recovery_shares, repayment_shares
from ledger.loans.terms import Part
from ledger.loans.waterfall import allocate_repayment, recover
from ledger.loans.writing import Loan, Standing
from ledger.money import Money


@dataclass(frozen=True, slots=True)
class Repayment:
    """Money that a loan takes: the lines it credits, the event it is, and what the loan's accounts hold afterwards."""

    lines: tuple[Posting, ...]
    event: Event
    verdict: Move | Stay
    standing: Standing


def take(loan: Loan, standing: Standing, amount: Money, *, today: date) -> Repayment | str:
    """What the loan makes of the money, or why it takes none, in words for the person who decides."""
    if amount.currency != loan.net.currency:
        return f"the loan is in {loan.net.currency}"
    if loan.state is State.WRITTEN_OFF:
        return _recovery(loan, standing, amount)
    verdict = transition(Event.REPAID, loan.state, of_another_payout=False)
    if isinstance(verdict, table.Standing):
        return f"{loan.public_id} is {loan.state.value}: {verdict.value}"
    return _repayment(loan, standing, amount, today)


def _repayment(loan: Loan, standing: Standing, amount: Money, today: date) -> Repayment:
    terms = loan.product.terms
    dues = dues_of(loan.schedule, outstanding=standing.outstanding, accrued_before=loan.accrued)
    found = allocate_repayment(amount, dues, terms, today=today)
    left = less(standing.outstanding, found.parts)
    event = event_of(loan, left)
    verdict = transition(event, loan.state, of_another_payout=False)
    assert isinstance(verdict, Move | Stay), verdict
    nothing = Money(amount.currency, 0)
    closing = standing.deferred_fee if isinstance(verdict, Move) else nothing
    lines = repayment_shares(loan.money, found, terms=terms, closing_fee=closing)
    return Repayment(
        tuple(lines), event, verdict, Standing(left, standing.deferred_fee - closing, standing.written_off)
    )


def _recovery(loan: Loan, standing: Standing, amount: Money) -> Repayment:
    found = recover(amount, written_off=standing.written_off)
    lines = recovery_shares(loan.money, found, terms=loan.product.terms)
    verdict = transition(Event.REPAID, loan.state, of_another_payout=False)
    assert isinstance(verdict, Stay), verdict
    left = Standing(standing.outstanding, standing.deferred_fee, standing.written_off - found.taken)
    return Repayment(tuple(lines), Event.REPAID, verdict, left)


def event_of(loan: Loan, left: Parts) -> Event:
    """What a repayment is that leaves so much open: the last one of an active loan, or one of many."""
    policy = loan.product.terms.early_settlement
    done = loan.state is State.ACTIVE and is_paid_off(
        policy, loan.schedule, outstanding=left, accrued_before=loan.accrued
    )
    return Event.PAID_OFF if done else Event.REPAID


def parts_of(loan: Loan, lines: Sequence[Posting], side: Side) -> Parts:
    """What lines on one side of the receivables make up."""
    receivables, currency = loan.book.receivables, loan.net.currency
    owed = {
        part.value: sum(
            line.money.minor_units for line in lines if line.side is side and line.account == receivables.of(part)
        )
        for part in Part
    }
    return Parts(currency, **owed)


def less(whole: Parts, taken: Parts) -> Parts:
    """The difference, part by part."""
    return Parts(whole.currency, **{part.value: (whole.of(part) - taken.of(part)).minor_units for part in Part})
