"""What a receipt means for a loan: the lines that an allocation to it credits, the lines that take one back. Pure.

Whoever allocates the money posts them, in the entry of the receipt: its debit, and these, which make up the amount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from ledger.journal.entry import Posting, Side, credit, debit
from ledger.loans.books import AgentBook, LoanMoney, PrincipalBook, if_any
from ledger.loans.terms import LoanTerms, Part, service_fee
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


def returned_lines(loan: LoanMoney, allocated: Sequence[Posting], *, lacking: Mapping[str, Money]) -> list[Posting]:
    """A repayment or recovery goes back: line for line the opposite of the entry that allocated it. Where an account
    lacks some of what is taken from it, because a wallet or an overpayment was spent, that is to be clawed back."""
    lines = []
    for line in allocated:
        missing = lacking.get(line.account, Money(line.money.currency, 0)) if line.side is Side.CREDIT else None
        if missing is None or missing.minor_units == 0:
            lines.append(Posting(line.account, line.side.opposite, line.money))
        else:
            lines += if_any(debit, line.account, line.money - missing)
            lines.append(debit(loan.book.clawback, missing))
    return lines


def returned_after_write_off_lines(
    loan: LoanMoney, allocated: Sequence[Posting], *, lacking: Mapping[str, Money]
) -> list[Posting]:
    """A repayment goes back that was allocated before the loan was written off: what it had paid is lost now and
    pursued with the rest."""
    lines = returned_lines(loan, allocated, lacking=lacking)
    book = loan.book
    replaced = dict.fromkeys((book.receivables.of(part) for part in Part), book.written_off)
    if isinstance(book, AgentBook):
        replaced[book.receivables_contra] = book.written_off_contra
        return [Posting(replaced.get(line.account, line.account), line.side, line.money) for line in lines]
    # What the repayment earned of the upfront fee by closing the loan stays earned.
    lost = [line.money for line in lines if line.account in replaced]
    kept = [line for line in lines if line.account not in {*replaced, book.deferred_fee, book.fee_income}]
    total = sum(lost, Money(loan.net.currency, 0))
    memo = [debit(book.written_off, total), credit(book.written_off_contra, total)]
    return [*kept, debit(book.impairment, total), *memo]


def _to_lender(book: AgentBook, taken: Money, rest: Money, terms: LoanTerms) -> list[Posting]:
    kept = service_fee(terms, taken)
    return [
        *if_any(credit, book.lender_wallet, taken - kept),
        *if_any(credit, book.fee_income, kept),
        *if_any(credit, book.borrower_wallet, rest),
    ]
