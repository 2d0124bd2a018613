"""Where a point in recorded time falls in an account's history. Postings are never summed: one is found and says all.

An account's versions count its postings without a gap, and entry ids rise with them, so a binary search over versions
finds the newest posting at or before an entry id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.database import Driver
from ledger.ids import EPOCH, LOW_BITS, last_id_at

ENTRY_ID_MAX = 2**63 - 1
_MILLISECOND = timedelta(milliseconds=1)

# Plan: the balance row gives the newest version (and ends the search at once when nothing lies after the bound); then
# each step halves what is left by one probe of postings_account_version_is_unique, 24 of them at ten million postings.
# Up to version `low` everything lies at or before the bound, above `high` everything lies after it.
_FIND = """
WITH RECURSIVE search (place, bound, low, high) AS (
    SELECT wanted.place, wanted.bound,
        CASE WHEN balance.last_entry_id <= wanted.bound THEN balance.version ELSE 0 END, balance.version
    FROM unnest(%(bounds)s::bigint[]) WITH ORDINALITY AS wanted (bound, place)
    CROSS JOIN account_balances AS balance
    WHERE balance.ledger_id = %(ledger)s AND balance.account_id = %(account)s
  UNION ALL
    SELECT search.place, search.bound,
        CASE WHEN probe.entry_id <= search.bound THEN probe.account_version ELSE search.low END,
        CASE WHEN probe.entry_id <= search.bound THEN search.high ELSE probe.account_version - 1 END
    FROM search
    JOIN postings AS probe ON probe.ledger_id = %(ledger)s AND probe.account_id = %(account)s
        AND probe.account_version = (search.low + search.high + 1) / 2
    WHERE search.low < search.high
)
SELECT search.low, coalesce(newest.balance_after, 0)
FROM search
LEFT JOIN postings AS newest ON newest.ledger_id = %(ledger)s AND newest.account_id = %(account)s
    AND newest.account_version = search.low
WHERE search.low = search.high ORDER BY search.place
"""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an account's history: how many postings lie up to it, and the balance after the last of them."""

    version: int
    balance: int


async def find_positions(driver: Driver, *, ledger_id: int, account_id: int, bounds: Sequence[int]) -> list[Position]:
    """The account's position at each bound (an entry id, included), in order; version 0 before its first posting."""
    cursor = await driver.execute(_FIND, {"ledger": ledger_id, "account": account_id, "bounds": list(bounds)})
    positions = [Position(*row) for row in await cursor.fetchall()]
    assert len(positions) == len(bounds), "an account's versions have a gap: run daftari verify"
    return positions


def last_entry_id_at(moment: datetime) -> int:
    """The largest id an entry recorded at `moment` (aware) or earlier can have; its whole millisecond is included."""
    return _clamp(last_id_at(moment))


def last_entry_id_before(moment: datetime) -> int:
    """The largest id an entry recorded before `moment` (aware) can have. Entries are recorded on whole milliseconds."""
    rounded_up = -((EPOCH - moment) // _MILLISECOND)
    return _clamp((rounded_up << LOW_BITS) - 1)


def _clamp(identifier: int) -> int:
    return min(max(identifier, 0), ENTRY_ID_MAX)
