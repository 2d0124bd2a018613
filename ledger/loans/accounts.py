"""The accounts of a loan, as the shipped chart draws them."""

from __future__ import annotations

from ledger.journal.chart import path_of
from ledger.loans.books import AgentBook, PrincipalBook, Receivables


def principal_book(*, loan: str, borrower: str) -> PrincipalBook:
    """The accounts of a loan of our own; `loan` is its public id in lower case, `borrower` the customer's pseudonym."""
    return PrincipalBook(
        receivables=_receivables(loan, penalty="1340", fee="1330", interest="1320", principal="1310"),
        disbursing=path_of("1350"),
        deferred_fee=path_of("2520", loan=loan),
        interest_income=path_of("4110"),
        fee_income=path_of("4120"),
        penalty_income=path_of("4130"),
        recovery_income=path_of("4140"),
        impairment=path_of("5310"),
        allowance=path_of("1390"),
        overpayment=path_of("2220", customer=borrower),
        clawback=path_of("1410"),
        written_off=path_of("9410", loan=loan),
        written_off_contra=path_of("9419"),
    )


def agent_book(*, loan: str, lender: str, borrower: str) -> AgentBook:
    """The accounts of a loan from one customer to another."""
    return AgentBook(
        receivables=_receivables(loan, penalty="9313", fee="9312", interest="9311", principal="9310"),
        receivables_contra=path_of("9319"),
        lender_wallet=path_of("2110", customer=lender),
        borrower_wallet=path_of("2110", customer=borrower),
        fee_income=path_of("4120"),
        clawback=path_of("1410"),
        written_off=path_of("9410", loan=loan),
        written_off_contra=path_of("9419"),
    )


def _receivables(loan: str, *, penalty: str, fee: str, interest: str, principal: str) -> Receivables:
    return Receivables(
        penalty=path_of(penalty, loan=loan),
        fee=path_of(fee, loan=loan),
        interest=path_of(interest, loan=loan),
        principal=path_of(principal, loan=loan),
    )
