"""What providers charge us, as dated bands in the books; the charges of payouts and of collections are accrued from
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.database import Driver
from ledger.errors import TextInvalid
from ledger.money import Money

SERVICE, BUSINESS_SERVICE, COLLECTION_SERVICE = "payout", "business_payout", "collection"
# The band of the newest tariff in force on the day, of the first service that has one; none where the provider charges
# nothing we know of.
_CHARGES = """
SELECT DISTINCT ON (w.position) w.position, t.charge
FROM unnest(%(position)s::int[], %(rank)s::int[], %(provider)s::text[], %(currency)s::text[], %(day)s::date[],
         %(amount)s::bigint[], %(service)s::text[]) AS w (position, rank, provider, currency, day, amount, service)
CROSS JOIN LATERAL (SELECT max(v.valid_from) AS valid_from FROM provider_tariffs AS v
    WHERE v.ledger_id = %(ledger)s AND v.provider = w.provider AND v.service = w.service AND v.currency = w.currency
      AND v.valid_from <= w.day) AS newest
LEFT JOIN provider_tariffs AS t ON t.ledger_id = %(ledger)s AND t.provider = w.provider AND t.service = w.service
     AND t.currency = w.currency AND t.valid_from = newest.valid_from
     AND w.amount BETWEEN t.from_amount AND t.to_amount
WHERE newest.valid_from IS NOT NULL ORDER BY w.position, w.rank
"""


@dataclass(frozen=True, slots=True)
class Band:
    """From `valid_from` on, an amount from `from_amount` to `to_amount` (both included) costs `charge`; minor units."""

    provider: str
    currency: str
    valid_from: date
    from_amount: int
    to_amount: int
    charge: int
    service: str = SERVICE


@dataclass(frozen=True, slots=True)
class Charged:
    """A payment that a provider may charge for: its business date, and the services whose tariff it falls under, the
    first that has one."""

    provider: str
    services: tuple[str, ...]
    amount: Money
    day: date


def collection_services(shortcode: str) -> tuple[str, ...]:
    """A shortcode's own tariff, before that of all shortcodes of the provider."""
    return (f"{COLLECTION_SERVICE}.{shortcode}", COLLECTION_SERVICE)


def bands_of(
    steps: Sequence[tuple[int, int]], *, provider: str, service: str, currency: str, valid_from: date
) -> list[Band]:
    """Bands that meet without a gap, from one minor unit on: each step is the last amount of a band and its charge, in
    minor units. Raises TextInvalid where the steps do not rise, or a charge is negative."""
    bands: list[Band] = []
    first = 1
    for last, charge in steps:
        if last < first or charge < 0:
            raise TextInvalid("each band ends above the one before it, and costs nothing or more", field="bands")
        bands.append(Band(provider, currency, valid_from, first, last, charge, service))
        first = last + 1
    return bands


async def add_bands(connection: AsyncConnection, *, ledger_id: int, bands: Sequence[Band]) -> None:
    """Adds a tariff; bands that are there stay as they are. A new tariff is a later `valid_from`, never an edit."""
    rows = [
        {
            "ledger_id": ledger_id,
            "provider": band.provider,
            "service": band.service,
            "currency": band.currency,
            "valid_from": band.valid_from,
            "from_amount": band.from_amount,
            "to_amount": band.to_amount,
            "charge": band.charge,
        }
        for band in bands
    ]
    if rows:
        await connection.execute(insert(tables.provider_tariffs).values(rows).on_conflict_do_nothing())


async def find_charges(driver: Driver, *, ledger_id: int, payments: Sequence[Charged]) -> list[Money | None]:
    """What the provider charges for each by the tariff in force; None where unknown."""
    charges: list[Money | None] = [None] * len(payments)
    if not payments:
        return charges
    rows = [(index, rank, one, name) for index, one in enumerate(payments) for rank, name in enumerate(one.services)]
    parameters = {
        "ledger": ledger_id,
        "position": [index for index, _, _, _ in rows],
        "rank": [rank for _, rank, _, _ in rows],
        "provider": [one.provider for _, _, one, _ in rows],
        "currency": [one.amount.currency for _, _, one, _ in rows],
        "day": [one.day for _, _, one, _ in rows],
        "amount": [one.amount.minor_units for _, _, one, _ in rows],
        "service": [name for _, _, _, name in rows],
    }
    for position, charge in await (await driver.execute(_CHARGES, parameters)).fetchall():
        if charge is not None:
            charges[position] = Money(payments[position].amount.currency, charge)
    return charges
