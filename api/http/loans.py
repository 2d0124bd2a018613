"""/v1/loans: a loan is requested, approved or rejected, and disbursed. For operators; everything else is over gRPC."""

from __future__ import annotations

from daftari.v1 import loans_pb2 as pb
from fastapi import APIRouter
from pydantic import Field

from api.core import Core
from api.http.door import RestDoor
from api.http.words import (
    Amount,
    AmountShown,
    Body,
    Currency,
    CurrencyShown,
    Masked,
    Moment,
    Msisdn,
    RequestId,
    Shown,
    Tenant,
    TenantId,
    amount_text,
    ledger_of,
    money_of,
    shown,
)
from api.services.loan_commands import LoanCommands
from api.services.loan_queries import LoanQueries


class LoanWanted(Body):
    """A loan to ask for."""

    tenant_id: TenantId
    client_request_id: RequestId
    product: str = Field(description="The product's code", examples=["weekly-4"], max_length=64)
    borrower: str = Field(description="A customer's pseudonym", examples=["customer-17"], max_length=64)
    msisdn: Msisdn
    amount: Amount
    currency: Currency = ""
    lender: str = Field(default="", description="Whose money it is, where a lender's is lent", max_length=64)


class LoanDecision(Body):
    """To approve or to reject a loan."""

    tenant_id: TenantId
    client_request_id: RequestId
    reason: str = Field(default="", description="For people", max_length=200)


class LoanDisbursement(Body):
    """To pay an approved loan out."""

    tenant_id: TenantId
    client_request_id: RequestId
    shortcode: str = Field(default="", description="The shortcode that pays, where several could", max_length=20)


class LoanTaken(Shown):
    """It is done, or was by the same request before. What a disbursement comes to is told by the loan's status."""

    status: str = "accepted"
    loan_id: str = Field(examples=["loan_0000000000001"])
    client_request_id: str


class Parts(Shown):
    """What is owed now, in minor units."""

    penalty_minor_units: int
    fee_minor_units: int
    interest_minor_units: int
    principal_minor_units: int


class LoanShown(Shown):
    """A loan as it stands. It exists once active: then `payout_id` has its receipt."""

    loan_id: str = Field(examples=["loan_0000000000001"])
    status: str = Field(
        description="requested, approved, rejected, cancelled, disbursing, disbursement_failed, active, closed or "
        "written_off",
        examples=["active"],
    )
    product: str
    borrower: str
    payee: Masked
    lender: str
    gross: AmountShown
    net: AmountShown
    fee: AmountShown
    currency: CurrencyShown
    reference: str = Field(description="What the borrower types to pay it back")
    payout_id: str
    starts_on: str
    outstanding: Parts
    outstanding_total: AmountShown
    create_time: Moment
    update_time: Moment
    version: int


class Loans:
    """The routes."""

    def __init__(self, core: Core, *, door: RestDoor, commands: LoanCommands) -> None:
        self._core = core
        self._door = door
        self._commands = commands
        self._queries = LoanQueries(core)

    def router(self) -> APIRouter:
        """The routes."""
        router = self._door.router("loans")
        router.add_api_route("/loans", self.request, methods=["POST"], status_code=202)
        router.add_api_route("/loans/{loan_id}", self.read, methods=["GET"])
        router.add_api_route("/loans/{loan_id}/approve", self.approve, methods=["POST"], status_code=202)
        router.add_api_route("/loans/{loan_id}/reject", self.reject, methods=["POST"], status_code=202)
        router.add_api_route("/loans/{loan_id}/disburse", self.disburse, methods=["POST"], status_code=202)
        return router

    async def request(self, body: LoanWanted) -> LoanTaken:
        """Asks for a loan, which then waits for approval."""
        ledger = await ledger_of(self._core, body.tenant_id)
        request = pb.RequestLoanRequest(
            ledger=ledger.code,
            request_id=body.client_request_id,
            product=body.product,
            borrower=body.borrower,
            msisdn=body.msisdn,
            principal=money_of(body.amount, currency=body.currency or ledger.base_currency),
            lender=body.lender,
        )
        made = await self._door.ask(self._commands.RequestLoan, request)
        return LoanTaken(loan_id=made.loan.id, client_request_id=body.client_request_id)

    async def approve(self, loan_id: str, body: LoanDecision) -> LoanTaken:
        """Lets a loan be paid out; by another key than the one that requested it, where its product says so."""
        request = pb.ApproveLoanRequest(
            ledger=body.tenant_id, request_id=body.client_request_id, loan_id=loan_id, reason=body.reason
        )
        done = await self._door.ask(self._commands.ApproveLoan, request)
        return LoanTaken(loan_id=done.loan.id, client_request_id=body.client_request_id)

    async def reject(self, loan_id: str, body: LoanDecision) -> LoanTaken:
        """Turns a loan down."""
        request = pb.RejectLoanRequest(
            ledger=body.tenant_id, request_id=body.client_request_id, loan_id=loan_id, reason=body.reason
        )
        done = await self._door.ask(self._commands.RejectLoan, request)
        return LoanTaken(loan_id=done.loan.id, client_request_id=body.client_request_id)

    async def disburse(self, loan_id: str, body: LoanDisbursement) -> LoanTaken:
        """Requests the payout of an approved loan. The loan exists once the payout has its receipt."""
        request = pb.DisburseLoanRequest(
            ledger=body.tenant_id, request_id=body.client_request_id, loan_id=loan_id, shortcode=body.shortcode
        )
        done = await self._door.ask(self._commands.DisburseLoan, request)
        return LoanTaken(loan_id=done.loan.id, client_request_id=body.client_request_id)

    async def read(self, loan_id: str, tenant: Tenant = "") -> LoanShown:
        """A loan with what is owed."""
        ledger = await ledger_of(self._core, tenant)
        found = await self._door.ask(self._queries.GetLoan, pb.GetLoanRequest(ledger=ledger.code, loan_id=loan_id))
        loan, told = found.loan, shown(found.loan)
        owed = sum(told["outstanding"].values())
        more = {"outstanding_total": amount_text(owed, loan.gross.currency)}
        return LoanShown(**told | more | {"loan_id": loan.id, "status": told["state"]})
