"""How old the money is that lies in clearing accounts, which must come back to zero once nothing is under way.

Where a product knows what is open (payouts, receipts, returns), its items tell the age, and what an account holds
beside them is told apart. For the others the oldest money is taken to leave first: what is left came with the newest
postings.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.database import Driver
from ledger.ids import time_of
from ledger.journal.balances import on_normal_side
from ledger.journal.chart import CLEARING_PREFIXES
from ledger.journal.entry import Side

# Money is younger than the bound of its bucket, and no younger than the one before; the last has none.
BUCKETS = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=30))
BUCKET_NAMES = ("under an hour", "under a day", "under a week", "under 30 days", "30 days or more")
# So many of the newest postings of an account are looked at; what they do not explain is as old as the oldest of them.
POSTINGS_MAX = 1_000

_ACCOUNTS = """
SELECT a.id, a.path, a.name, a.currency, a.normal_side, b.debits, b.credits
FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.ledger_id = %s AND a.path LIKE ANY(%s) ORDER BY a.path COLLATE "C", a.currency
"""
# What products say is open, by the account that holds it. Each is served by the partial index of what is open.
_ITEMS = """
SELECT path, currency, width_bucket(extract(epoch FROM %(now)s - since), %(bounds)s::numeric[]), count(*),
    sum(amount)::bigint, min(since)
FROM (
    SELECT 'liab.payout.' || CASE state WHEN 'UNKNOWN' THEN 'unknown' ELSE 'in_transit' END || '.' || rail || '.'
            || shortcode AS path, currency, amount, created_at AS since
    FROM payouts WHERE ledger_id = %(ledger)s AND state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN')
    UNION ALL
    SELECT 'liab.deferred_fee', currency, fee, created_at FROM payouts
    WHERE ledger_id = %(ledger)s AND state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN') AND fee > 0
    UNION ALL
    SELECT 'liab.receipts.unallocated.' || provider || '.' || shortcode, currency, unallocated, completed_at
    FROM receipts WHERE ledger_id = %(ledger)s AND unallocated > 0
    UNION ALL
    SELECT 'liab.receipts.suspense', currency, suspended, completed_at
    FROM receipts WHERE ledger_id = %(ledger)s AND suspended > 0
    UNION ALL
    SELECT 'liab.receipts.returning.' || rail || '.' || shortcode, currency, amount, created_at
    FROM returns WHERE ledger_id = %(ledger)s AND state IN ('REQUESTED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN')
) AS item GROUP BY 1, 2, 3
"""
_NEWEST = """
SELECT w.id, p.entry_id, p.amount
FROM unnest(%(accounts)s::bigint[], %(sides)s::text[]) AS w (id, side)
CROSS JOIN LATERAL (
    SELECT entry_id, side, amount FROM postings WHERE ledger_id = %(ledger)s AND account_id = w.id
    ORDER BY account_version DESC LIMIT %(limit)s) AS p
WHERE p.side = w.side
"""


class Basis(enum.Enum):
    """What an account's ages rest on."""

    ITEMS = "open items"
    POSTINGS = "first in, first out"


@dataclass(slots=True)
class ClearingAge:
    """A clearing account that holds anything: `minor_units` on its normal side, by age (`buckets` as BUCKET_NAMES), the
    oldest of it, how many items there are, and what it holds that no item explains."""

    path: str
    name: str
    currency: str
    minor_units: int
    basis: Basis
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKET_NAMES))
    oldest_at: datetime | None = None
    items: int = 0

    @property
    def beside_items(self) -> int:
        """0 where all of it is explained."""
        return self.minor_units - sum(self.buckets)

    def add(self, bucket: int, amount: int, since: datetime, *, count: int = 1) -> None:
        """Puts money into a bucket."""
        self.buckets[bucket] += amount
        self.items += count
        self.oldest_at = since if self.oldest_at is None else min(self.oldest_at, since)


@dataclass(frozen=True, slots=True)
class _Account:
    id: int
    age: ClearingAge
    normal_side: Side


async def clearing_ages(driver: Driver, *, ledger_id: int, now: datetime) -> list[ClearingAge]:
    """The clearing accounts that hold anything, or that items should be in, by path and currency."""
    patterns = [f"{prefix}%" for prefix in CLEARING_PREFIXES]
    accounts: dict[tuple[str, str], _Account] = {}
    for row in await (await driver.execute(_ACCOUNTS, (ledger_id, patterns))).fetchall():
        side = Side(row[4])
        age = ClearingAge(row[1], row[2], row[3], on_normal_side(side, debits=row[5], credits=row[6]), Basis.POSTINGS)
        accounts[age.path, age.currency] = _Account(row[0], age, side)
    bounds = [int(one.total_seconds()) for one in BUCKETS]
    cursor = await driver.execute(_ITEMS, {"ledger": ledger_id, "now": now, "bounds": bounds})
    for path, currency, bucket, count, amount, since in await cursor.fetchall():
        found = accounts.get((path, currency))
        if found is not None:
            found.age.basis = Basis.ITEMS
            found.age.add(bucket, amount, since, count=count)
    held = [one for one in accounts.values() if one.age.minor_units or one.age.items]
    await _by_postings(driver, ledger_id, [one for one in held if one.age.basis is Basis.POSTINGS], now)
    return [one.age for one in held]


async def _by_postings(driver: Driver, ledger_id: int, accounts: Sequence[_Account], now: datetime) -> None:
    sides = [
        one.normal_side if one.age.minor_units > 0 else one.normal_side.opposite for one in accounts
    ]  # what is below zero came from the other side
    values = {
        "ledger": ledger_id, "accounts": [one.id for one in accounts], "sides": [side.value for side in sides],
        "limit": POSTINGS_MAX,
    }  # fmt: skip
    newest: Mapping[int, list[tuple[int, int]]] = defaultdict(list)
    for account_id, entry_id, amount in await (await driver.execute(_NEWEST, values)).fetchall():
        newest[account_id].append((entry_id, amount))
    for one in accounts:
        age_by_postings(one.age, sorted(newest[one.id], reverse=True), now=now)


def age_by_postings(age: ClearingAge, newest: Iterable[tuple[int, int]], *, now: datetime) -> None:
    """What is left came with the newest postings, (entry id, amount) from the newest on. Pure but for `age`."""
    left, sign = abs(age.minor_units), 1 if age.minor_units > 0 else -1
    oldest = None
    for entry_id, amount in newest:
        if not left:
            return
        oldest = time_of(entry_id)
        part = min(left, amount)
        left -= part
        age.add(bucket_of(now - oldest), sign * part, oldest)
    if left and oldest is not None:
        age.add(bucket_of(now - oldest), sign * left, oldest, count=0)


def bucket_of(age: timedelta) -> int:
    """The place in BUCKET_NAMES. Pure."""
    return sum(age >= bound for bound in BUCKETS)
