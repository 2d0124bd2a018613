"""How long each float lasts: what it holds, what is about to leave it, and how fast money left it lately.

The forecast is a plain one: what is queued and in flight leaves, what leaves in an hour is the average of the last
DAYS whole business dates, and nothing comes in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.post import business_date
from ledger.payouts.rails import find_routes

DAYS = 7
_MINUTES_A_DAY = 24 * 60

_FLOATS = """
SELECT a.path, a.currency, (b.debits - b.credits)::bigint,
    coalesce((SELECT sum(d.credits) FROM account_days AS d WHERE d.ledger_id = a.ledger_id AND d.account_id = a.id
        AND d.business_date >= %(first)s AND d.business_date < %(today)s), 0)::bigint
FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.ledger_id = %(ledger)s AND a.path LIKE 'asset.float.%%' ORDER BY a.path COLLATE "C", a.currency
"""
_MOVING = """
SELECT a.provider, a.wallet_ref, a.currency, (b.debits - b.credits)::bigint
FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.ledger_id = %s AND a.path LIKE 'asset.transit.float_move.%%'
"""
# Businesses are paid from the working float; of a person's number the mask hides the middle.
_OPEN = """
SELECT p.rail, p.shortcode, p.currency, party.payee_masked NOT LIKE '%%****%%', p.state = 'RESERVED', count(*),
    sum(p.amount)::bigint
FROM payouts AS p JOIN parties AS party ON party.ledger_id = p.ledger_id AND party.id = p.party_id
WHERE p.ledger_id = %s AND p.state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN') GROUP BY 1, 2, 3, 4, 5
"""


@dataclass(slots=True)
class FloatForecast:
    """One float account; amounts in minor units. `queued` are payouts not sent yet, `in_flight` those sent whose
    outcome is not known; `moving` is on its way between the shortcode's floats; `outflow` is what left within the
    last DAYS whole business dates."""

    path: str
    currency: str
    balance: int
    outflow: int
    queued: int = 0
    queued_count: int = 0
    in_flight: int = 0
    in_flight_count: int = 0
    moving: int = 0

    @property
    def available(self) -> int:
        """What is left once everything queued and in flight has left; below 0 where the float does not cover it."""
        return self.balance - self.queued - self.in_flight

    @property
    def outflow_a_day(self) -> int:
        """The average of the last DAYS days, rounded down."""
        return self.outflow // DAYS

    @property
    def minutes_left(self) -> int | None:
        """Until `available` is gone at that pace; None where nothing left lately."""
        if self.available <= 0:
            return 0
        return None if not self.outflow else self.available * DAYS * _MINUTES_A_DAY // self.outflow


async def float_forecasts(driver: Driver, *, ledger: Ledger, now: datetime) -> list[FloatForecast]:
    """Every float account of the ledger, by path and currency."""
    today: date = business_date(now, ledger.zone)
    values = {"ledger": ledger.id, "first": today - timedelta(days=DAYS), "today": today}
    found = {(row[0], row[1]): FloatForecast(*row) for row in await (await driver.execute(_FLOATS, values)).fetchall()}
    routes = {(one.rail, one.shortcode, one.currency): one.accounts for one in await find_routes(
        driver, ledger_id=ledger.id)}  # fmt: skip
    for rail, shortcode, currency, is_business, is_queued, count, amount in await (
        await driver.execute(_OPEN, (ledger.id,))
    ).fetchall():
        accounts = routes.get((rail, shortcode, currency))
        path = accounts and (accounts.business_float if is_business else accounts.float_account)
        one = found.get((path or "", currency))
        if one is not None and is_queued:
            one.queued, one.queued_count = one.queued + amount, one.queued_count + count
        elif one is not None:
            one.in_flight, one.in_flight_count = one.in_flight + amount, one.in_flight_count + count
    for provider, shortcode, currency, amount in await (await driver.execute(_MOVING, (ledger.id,))).fetchall():
        for (path, own), one in found.items():
            if own == currency and path.startswith(f"asset.float.{provider}.{shortcode}."):
                one.moving = amount
    return list(found.values())
