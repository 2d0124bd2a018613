"""LoanQueryService: convert, one ledger call, convert."""

from __future__ import annotations

import grpc.aio
from daftari.v1 import loans_pb2 as pb
from daftari.v1.loans_pb2_grpc import LoanQueryServiceServicer

from api.caller import current_call
from api.conversion import loans as conversion
from api.conversion.loan_terms import loan_id_of, product_message
from api.conversion.money import money_message
from api.conversion.pages import page_of
from api.core import Core
from ledger.database import driver, transaction
from ledger.journal.books import Ledger
from ledger.loans import customers, products, queries


class LoanQueries(LoanQueryServiceServicer):
    """See protos/daftari/v1/loans.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListLoanProducts(
        self,
        request: pb.ListLoanProductsRequest,
        context: grpc.aio.ServicerContext[pb.ListLoanProductsRequest, pb.ListLoanProductsResponse],
    ) -> pb.ListLoanProductsResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await products.list_products(
                await driver(connection), ledger_id=ledger.id, after=page.text(), limit=page.limit
            )
        shown, token = page.cut(found, lambda one: (one.code,))
        return pb.ListLoanProductsResponse(products=[product_message(one) for one in shown], next_page_token=token)

    async def GetLoanProduct(
        self,
        request: pb.GetLoanProductRequest,
        context: grpc.aio.ServicerContext[pb.GetLoanProductRequest, pb.GetLoanProductResponse],
    ) -> pb.GetLoanProductResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            found = await products.find_product(await driver(connection), ledger_id=ledger.id, code=request.code)
        return pb.GetLoanProductResponse(product=product_message(found))

    async def GetCustomer(
        self,
        request: pb.GetCustomerRequest,
        context: grpc.aio.ServicerContext[pb.GetCustomerRequest, pb.GetCustomerResponse],
    ) -> pb.GetCustomerResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            found = await customers.positions_of(connection, ledger=ledger, customer=request.customer)
        return pb.GetCustomerResponse(positions=[conversion.position_message(one) for one in found])

    async def GetLoan(
        self,
        request: pb.GetLoanRequest,
        context: grpc.aio.ServicerContext[pb.GetLoanRequest, pb.GetLoanResponse],
    ) -> pb.GetLoanResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            view = await queries.get_loan(connection, ledger=ledger, loan_id=loan_id_of(request.loan_id))
        return pb.GetLoanResponse(loan=conversion.loan_message(view), instalments=conversion.instalment_messages(view))

    async def ListLoans(
        self,
        request: pb.ListLoansRequest,
        context: grpc.aio.ServicerContext[pb.ListLoansRequest, pb.ListLoansResponse],
    ) -> pb.ListLoansResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await queries.list_loans(
                connection,
                ledger=ledger,
                states=conversion.states_of(request.states),
                borrower=request.borrower,
                lender=request.lender,
                before=page.before(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.loan.id,))
        return pb.ListLoansResponse(loans=[conversion.loan_message(one) for one in shown], next_page_token=token)

    async def ListLoanEvents(
        self,
        request: pb.ListLoanEventsRequest,
        context: grpc.aio.ServicerContext[pb.ListLoanEventsRequest, pb.ListLoanEventsResponse],
    ) -> pb.ListLoanEventsResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        loan_id = loan_id_of(request.loan_id)
        async with transaction(self._core.engine) as connection:
            await queries.get_loan(connection, ledger=ledger, loan_id=loan_id)
            found = await queries.list_events(
                connection, ledger=ledger, loan_id=loan_id, after=page.number(), limit=page.limit
            )
        shown, token = page.cut(found, lambda one: (one.version,))
        return pb.ListLoanEventsResponse(
            events=[conversion.loan_event_message(one) for one in shown], next_page_token=token
        )

    async def ListLoanStatementLines(
        self,
        request: pb.ListLoanStatementLinesRequest,
        context: grpc.aio.ServicerContext[pb.ListLoanStatementLinesRequest, pb.ListLoanStatementLinesResponse],
    ) -> pb.ListLoanStatementLinesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await queries.list_statement_lines(
                connection,
                ledger=ledger,
                loan_id=loan_id_of(request.loan_id),
                after=page.number(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.entry_id,))
        return pb.ListLoanStatementLinesResponse(
            lines=[conversion.statement_line_message(one) for one in shown], next_page_token=token
        )

    async def QuoteSettlement(
        self,
        request: pb.QuoteSettlementRequest,
        context: grpc.aio.ServicerContext[pb.QuoteSettlementRequest, pb.QuoteSettlementResponse],
    ) -> pb.QuoteSettlementResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            _, quote = await queries.quote_settlement(
                connection, ledger=ledger, loan_id=loan_id_of(request.loan_id), now=self._core.now()
            )
        return pb.QuoteSettlementResponse(
            total=money_message(quote.total.currency, quote.total.minor_units),
            to_accrue=money_message(quote.to_accrue.currency, quote.to_accrue.minor_units),
        )

    async def ListLoanAges(
        self,
        request: pb.ListLoanAgesRequest,
        context: grpc.aio.ServicerContext[pb.ListLoanAgesRequest, pb.ListLoanAgesResponse],
    ) -> pb.ListLoanAgesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await queries.list_ages(
                connection, ledger=ledger, after=page.number(), limit=page.limit, now=self._core.now()
            )
        shown, token = page.cut(found, lambda one: (one.loan.id,))
        return pb.ListLoanAgesResponse(ages=[conversion.age_message(one) for one in shown], next_page_token=token)

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)
