"""The accounts that one loan's entries touch, in either mode, by their paths. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ledger.journal.entry import Posting, Side, Subject
from ledger.loans.dues import Parts
from ledger.loans.loan import SUBJECT_KIND
from ledger.loans.terms import Part
from ledger.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivables:
    """Where what the borrower owes is counted, one account for each part."""

    penalty: str
    fee: str
    interest: str
    principal: str

    def lines(self, side: Side, parts: Parts) -> list[Posting]:
        """One line for every part that is not zero: debits where the borrower owes more, credits where less."""
        amounts = [(self.of(part), parts.of(part)) for part in Part]
        return [Posting(account, side, money) for account, money in amounts if money.minor_units]

    def of(self, part: Part) -> str:
        """The account of one part."""
        path: str = getattr(self, part.value)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalBook:
    """A loan of our own: receivables are assets, what it earns is income."""

    receivables: Receivables
    disbursing: str
    deferred_fee: str
    interest_income: str
    fee_income: str
    penalty_income: str
    recovery_income: str
    impairment: str
    allowance: str
    overpayment: str
    clawback: str
    written_off: str
    written_off_contra: str

    @property
    def funding(self) -> str:
        """The account that the loan's payout is paid from."""
        return self.disbursing


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBook:
    """A loan between a lender and a borrower: receivables are memorandum accounts, money goes from wallet to wallet."""

    receivables: Receivables
    receivables_contra: str
    lender_wallet: str
    borrower_wallet: str
    fee_income: str
    clawback: str
    written_off: str
    written_off_contra: str

    @property
    def funding(self) -> str:
        """The account that the loan's payout is paid from."""
        return self.lender_wallet


Book: TypeAlias = PrincipalBook | AgentBook


@dataclass(frozen=True, slots=True)
class LoanMoney:
    """What entries about a loan need: its public id, its accounts, what is paid out and what of the principal is our
    upfront fee (zero for none)."""

    public_id: str
    book: Book
    net: Money
    fee: Money

    @property
    def subject(self) -> Subject:
        """The loan as the subject of its entries."""
        return Subject(SUBJECT_KIND, self.public_id)

    @property
    def principal(self) -> Money:
        """What is owed once the loan is paid out."""
        return self.net + self.fee


def if_any(side: Callable[[str, Money], Posting], account: str, money: Money) -> list[Posting]:
    """The line, unless it would be of nothing."""
    return [side(account, money)] if money.minor_units else []
