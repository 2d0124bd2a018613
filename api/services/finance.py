"""FinanceQueryService: what finance reads. Each method converts, asks the ledger, and converts back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import date
from functools import partial

from daftari.v1 import finance_pb2 as pb
from daftari.v1.finance_pb2_grpc import FinanceQueryServiceServicer, add_FinanceQueryServiceServicer_to_server
from sqlalchemy import text

from api.admission import Admission
from api.caller import current_call
from api.conversion import finance as conversion
from api.conversion.accounts import account_name_of
from api.conversion.money import money_message
from api.conversion.pages import page_of
from api.conversion.times import date_of, period_of
from api.core import Core
from api.server import Service
from api.streaming import ahead
from ledger.database import driver, transaction
from ledger.finance.ageing import clearing_ages
from ledger.finance.daily import Part, day_lines
from ledger.finance.forecast import float_forecasts
from ledger.journal.books import Ledger
from ledger.journal.financials import balance_sheets, income_statements
from ledger.journal.general_ledger import account_days, general_ledger_parts
from ledger.journal.trial_balance import trial_balance, trial_balance_between, trial_balance_on

# Each holds a connection, and a moment of the books.
WHOLE_LEDGERS_MAX, LINES_AT_ONCE = 2, 500
_NAMES = pb.DESCRIPTOR.services_by_name
_PLACES = {part.value: str(place) for place, part in enumerate(Part)}


class FinanceQueries(FinanceQueryServiceServicer):
    """See protos/daftari/v1/finance.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._whole_ledgers = Admission(calls_max=WHOLE_LEDGERS_MAX)

    async def GetBalanceSheet(self, request: pb.GetBalanceSheetRequest, context: object) -> pb.GetBalanceSheetResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=conversion.PARTS)
        day = date_of(request.business_date, field="business_date") if request.business_date else None
        async with transaction(self._core.engine) as connection:
            if day is None:
                proof = await trial_balance(connection, ledger_id=ledger.id)
            else:
                proof = await trial_balance_on(connection, ledger_id=ledger.id, business_date=day)
        return conversion.balance_sheet_message(balance_sheets(proof.lines), page)

    async def GetIncomeStatement(
        self, request: pb.GetIncomeStatementRequest, context: object
    ) -> pb.GetIncomeStatementResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=conversion.PARTS)
        first, until = period_of(request, days_max=conversion.DAYS_MAX)
        async with transaction(self._core.engine) as connection:
            moved = await trial_balance_between(connection, ledger_id=ledger.id, from_date=first, until_date=until)
        return conversion.income_statement_message(income_statements(moved.lines), page)

    async def ListGeneralLedgerLines(
        self, request: pb.ListGeneralLedgerLinesRequest, context: object
    ) -> pb.ListGeneralLedgerLinesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=3)
        path, currency = account_name_of(request.path, request.currency, field="path")
        days, after = period_of(request, days_max=conversion.DAYS_MAX), conversion.position_of(page)
        async with transaction(self._core.engine) as connection:
            found = await account_days(
                connection, ledger_id=ledger.id, path=path, currency=currency, days=days, after=after, limit=page.size
            )
        return pb.ListGeneralLedgerLinesResponse(
            lines=[conversion.ledger_line_message(line, currency) for line in found.lines],
            opening=money_message(currency, found.opening),
            closing=money_message(currency, found.closing),
            next_page_token=page.next_token(*conversion.position_text(found.next_after)) if found.next_after else "",
        )

    async def StreamGeneralLedger(
        self, request: pb.StreamGeneralLedgerRequest, context: object
    ) -> AsyncIterator[pb.StreamGeneralLedgerResponse]:
        ledger = await self._ledger(request.ledger)
        days = period_of(request, days_max=conversion.DAYS_MAX)
        with self._whole_ledgers:
            async with aclosing(ahead(self._general_ledger(ledger, days))) as parts:
                async for part in parts:
                    yield part

    async def _general_ledger(
        self, ledger: Ledger, days: tuple[date, date]
    ) -> AsyncGenerator[pb.StreamGeneralLedgerResponse, None]:
        counted = conversion.GeneralLedgerCount()
        async with transaction(self._core.engine) as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            await connection.execute(text("SET LOCAL statement_timeout = '600s'"))
            yield conversion.general_ledger_heading(ledger, days, now=self._core.now())
            parts = general_ledger_parts(
                connection, ledger_id=ledger.id, from_date=days[0], until_date=days[1], lines_at_once=LINES_AT_ONCE
            )
            async for part in parts:
                counted.add(part)
                yield conversion.general_ledger_part_message(part)
        yield counted.message()

    async def ListClearingAges(
        self, request: pb.ListClearingAgesRequest, context: object
    ) -> pb.ListClearingAgesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=2)
        async with transaction(self._core.engine) as connection:
            found = await clearing_ages(await driver(connection), ledger_id=ledger.id, now=self._core.now())
        left = [one for one in found if (one.path, one.currency) > (page.text(0), page.text(-1))]
        shown, token = page.cut(left[: page.limit], lambda one: (one.path, one.currency))
        ages = [conversion.clearing_age_message(one) for one in shown]
        return pb.ListClearingAgesResponse(ages=ages, next_page_token=token)

    async def ListFloatForecasts(
        self, request: pb.ListFloatForecastsRequest, context: object
    ) -> pb.ListFloatForecastsResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=2)
        async with transaction(self._core.engine) as connection:
            found = await float_forecasts(await driver(connection), ledger=ledger, now=self._core.now())
        left = [one for one in found if (one.path, one.currency) > (page.text(0), page.text(-1))]
        shown, token = page.cut(left[: page.limit], lambda one: (one.path, one.currency))
        forecasts = [conversion.forecast_message(one) for one in shown]
        return pb.ListFloatForecastsResponse(forecasts=forecasts, next_page_token=token)

    async def ListDayLines(self, request: pb.ListDayLinesRequest, context: object) -> pb.ListDayLinesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=3)
        day = date_of(request.business_date, field="business_date")
        async with transaction(self._core.engine) as connection:
            found = await day_lines(await driver(connection), ledger_id=ledger.id, day=day)
        placed = sorted(((_PLACES[one.part.value], one.name, one.currency), one) for one in found)
        left = [one for one in placed if one[0] > (page.position or ("",))]
        shown, token = page.cut(left[: page.limit], lambda one: one[0])
        lines = [conversion.day_line_message(one) for _, one in shown]
        return pb.ListDayLinesResponse(lines=lines, next_page_token=token)

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)


def finance_services(core: Core) -> list[Service]:
    """FinanceQueryService on this core."""
    add = partial(add_FinanceQueryServiceServicer_to_server, FinanceQueries(core))
    return [Service(_NAMES["FinanceQueryService"].full_name, add)]
