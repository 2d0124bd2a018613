"""What providers charge us for payouts, as dated bands in the books; the charge of a settlement is accrued from
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables

SERVICE, BUSINESS_SERVICE = "payout", "business_payout"


@dataclass(frozen=True, slots=True)
class Band:
    """From `valid_from` on, an amount from `from_amount` to `to_amount` (both included) costs `charge`; minor units."""

    provider: str
    currency: str
    valid_from: date
    from_amount: int
    to_amount: int
    charge: int


async def add_bands(connection: AsyncConnection, *, ledger_id: int, bands: Sequence[Band]) -> None:
    """Adds a tariff; bands that are there stay as they are. A new tariff is a later `valid_from`, never an edit."""
    rows = [
        {
            "ledger_id": ledger_id,
            "provider": band.provider,
            "service": SERVICE,
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
