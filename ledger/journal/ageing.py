"""How old the money was that clearing accounts held at the end of a business date: an account that must come back to
zero holds what came to it last. By days alone, so that what a signed close says of it is found again at any time; what
is open now, and which items it is, `ledger.finance.ageing` tells. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver
from ledger.journal.chart import CLEARING_PREFIXES

# From how many days on each class of age runs; the first is today's and yesterday's.
AGES = (0, 2, 8, 31)
# The days of the side that the balance stands on, the newest first, until they make it up.
_HELD = """
WITH held AS (
    SELECT a.ledger_id, a.id, a.number, a.path, a.currency, a.normal_side, sum(d.debits - d.credits)::bigint AS net
    FROM accounts AS a JOIN account_days AS d ON d.ledger_id = a.ledger_id AND d.account_id = a.id
    WHERE a.ledger_id = %s AND a.path LIKE ANY (%s::text[]) AND d.business_date <= %s
    GROUP BY a.ledger_id, a.id HAVING sum(d.debits - d.credits) <> 0
)
SELECT h.number, h.path, h.currency, h.net * CASE h.normal_side WHEN 'D' THEN 1 ELSE -1 END, s.business_date,
       least(s.amount, abs(h.net) - s.newer)::bigint
FROM held AS h CROSS JOIN LATERAL (
    SELECT w.business_date, w.amount, sum(w.amount) OVER (ORDER BY w.business_date DESC) - w.amount AS newer
    FROM (SELECT d.business_date, CASE WHEN h.net > 0 THEN d.debits ELSE d.credits END AS amount FROM account_days AS d
          WHERE d.ledger_id = h.ledger_id AND d.account_id = h.id AND d.business_date <= %s) AS w
    WHERE w.amount > 0) AS s
WHERE s.newer < abs(h.net) ORDER BY h.number, h.path, h.currency, s.business_date
"""


@dataclass(frozen=True, slots=True)
class Aged:
    """A clearing account that holds something: its balance on the normal side, of what age (by AGES), in minor units;
    and since when the oldest part lies there."""

    number: str
    path: str
    currency: str
    balance: int
    parts: tuple[int, ...]
    oldest: date = field(compare=False)


async def age_clearing_accounts(connection: AsyncConnection, *, ledger_id: int, on: date) -> list[Aged]:
    """By number and path, at the end of a business date; those that hold nothing are left out."""
    prefixes = [f"{prefix.replace('_', chr(92) + '_')}%" for prefix in CLEARING_PREFIXES]
    cursor = await (await driver(connection)).execute(_HELD, (ledger_id, prefixes, on, on))
    rows = await cursor.fetchall()
    return [
        aged(key, [(row[4], row[5]) for row in own], on) for key, own in groupby(rows, key=lambda row: tuple(row[:4]))
    ]


def aged(key: tuple[str, str, str, int], days: Sequence[tuple[date, int]], on: date) -> Aged:
    """An account (number, path, currency, balance) whose balance the days make up, the oldest first. Pure."""
    number, path, currency, balance = key
    parts = [0] * len(AGES)
    for day, amount in days:
        parts[max(place for place, age in enumerate(AGES) if (on - day).days >= age)] += amount
    sign = 1 if balance > 0 else -1
    return Aged(number, path, currency, balance, tuple(sign * part for part in parts), days[0][0])
