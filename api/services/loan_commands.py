"""LoanCommandService: convert, one ledger call, convert."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import grpc.aio
from daftari.v1 import loans_pb2 as pb
from daftari.v1.loans_pb2_grpc import LoanCommandServiceServicer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import loans as conversion
from api.conversion.loan_terms import product_message, product_request_of
from api.conversion.money import money_of
from api.core import Core
from ledger.database import driver, run
from ledger.journal.books import Ledger
from ledger.loans import products, queries
from ledger.loans.commands import RACING_CONSTRAINTS as LOAN_RACES
from ledger.loans.commands import LoanDesk
from ledger.loans.disbursing import Disburser
from ledger.loans.queries import LoanView
from ledger.loans.settling import LoanCounter, Order
from ledger.payouts.request import RACING_CONSTRAINTS as PAYOUT_RACES

RACING_CONSTRAINTS = LOAN_RACES | PAYOUT_RACES
# What a command does to a loan, on a connection; whether the same request had done it before.
_Act: TypeAlias = Callable[[AsyncConnection, Ledger, Order], Awaitable[bool]]


class LoanCommands(LoanCommandServiceServicer):
    """See protos/daftari/v1/loans.proto."""

    def __init__(self, core: Core, *, desk: LoanDesk, disburser: Disburser, counter: LoanCounter) -> None:
        self._core = core
        self._desk = desk
        self._disburser = disburser
        self._counter = counter

    async def CreateLoanProduct(
        self,
        request: pb.CreateLoanProductRequest,
        context: grpc.aio.ServicerContext[pb.CreateLoanProductRequest, pb.CreateLoanProductResponse],
    ) -> pb.CreateLoanProductResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        wanted = product_request_of(request, client_id=caller.client_id, actor=caller.name)

        async def create(connection: AsyncConnection) -> tuple[products.Product, bool]:
            return await products.create_product(
                connection, ledger=ledger, request=wanted, ids=self._core.ids, now=self._core.now()
            )

        product, replayed = await run(self._core.engine, create, again_on=RACING_CONSTRAINTS)
        return pb.CreateLoanProductResponse(product=product_message(product), replayed=replayed)

    async def RequestLoan(
        self,
        request: pb.RequestLoanRequest,
        context: grpc.aio.ServicerContext[pb.RequestLoanRequest, pb.RequestLoanResponse],
    ) -> pb.RequestLoanResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        wanted = conversion.loan_request_of(
            request,
            ledger_id=ledger.id,
            client_id=caller.client_id,
            actor=caller.name,
            party_keys=self._desk.party_keys,
        )

        async def ask(connection: AsyncConnection) -> tuple[LoanView, bool]:
            loan_id, replayed = await self._desk.request(
                connection, ledger=ledger, request=wanted, now=self._core.now()
            )
            return await queries.get_loan(connection, ledger=ledger, loan_id=loan_id), replayed

        view, replayed = await run(self._core.engine, ask, again_on=RACING_CONSTRAINTS)
        return pb.RequestLoanResponse(loan=conversion.loan_message(view), replayed=replayed)

    async def ApproveLoan(
        self,
        request: pb.ApproveLoanRequest,
        context: grpc.aio.ServicerContext[pb.ApproveLoanRequest, pb.ApproveLoanResponse],
    ) -> pb.ApproveLoanResponse:
        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            return await self._desk.approve(connection, ledger=ledger, order=order, now=self._core.now())

        loan, replayed = await self._act(request, act)
        return pb.ApproveLoanResponse(loan=loan, replayed=replayed)

    async def RejectLoan(
        self,
        request: pb.RejectLoanRequest,
        context: grpc.aio.ServicerContext[pb.RejectLoanRequest, pb.RejectLoanResponse],
    ) -> pb.RejectLoanResponse:
        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            return await self._desk.reject(connection, ledger=ledger, order=order, now=self._core.now())

        loan, replayed = await self._act(request, act)
        return pb.RejectLoanResponse(loan=loan, replayed=replayed)

    async def CancelLoan(
        self,
        request: pb.CancelLoanRequest,
        context: grpc.aio.ServicerContext[pb.CancelLoanRequest, pb.CancelLoanResponse],
    ) -> pb.CancelLoanResponse:
        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            return await self._desk.cancel(connection, ledger=ledger, order=order, now=self._core.now())

        loan, replayed = await self._act(request, act)
        return pb.CancelLoanResponse(loan=loan, replayed=replayed)

    async def DisburseLoan(
        self,
        request: pb.DisburseLoanRequest,
        context: grpc.aio.ServicerContext[pb.DisburseLoanRequest, pb.DisburseLoanResponse],
    ) -> pb.DisburseLoanResponse:
        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            return await self._disburser.disburse(
                connection, ledger=ledger, order=order, shortcode=request.shortcode, now=self._core.now()
            )

        loan, replayed = await self._act(request, act)
        return pb.DisburseLoanResponse(loan=loan, replayed=replayed)

    async def RepayLoan(
        self,
        request: pb.RepayLoanRequest,
        context: grpc.aio.ServicerContext[pb.RepayLoanRequest, pb.RepayLoanResponse],
    ) -> pb.RepayLoanResponse:
        purse, amount = conversion.purse_of(request.purse), money_of(request.amount, field="amount")

        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            session = await driver(connection)
            return await self._counter.repay(
                session, ledger=ledger, order=order, purse=purse, amount=amount, now=self._core.now()
            )

        loan, replayed = await self._act(request, act)
        return pb.RepayLoanResponse(loan=loan, replayed=replayed)

    async def SettleLoan(
        self,
        request: pb.SettleLoanRequest,
        context: grpc.aio.ServicerContext[pb.SettleLoanRequest, pb.SettleLoanResponse],
    ) -> pb.SettleLoanResponse:
        purse = conversion.purse_of(request.purse)

        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            session = await driver(connection)
            return await self._counter.settle(session, ledger=ledger, order=order, purse=purse, now=self._core.now())

        loan, replayed = await self._act(request, act)
        return pb.SettleLoanResponse(loan=loan, replayed=replayed)

    async def ChargeLoan(
        self,
        request: pb.ChargeLoanRequest,
        context: grpc.aio.ServicerContext[pb.ChargeLoanRequest, pb.ChargeLoanResponse],
    ) -> pb.ChargeLoanResponse:
        amount = money_of(request.amount, field="amount")

        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            session = await driver(connection)
            return await self._counter.charge(session, ledger=ledger, order=order, amount=amount, now=self._core.now())

        loan, replayed = await self._act(request, act)
        return pb.ChargeLoanResponse(loan=loan, replayed=replayed)

    async def WriteOffLoan(
        self,
        request: pb.WriteOffLoanRequest,
        context: grpc.aio.ServicerContext[pb.WriteOffLoanRequest, pb.WriteOffLoanResponse],
    ) -> pb.WriteOffLoanResponse:
        async def act(connection: AsyncConnection, ledger: Ledger, order: Order) -> bool:
            session = await driver(connection)
            return await self._counter.write_off(session, ledger=ledger, order=order, now=self._core.now())

        loan, replayed = await self._act(request, act)
        return pb.WriteOffLoanResponse(loan=loan, replayed=replayed)

    async def _act(self, request: conversion.OrderRequest, act: _Act) -> tuple[pb.Loan, bool]:
        """The loan as it is then."""
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        order = conversion.order_of(request, client_id=caller.client_id, actor=caller.name)

        async def command(connection: AsyncConnection) -> tuple[LoanView, bool]:
            replayed = await act(connection, ledger, order)
            return await queries.get_loan(connection, ledger=ledger, loan_id=order.loan_id), replayed

        view, replayed = await run(self._core.engine, command, again_on=RACING_CONSTRAINTS)
        return conversion.loan_message(view), replayed

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)
