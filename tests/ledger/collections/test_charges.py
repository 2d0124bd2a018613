"""What the provider takes for a collection is booked with its receipt, once, by the tariff of the day."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tariffs
from ledger.database import run
from ledger.errors import TextInvalid
from ledger.outbox.collecting import Channel
from ledger.tariffs import COLLECTION_SERVICE, Band, bands_of
from tests.ledger.collections.till import LANDING, SHORTCODE, Till

CHARGES, OWED = "expense.provider_charges.collections", f"liab.provider_charges.daraja.{SHORTCODE}"
ANY, OWN = COLLECTION_SERVICE, f"{COLLECTION_SERVICE}.{SHORTCODE}"


async def add(till: Till, *steps: tuple[int, int], service: str = ANY, valid_from: date = date(2026, 1, 1)) -> None:
    """A tariff in cents."""
    bands = bands_of(steps, provider="daraja", service=service, currency="KES", valid_from=valid_from)

    async def command(connection: AsyncConnection) -> None:
        await tariffs.add_bands(connection, ledger_id=till.shop.ledger.id, bands=bands)

    await run(till.shop.engine, command)


async def test_a_receipt_carries_its_charge_once_however_often_and_wherever_it_is_told(till: Till) -> None:
    await add(till, (10_000, 0), (50_000, 500), (100_000, 1_000))
    before = await till.balances(LANDING)
    paid = till.paid(shillings=700)

    await asyncio.gather(*(till.tell(paid) for _ in range(8)))
    await till.tell(paid, channel=Channel.PROMPT)
    await till.tell(paid, channel=Channel.PULL)

    assert await till.balances(CHARGES, OWED) == [10, 10]
    assert await till.balances(LANDING) == [before[0] + 700]


async def test_a_shortcodes_own_tariff_goes_before_that_of_all(till: Till) -> None:
    await add(till, (100_000, 1_000))
    await add(till, (50_000, 200), service=OWN)

    await till.take(shillings=400)
    inside = await till.balances(CHARGES)
    await till.take(shillings=900)

    assert (inside, await till.balances(CHARGES)) == ([2], [2])


async def test_the_tariff_is_that_of_the_day_on_which_it_was_paid(till: Till) -> None:
    """The evening of 31 August in London is 1 September in Nairobi."""
    await add(till, (100_000, 300), valid_from=date(2026, 1, 1))
    await add(till, (100_000, 700), valid_from=date(2026, 9, 1))

    await till.take(completed_at=datetime(2026, 8, 31, 20, 59, tzinfo=UTC))
    old = await till.balances(CHARGES)
    await till.take(completed_at=datetime(2026, 8, 31, 21, 0, tzinfo=UTC))

    assert (old, await till.balances(CHARGES)) == ([3], [10])


async def test_where_no_tariff_is_in_force_nothing_is_charged(till: Till) -> None:
    await add(till, (100_000, 300), valid_from=date(2027, 1, 1))

    await till.take()

    assert await till.balances(CHARGES, OWED) == [0, 0]


def test_bands_meet_without_a_gap() -> None:
    bands = bands_of([(100, 0), (500, 5)], provider="daraja", service=ANY, currency="KES", valid_from=date(2026, 1, 1))

    assert bands == [
        Band("daraja", "KES", date(2026, 1, 1), 1, 100, 0, ANY),
        Band("daraja", "KES", date(2026, 1, 1), 101, 500, 5, ANY),
    ]


@pytest.mark.parametrize("steps", [[(0, 1)], [(100, 0), (100, 5)], [(100, -1)]])
def test_bands_that_do_not_rise_or_that_pay_us_are_refused(steps: list[tuple[int, int]]) -> None:
    with pytest.raises(TextInvalid):
        bands_of(steps, provider="daraja", service=ANY, currency="KES", valid_from=date(2026, 1, 1))
