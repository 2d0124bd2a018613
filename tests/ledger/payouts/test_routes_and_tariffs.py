"""Which shortcode a payout leaves from, and what the provider charges for it by the tariff in force on its day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import tariffs
from ledger.database import driver, run, transaction
from ledger.errors import RailNotFound
from ledger.journal import accounts, chart
from ledger.payouts.rails import PayoutRoute, choose_route, find_routes
from ledger.tariffs import Band
from tests.ledger.payouts.roads import STARTED, settled
from tests.ledger.payouts.shop import (
    ACCOUNTS,
    DEFERRED,
    MOMENT,
    OWED,
    Shop,
    open_shop,
)


def route(*, rail: str = "daraja", shortcode: str = "600584", currency: str = "KES") -> PayoutRoute:
    return PayoutRoute(rail, shortcode, currency, ACCOUNTS)


def band(valid_from: date, from_amount: int, to_amount: int, charge: int) -> Band:
    return Band("daraja", "KES", valid_from, from_amount, to_amount, charge)


def test_the_only_route_that_fits_needs_no_name() -> None:
    routes = [route(), route(rail="momo"), route(shortcode="600585", currency="USD")]

    chosen = choose_route(routes, currency="KES", shortcode="", rails={"daraja"})

    assert chosen == routes[0]


def test_of_several_routes_one_must_be_named() -> None:
    routes = [route(), route(shortcode="600585")]

    with pytest.raises(RailNotFound) as caught:
        choose_route(routes, currency="KES", shortcode="", rails={"daraja"})

    assert "600584, 600585" in caught.value.message
    assert choose_route(routes, currency="KES", shortcode="600585", rails={"daraja"}) == routes[1]


@pytest.mark.parametrize(
    ("currency", "shortcode", "rails"), [("USD", "", {"daraja"}), ("KES", "1", {"daraja"}), ("KES", "", set())]
)
def test_without_a_fitting_route_nothing_is_paid(currency: str, shortcode: str, rails: set[str]) -> None:
    with pytest.raises(RailNotFound) as caught:
        choose_route([route()], currency=currency, shortcode=shortcode, rails=rails)

    assert caught.value.field == "shortcode"


async def test_the_shipped_chart_makes_a_route_of_every_shortcode(shop: Shop) -> None:
    async with transaction(shop.engine) as connection:
        specs = chart.shortcode_accounts(provider="daraja", shortcode="600585", currency="KES")
        await accounts.open_accounts(connection, ledger_id=shop.ledger.id, specs=specs, ids=shop.ids, now=shop.now())
        routes = await find_routes(await driver(connection), ledger_id=shop.ledger.id)

    assert routes[0] == route()
    assert [one.shortcode for one in routes] == ["600584", "600585"]
    assert routes[1].accounts.in_transit == "liab.payout.in_transit.daraja.600585"
    assert routes[1].accounts.deferred_fee == DEFERRED


async def test_a_shortcode_whose_accounts_are_not_complete_is_no_route(shop: Shop) -> None:
    async with transaction(shop.engine) as connection:
        specs = chart.shortcode_accounts(provider="daraja", shortcode="600585", currency="KES")[:-1]
        await accounts.open_accounts(connection, ledger_id=shop.ledger.id, specs=specs, ids=shop.ids, now=shop.now())
        routes = await find_routes(await driver(connection), ledger_id=shop.ledger.id)

    assert [one.shortcode for one in routes] == ["600584"]


async def charged(shop: Shop, *, shillings: int, completed_at: datetime = MOMENT) -> int:
    """What one settled payout added to the provider's charges."""
    before = await shop.balance(OWED)
    payout_id = await shop.request(shillings=shillings)
    outcome = settled(payout_id, shillings=shillings, completed_at=completed_at)
    await shop.record((payout_id, STARTED), (payout_id, outcome))
    return await shop.balance(OWED) - before


async def test_the_charge_is_that_of_the_amounts_band_both_bounds_included(engine: AsyncEngine) -> None:
    bands = [band(date(2023, 8, 1), 1_000, 150_000, 500), band(date(2023, 8, 1), 150_100, 500_000, 900)]
    async with open_shop(engine, bands=bands) as shop:
        assert await charged(shop, shillings=10) == 500
        assert await charged(shop, shillings=1500) == 500
        assert await charged(shop, shillings=1501) == 900
        assert await charged(shop, shillings=5000) == 900
        assert await charged(shop, shillings=5001) == 0


async def test_a_new_tariff_counts_from_its_day_in_the_ledgers_zone_and_replaces_the_old_one_whole(
    engine: AsyncEngine,
) -> None:
    """The evening of 31 August in London is 1 September in Nairobi."""
    bands = [band(date(2023, 8, 1), 1_000, 25_000_000, 500), band(date(2026, 9, 1), 1_000, 150_000, 700)]
    async with open_shop(engine, bands=bands) as shop:
        last_of_the_old = datetime(2026, 8, 31, 20, 59, 59, tzinfo=UTC)
        first_of_the_new = datetime(2026, 8, 31, 21, 0, tzinfo=UTC)

        assert await charged(shop, shillings=100, completed_at=last_of_the_old) == 500
        assert await charged(shop, shillings=100, completed_at=first_of_the_new) == 700
        assert await charged(shop, shillings=2000, completed_at=first_of_the_new) == 0


async def test_without_a_tariff_in_force_nothing_is_accrued(engine: AsyncEngine) -> None:
    async with open_shop(engine, bands=[band(date(2027, 1, 1), 1_000, 25_000_000, 500)]) as shop:
        assert await charged(shop, shillings=100) == 0
        payout = (await shop.rows("SELECT provider_charge FROM payouts WHERE ledger_id = :ledger"))[0]
        assert payout.provider_charge is None


async def test_a_tariff_that_is_there_stays_as_it_is(shop: Shop) -> None:
    async def add(charge: int) -> None:
        flat = Band("daraja", "KES", date(2020, 1, 1), 0, 10**12, charge)
        await run(
            shop.engine,
            lambda connection: tariffs.add_bands(connection, ledger_id=shop.ledger.id, bands=[flat]),
        )

    await add(900)

    assert await charged(shop, shillings=100) == 500


def test_an_open_shortcode_whose_rail_runs_elsewhere_is_told_from_one_that_is_not_open() -> None:
    with pytest.raises(RailNotFound, match="does not run"):
        choose_route([route()], currency="KES", shortcode="", rails=())
    with pytest.raises(RailNotFound, match="books open"):
        choose_route([], currency="KES", shortcode="", rails=())
