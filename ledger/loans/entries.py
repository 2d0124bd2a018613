"""The entries of a loan, in either mode. Pure.

What a loan's payout does, its reserve, failure and settlement, are the payout's own entries: `disbursing_payout` says
what they are funded by. What a receipt pays is in the receipt's own entries: `ledger.loans.shares` makes their lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import assert_never

from ledger.journal.entry import JournalEntry, Posting, Side, Source, Subject, credit, debit
from ledger.loans.books import AgentBook, LoanMoney, PrincipalBook, if_any
from ledger.loans.dues import Parts
from ledger.loans.terms import Part
from ledger.money import Money
from ledger.payouts.payout import PayoutMoney, RailAccounts

PAYOUT_SUBJECT_KIND = "loan_payout"
DAY_SUBJECT_KIND = "loan_day"
CHARGE_SUBJECT_KIND = "loan_charge"
REPAYMENT_SUBJECT_KIND = "loan_repayment"
LOSS_SUBJECT_KIND = "loan_loss"


@dataclass(frozen=True, slots=True)
class Earned:
    """What a loan has earned and is not in the books yet, as `ledger.loans.accrual` figures it; zero for nothing."""

    interest: Money
    fee: Money
    penalty: Money


def disbursing_payout(loan: LoanMoney, *, payout_id: str, rail: RailAccounts, reserve_entry_id: int = 0) -> PayoutMoney:
    """The payout that brings the loan to its borrower: reserved from the account of loans on their way, or from the
    lender's wallet. It has no fee of its own."""
    return PayoutMoney(
        public_id=payout_id,
        funding=loan.book.funding,
        accounts=rail,
        amount=loan.net,
        fee=Money(loan.net.currency, 0),
        reserve_entry_id=reserve_entry_id,
    )


def disbursed_entry(loan: LoanMoney, *, at: datetime, source: Source, receipt: str) -> JournalEntry:
    """The payout has its receipt, so the loan exists: its principal is owed, our upfront fee is still to be earned."""
    principal = Parts(loan.principal.currency, principal=loan.principal.minor_units)
    match loan.book:
        case PrincipalBook() as book:
            lines = [
                *book.receivables.lines(Side.DEBIT, principal),
                credit(book.disbursing, loan.net),
                *if_any(credit, book.deferred_fee, loan.fee),
            ]
        case AgentBook() as book:
            lines = [*book.receivables.lines(Side.DEBIT, principal), credit(book.receivables_contra, loan.principal)]
        case _:
            assert_never(loan.book)
    return _entry("loan.disbursed", loan, lines, subject=loan.subject, at=at, source=source, reference=receipt)


def disbursed_twice_entry(
    loan: LoanMoney, *, payout_id: str, at: datetime, source: Source, receipt: str
) -> JournalEntry:
    """Another payout of the same loan reached the borrower too: to be clawed back, and whoever funded it is made
    whole."""
    lines = [debit(loan.book.clawback, loan.net), credit(loan.book.funding, loan.net)]
    subject = Subject(PAYOUT_SUBJECT_KIND, payout_id)
    return _entry("loan.disbursed_twice", loan, lines, subject=subject, at=at, source=source, reference=receipt)


def day_entries(loan: LoanMoney, earned: Earned, *, day: date, at: datetime, source: Source) -> list[JournalEntry]:
    """What the loan earned by the days before `day`: one entry each for interest, fee and penalty, none for zero."""
    interest = Parts(loan.net.currency, interest=earned.interest.minor_units)
    penalty = Parts(loan.net.currency, penalty=earned.penalty.minor_units)
    rows = {
        "loan.interest_accrued": _owed(loan, interest),
        "loan.fee_amortised": _fee_earned(loan, earned.fee),
        "loan.penalty_charged": _owed(loan, penalty),
    }
    subject = Subject(DAY_SUBJECT_KIND, f"{loan.public_id}/{day}")
    return [_entry(kind, loan, lines, subject=subject, at=at, source=source) for kind, lines in rows.items() if lines]


def fee_charged_entry(loan: LoanMoney, amount: Money, *, charge_id: str, at: datetime, source: Source) -> JournalEntry:
    """A fee on the way, such as for a statement by post; `charge_id` makes it happen once."""
    lines = _owed(loan, Parts(amount.currency, fee=amount.minor_units))
    subject = Subject(CHARGE_SUBJECT_KIND, charge_id)
    return _entry("loan.fee_charged", loan, lines, subject=subject, at=at, source=source)


def repaid_entry(
    loan: LoanMoney,
    shares: Sequence[Posting],
    *,
    amount: Money,
    paid_from: str,
    repayment_id: str,
    at: datetime,
    source: Source,
) -> JournalEntry:
    """A repayment out of money that the borrower has with us: an overpayment of another loan, a wallet. `shares` are
    what `ledger.loans.shares` makes of that amount; `repayment_id` makes it happen once."""
    subject = Subject(REPAYMENT_SUBJECT_KIND, repayment_id)
    return _entry("loan.repaid", loan, [debit(paid_from, amount), *shares], subject=subject, at=at, source=source)


def written_off_entry(
    loan: LoanMoney, outstanding: Parts, *, deferred_fee: Money, allowance: Money, at: datetime, source: Source
) -> JournalEntry:
    """Nothing more is expected of the loan. Its unearned fee and then its allowance bear the loss as far as they
    reach; the whole stays pursued."""
    lines = _lost(loan, outstanding, deferred_fee=deferred_fee, allowance=allowance)
    return _entry("loan.written_off", loan, lines, subject=loan.subject, at=at, source=source)


def written_off_again_entry(
    loan: LoanMoney,
    outstanding: Parts,
    *,
    deferred_fee: Money,
    allowance: Money,
    loss_id: str,
    at: datetime,
    source: Source,
) -> JournalEntry:
    """A repayment went back that was made before the loan was given up: what it had paid is lost and pursued like the
    rest. `loss_id` makes it happen once."""
    lines = _lost(loan, outstanding, deferred_fee=deferred_fee, allowance=allowance)
    subject = Subject(LOSS_SUBJECT_KIND, loss_id)
    return _entry("loan.written_off_again", loan, lines, subject=subject, at=at, source=source)


def _lost(loan: LoanMoney, outstanding: Parts, *, deferred_fee: Money, allowance: Money) -> list[Posting]:
    total = outstanding.total
    match loan.book:
        case PrincipalBook() as book:
            lines = _written_off(book, outstanding, deferred_fee=deferred_fee, allowance=allowance)
        case AgentBook() as book:
            lines = [debit(book.receivables_contra, total), *book.receivables.lines(Side.CREDIT, outstanding)]
        case _:
            assert_never(loan.book)
    return [*lines, debit(loan.book.written_off, total), credit(loan.book.written_off_contra, total)]


def _owed(loan: LoanMoney, parts: Parts) -> list[Posting]:
    """The borrower owes more: what we have earned by it, or, in agent mode, the count of it."""
    match loan.book:
        case PrincipalBook() as book:
            incomes = {
                Part.PENALTY: book.penalty_income,
                Part.FEE: book.fee_income,
                Part.INTEREST: book.interest_income,
            }
            earned = [line for part, account in incomes.items() for line in if_any(credit, account, parts.of(part))]
            return [*book.receivables.lines(Side.DEBIT, parts), *earned]
        case AgentBook() as book:
            contra = if_any(credit, book.receivables_contra, parts.total)
            return [*book.receivables.lines(Side.DEBIT, parts), *contra]
        case _:
            assert_never(loan.book)


def _fee_earned(loan: LoanMoney, fee: Money) -> list[Posting]:
    if not fee.minor_units:
        return []
    assert isinstance(loan.book, PrincipalBook), "a lender's loan has no upfront fee"
    return [debit(loan.book.deferred_fee, fee), credit(loan.book.fee_income, fee)]


def _written_off(book: PrincipalBook, outstanding: Parts, *, deferred_fee: Money, allowance: Money) -> list[Posting]:
    currency, total = outstanding.currency, outstanding.total.minor_units
    by_fee = min(deferred_fee.minor_units, total)
    by_allowance = min(allowance.minor_units, total - by_fee)
    return [
        *if_any(debit, book.deferred_fee, deferred_fee),
        *if_any(debit, book.allowance, Money(currency, by_allowance)),
        *if_any(debit, book.impairment, Money(currency, total - by_fee - by_allowance)),
        *book.receivables.lines(Side.CREDIT, outstanding),
        *if_any(credit, book.fee_income, Money(currency, deferred_fee.minor_units - by_fee)),
    ]


def _entry(
    kind: str,
    loan: LoanMoney,
    lines: Sequence[Posting],
    *,
    subject: Subject,
    at: datetime,
    source: Source,
    reference: str | None = None,
) -> JournalEntry:
    return JournalEntry(
        kind=kind,
        postings=tuple(lines),
        effective_at=at,
        source=source,
        subject=subject,
        once=True,
        reference=reference,
        facts={"loan": loan.public_id} if subject != loan.subject else None,
    )
