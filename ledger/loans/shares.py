"""What a receipt means for a loan: the lines that an allocation to it credits, the lines that take one back. Pure.

Whoever allocates the money posts them, in the entry of the receipt: its debit, and these, which make up the amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from ledger.journal.entry import Posting, Side, credit, debit
from ledger.loans.books import AgentBook, LoanMoney, PrincipalBook, if_any
from ledger.loans.terms import LoanTerms, service_fee
from ledger.loans.waterfall import Allocation, Recovery
from ledger.money import Money


def repayment_shares(loan: LoanMoney, allocation: Allocation, *, terms: LoanTerms, closing_fee: Money) -> list[Posting]:
    """The lines that a repayment credits. `closing_fee` is the whole balance of the deferred fee where the repayment
    pays the loan off, which is earned with it; else zero."""
    match loan.book:
        case PrincipalBook() as book:
            return [
                *book.receivables.lines(Side.CREDIT, allocation.parts),
                *if_any(credit, book.overpayment, allocation.rest),
                *if_any(debit, book.deferred_fee, closing_fee),
                *if_any(credit, book.fee_income, closing_fee),
            ]
        case AgentBook() as book:
            return [
                *_to_lender(book, allocation.taken, allocation.rest, terms),
                *if_any(debit, book.receivables_contra, allocation.taken),
                *book.receivables.lines(Side.CREDIT, allocation.parts),
            ]
        case _:
            assert_never(loan.book)


def recovery_shares(loan: LoanMoney, recovery: Recovery, *, terms: LoanTerms) -> list[Posting]:
    """The lines that money for a written-off loan credits."""
    match loan.book:
        case PrincipalBook() as book:
            lines = [
                *if_any(credit, book.recovery_income, recovery.taken),
                *if_any(credit, book.overpayment, recovery.rest),
            ]
        case AgentBook() as book:
            lines = _to_lender(book, recovery.taken, recovery.rest, terms)
        case _:
            assert_never(loan.book)
    lines += if_any(debit, loan.book.written_off_contra, recovery.taken)
    return lines + if_any(credit, loan.book.written_off, recovery.taken)


def returned_lines(allocated: Sequence[Posting]) -> list[Posting]:
    """A repayment or recovery goes back: line for line the opposite of the entry that allocated it."""
    return [Posting(line.account, line.side.opposite, line.money) for line in allocated]


def _to_lender(book: AgentBook, taken: Money, rest: Money, terms: LoanTerms) -> list[Posting]:
    kept = service_fee(terms, taken)
    return [
        *if_any(credit, book.lender_wallet, taken - kept),
        *if_any(credit, book.fee_income, kept),
        *if_any(credit, book.borrower_wallet, rest),
    ]
