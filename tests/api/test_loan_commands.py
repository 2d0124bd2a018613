"""`daftari loan`, as real processes on a database given by URL."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fix_database import Database
from tests.journeys.processes import daftari
from tests.ledger.loans.lending import open_lending


async def test_loans_are_listed_shown_with_their_statement_and_aged(
    fresh_database: Database, fresh_engine: AsyncEngine
) -> None:
    settings = {
        "database_url": fresh_database.app.render_as_string(hide_password=False),
        "secret": bytes(range(32)).hex(),
    }
    async with open_lending(fresh_engine) as lending:
        loan_id = await lending.active_loan(minor_units=1_000_000)
        await lending.pay(loan_id, 400_000)
        ledger, loan = lending.shop.ledger.code, await lending.loan(loan_id)

        listed = daftari("loan", "list", ledger, "--state", "ACTIVE", settings=settings)
        closed = daftari("loan", "list", ledger, "--state", "CLOSED", settings=settings)
        shown = daftari("loan", "show", ledger, loan.public_id, settings=settings)
        aged = daftari("loan", "ageing", ledger, settings=settings)
        strange = daftari("loan", "show", ledger, "loan_0000000000000", settings=settings)

    assert [one.code for one in (listed, closed, shown, aged, strange)] == [0, 0, 0, 0, 2]
    assert f"{loan.public_id}   zuri" in listed.out
    assert "6,000.00" in listed.out
    assert "0 loans" in closed.out
    assert "collection.allocated" in shown.out
    assert "-4,000.00" in shown.out
    assert "1 active loans" in aged.out
