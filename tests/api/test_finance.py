"""What finance reads over gRPC, page by page, and what a partner's key may see of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from daftari.v1 import finance_pb2 as pb
from daftari.v1 import partners_pb2
from daftari.v1.finance_pb2_grpc import FinanceQueryServiceStub
from daftari.v1.partners_pb2_grpc import PartnerQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.journal.post import business_date
from ledger.payouts.payout import State
from tests.api.office import Office, open_office
from tests.ledger.cases import payout_in
from tests.ledger.payouts.shop import FLOAT, IN_TRANSIT, PREFUND, UNKNOWN
from tests.wire import refusal


async def _pages(call: Callable[[Any], Awaitable[Any]], request: Any, field: str) -> list[Any]:
    """Everything of a list, two at a time."""
    found: list[Any] = []
    request.page_size = 2
    while True:
        page = await call(request)
        found += getattr(page, field)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def _busy(office: Office) -> str:
    """A shop with payouts in every state on two days; the second day."""
    for state in (State.SETTLED, State.RESERVED):
        await payout_in(office.shop, state)
    office.shop.clock.advance(seconds=86_400)
    for state in (State.UNKNOWN, State.RELEASED):
        await payout_in(office.shop, state)
    return business_date(office.shop.now(), office.shop.ledger.zone).isoformat()


async def test_statements_come_by_page_and_add_up_to_their_totals(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        today = await _busy(office)
        finance = FinanceQueryServiceStub(office.channel(office.operator))
        days: dict[str, Any] = {"ledger": office.ledger, "from_date": "2026-08-01", "until_date": today}

        sheet = await _pages(finance.GetBalanceSheet, pb.GetBalanceSheetRequest(ledger=office.ledger), "lines")
        (totals,) = (await finance.GetBalanceSheet(pb.GetBalanceSheetRequest(ledger=office.ledger))).totals
        result = await _pages(finance.GetIncomeStatement, pb.GetIncomeStatementRequest(**days), "lines")
        (earned,) = (await finance.GetIncomeStatement(pb.GetIncomeStatementRequest(**days))).totals

        assert totals.difference_minor_units == 0
        assert [sum(one.amount.minor_units for one in sheet if one.section == section) for section in (1, 2, 3)] == [
            totals.assets_minor_units, totals.liabilities_minor_units, totals.equity_minor_units,
        ]  # fmt: skip
        assert len({one.path for one in sheet}) == len(sheet) > 4
        assert totals.result_minor_units == earned.result_minor_units
        assert sum(one.amount.minor_units for one in result if one.section == 5) == earned.expenses_minor_units > 0


async def test_an_accounts_lines_of_some_days_go_from_opening_to_closing(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        today = await _busy(office)
        finance = FinanceQueryServiceStub(office.channel(office.operator))
        asking = pb.ListGeneralLedgerLinesRequest(
            ledger=office.ledger, path=PREFUND, currency="KES", from_date=today, until_date=today
        )

        whole = await finance.ListGeneralLedgerLines(asking)
        paged = await _pages(finance.ListGeneralLedgerLines, asking, "lines")

        moved = sum(one.amount.minor_units * (1 if one.side == 2 else -1) for one in whole.lines)
        assert whole.opening.minor_units + moved == whole.closing.minor_units == await office.shop.balance(PREFUND)
        assert paged == list(whole.lines)
        assert [one.kind for one in paged] == ["payout.reserved", "payout.reserved", "payout.released"]
        assert paged[-1].balance_after == whole.closing


async def test_a_whole_ledger_streams_as_its_accounts_are_told_one_by_one(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        today = await _busy(office)
        finance = FinanceQueryServiceStub(office.channel(office.operator))
        days: dict[str, Any] = {"ledger": office.ledger, "from_date": today, "until_date": today}

        heading, *accounts, end = [
            one async for one in finance.StreamGeneralLedger(pb.StreamGeneralLedgerRequest(**days))
        ]

        assert (heading.heading.zone, heading.heading.until_date) == ("Africa/Nairobi", today)
        parts = [one.account for one in accounts]
        for part in parts:
            alone = await finance.ListGeneralLedgerLines(
                pb.ListGeneralLedgerLinesRequest(path=part.path, currency=part.currency, **days)
            )
            assert (part.opening, list(part.lines), part.closing) == (alone.opening, list(alone.lines), alone.closing)
            assert part.is_last
        assert {PREFUND, IN_TRANSIT} <= {one.path for one in parts}
        amounts = [(line.side, line.amount.minor_units) for one in parts for line in one.lines]
        (total,) = end.end.totals
        assert total.debits_minor_units == sum(units for side, units in amounts if side == 1)
        assert total.debits_minor_units == total.credits_minor_units > 0
        assert (end.end.accounts, end.end.lines) == (len(parts), len(amounts))


async def test_a_partner_streams_no_ledger(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        finance = FinanceQueryServiceStub(office.channel(await office.partner_key()))
        request = pb.StreamGeneralLedgerRequest(ledger=office.ledger, from_date="2026-08-01", until_date="2026-08-01")

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            _ = [one async for one in finance.StreamGeneralLedger(request)]

        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_ages_forecasts_and_a_day_are_read_as_the_ledger_tells_them(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        today = await _busy(office)
        finance = FinanceQueryServiceStub(office.channel(office.operator))

        ages = await _pages(finance.ListClearingAges, pb.ListClearingAgesRequest(ledger=office.ledger), "ages")
        floats = await _pages(
            finance.ListFloatForecasts, pb.ListFloatForecastsRequest(ledger=office.ledger), "forecasts"
        )
        lines = await _pages(
            finance.ListDayLines, pb.ListDayLinesRequest(ledger=office.ledger, business_date=today), "lines"
        )

        by_path = {one.path: one for one in ages}
        assert by_path[UNKNOWN].buckets[0].amount.minor_units == 150_000
        assert by_path[IN_TRANSIT].buckets[2].amount.minor_units == 150_000  # a day old
        assert [one.beside_items.minor_units for one in ages] == [0] * len(ages)
        (utility,) = [one for one in floats if one.path == FLOAT]
        assert (utility.queued_count, utility.in_flight_count) == (1, 1)
        assert utility.HasField("minutes_left")
        kinds = {one.name: one.count for one in lines if one.part == "entries"}
        assert (kinds["payout.reserved"], kinds["payout.released"]) == (2, 1)


async def test_a_partner_reads_its_own_statement_and_no_books(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        today = await _busy(office)
        key = await office.partner_key()
        own = PartnerQueryServiceStub(office.channel(key))
        days: dict[str, Any] = {"ledger": office.ledger, "from_date": "2026-08-01", "until_date": today}

        statement = await own.GetPartnerStatement(partners_pb2.GetPartnerStatementRequest(**days))
        lines = await _pages(
            own.ListPartnerStatementLines, partners_pb2.ListPartnerStatementLinesRequest(**days), "lines"
        )
        other = await refusal(
            own.GetPartnerStatement(partners_pb2.GetPartnerStatementRequest(partner="somebody", **days))
        )
        books = await refusal(
            FinanceQueryServiceStub(office.channel(key)).GetBalanceSheet(
                pb.GetBalanceSheetRequest(ledger=office.ledger)
            )
        )

        assert statement.closing == lines[-1].balance_after
        assert statement.closing.minor_units == await office.shop.balance(PREFUND)
        assert sum(one.count for one in statement.totals) == len(lines)
        assert all("****" in one.payee for one in lines if one.about.startswith("pay_"))
        assert (other.code, books.code) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2026-11-30", "2026-11-29", "until_date"),
        ("2025-01-01", "2026-11-29", "until_date"),
        ("0001-01-01", "0001-01-02", "from_date"),
        ("2026-11-29", "9999-12-31", "until_date"),
        ("yesterday", "2026-11-29", "from_date"),
    ],
)
async def test_days_that_make_no_period_are_refused(engine: AsyncEngine, first: str, last: str, field: str) -> None:
    async with open_office(engine) as office:
        finance = FinanceQueryServiceStub(office.channel(office.operator))
        asking = pb.GetIncomeStatementRequest(ledger=office.ledger, from_date=first, until_date=last)

        refused = await refusal(finance.GetIncomeStatement(asking))

        assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
