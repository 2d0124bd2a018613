"""Loans between customers: asking a lender, lending, and what one holds and owes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daftari.v1 import loans_pb2 as pb
from daftari.v1 import money_pb2

from api.ussd.choosing import choose_line, confirm
from api.ussd.conversation import Talk
from api.ussd.core import CoreRefused
from api.ussd.customers import Customers
from api.ussd.screens import Screen
from api.ussd.texts import Text
from ledger.errors import LedgerError
from ledger.money import Money, parse_decimal
from ledger.msisdn import Msisdn, parse_msisdn

if TYPE_CHECKING:
    from daftari.v1.loans_pb2_grpc import LoanCommandServiceAsyncStub, LoanQueryServiceAsyncStub

_SHOWN_MAX = 5
_NO_MONEY = "FLOOR_WOULD_BREAK"


@dataclass(frozen=True, slots=True)
class Lending:
    """The menus about one product of the agent mode: its loans go from customer to customer."""

    ledger: str
    product: str
    customers: Customers
    commands: LoanCommandServiceAsyncStub
    queries: LoanQueryServiceAsyncStub

    async def balance(self, talk: Talk) -> Screen:
        """What the caller holds, owes and has lent."""
        request = pb.GetCustomerRequest(ledger=self.ledger, customer=self.customers.of(talk.caller))
        answer = await talk.query(self.queries.GetCustomer, request)
        lines = [
            talk.say(text, amount=_shown(money))
            for position in answer.positions
            for text, money in (
                (Text.IN_WALLET, position.wallet),
                (Text.OWED, position.owed),
                (Text.LENT, position.lent),
            )
            if money.minor_units
        ]
        return Screen("\n".join(lines), ends=True) if lines else talk.end(Text.NOTHING_HELD)

    async def ask(self, talk: Talk) -> Screen:
        """A loan from somebody else."""
        terms = await self._terms(talk)
        principal = _ask_amount(talk, terms)
        lender = _ask_lender(talk)
        if not confirm(talk, talk.say(Text.CONFIRM_ASK, who=lender.masked, amount=str(principal))):
            return talk.end(Text.STOPPED)
        request = pb.RequestLoanRequest(
            ledger=self.ledger,
            request_id=talk.request_id("ask"),
            product=self.product,
            borrower=self.customers.of(talk.caller),
            msisdn=talk.caller.digits,
            principal=money_pb2.Money(currency=principal.currency, minor_units=principal.minor_units),
            lender=self.customers.of(lender),
        )
        await talk.command(self.commands.RequestLoan, request)
        return talk.end(Text.LOAN_ASKED, amount=str(principal))

    async def lend(self, talk: Talk) -> Screen:
        """Somebody asks the caller: pay out of the caller's wallet, or refuse."""
        waiting = await self._waiting(talk)
        if not waiting:
            return talk.end(Text.NO_WAITING_LOANS)
        lines = [f"{loan.payee} {_shown(loan.gross)}" for loan in waiting]
        loan = waiting[choose_line(talk, talk.say(Text.WAITING_LOANS), lines)]
        if confirm(talk, talk.say(Text.CONFIRM_LEND, amount=_shown(loan.gross), who=loan.payee)):
            return await self._pay_out(talk, loan)
        if loan.state == pb.Loan.STATE_REQUESTED:
            refusal = pb.RejectLoanRequest(ledger=self.ledger, request_id=talk.request_id("reject"), loan_id=loan.id)
            await talk.command(self.commands.RejectLoan, refusal)
        else:
            end = pb.CancelLoanRequest(ledger=self.ledger, request_id=talk.request_id("cancel"), loan_id=loan.id)
            await talk.command(self.commands.CancelLoan, end)
        return talk.end(Text.LOAN_REFUSED)

    async def _pay_out(self, talk: Talk, loan: pb.Loan) -> Screen:
        """What was approved before and found no money in the wallet is only paid out."""
        approval = pb.ApproveLoanRequest(ledger=self.ledger, request_id=talk.request_id("approve"), loan_id=loan.id)
        payment = pb.DisburseLoanRequest(ledger=self.ledger, request_id=talk.request_id("disburse"), loan_id=loan.id)
        try:
            if loan.state != pb.Loan.STATE_APPROVED:
                await talk.command(self.commands.ApproveLoan, approval)
            await talk.command(self.commands.DisburseLoan, payment)
        except CoreRefused as refused:
            if refused.reason != _NO_MONEY:
                raise
            return talk.end(Text.WALLET_TOO_LOW)
        return talk.end(Text.LOAN_GIVEN, amount=_shown(loan.gross), who=loan.payee)

    async def _waiting(self, talk: Talk) -> Sequence[pb.Loan]:
        """Loans that wait for the caller's word, or for the money in their wallet."""
        request = pb.ListLoansRequest(
            ledger=self.ledger,
            lender=self.customers.of(talk.caller),
            states=[pb.Loan.STATE_REQUESTED, pb.Loan.STATE_APPROVED, pb.Loan.STATE_DISBURSEMENT_FAILED],
            page_size=_SHOWN_MAX,
        )
        return (await talk.query(self.queries.ListLoans, request)).loans

    async def _terms(self, talk: Talk) -> pb.LoanTerms:
        request = pb.GetLoanProductRequest(ledger=self.ledger, code=self.product)
        return (await talk.query(self.queries.GetLoanProduct, request)).product.terms


def _ask_amount(talk: Talk, terms: pb.LoanTerms) -> Money:
    least = Money(terms.currency, terms.principal_min_minor_units)
    most = Money(terms.currency, terms.principal_max_minor_units)
    limits = talk.say(Text.BETWEEN, least=str(least), most=str(most))
    question = f"{talk.say(Text.ENTER_AMOUNT, currency=terms.currency)} {limits}"
    problem = ""
    while True:
        answer = talk.ask(f"{problem}{question}")
        amount = _amount(answer, terms.currency)
        if amount is None:
            problem = f"{talk.say(Text.NOT_AN_AMOUNT)} "
        elif least.minor_units <= amount.minor_units <= most.minor_units:
            return amount
        else:
            problem = ""


def _ask_lender(talk: Talk) -> Msisdn:
    question = talk.say(Text.ENTER_LENDER)
    answer = talk.ask(question)
    while (lender := _number(answer, talk.caller)) is None or lender == talk.caller:
        answer = talk.ask(f"{talk.say(Text.NOT_A_NUMBER)} {question}")
    return lender


def _amount(answer: str, currency: str) -> Money | None:
    try:
        return parse_decimal(answer.replace(",", ""), currency)
    except LedgerError:
        return None


def _number(answer: str, caller: Msisdn) -> Msisdn | None:
    """In international form, or in the local form of the caller's country."""
    try:
        return parse_msisdn(answer, near=caller)
    except LedgerError:
        return None


def _shown(money: money_pb2.Money) -> str:
    return str(Money(money.currency, money.minor_units))
