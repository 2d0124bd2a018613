"""Where the entries of some business dates lie: between which ids. Only reads.

Entries are asked for by business date, postings lie in the order of entry ids: with the ids known, a question about a
day reads what was posted about then, and not the whole history. Backdated entries widen the span and are never lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ledger.database import Driver

# The count keeps the planner from looking for the smallest id by walking through all of them.
_SPAN = """
SELECT coalesce(min(id), 0), coalesce(max(id), 0), count(*) FROM journal_entries
WHERE ledger_id = %s AND business_date >= %s AND business_date <= %s
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Both bounds included; from 0 to 0 where there are none."""

    first_id: int
    last_id: int


async def span_of_days(driver: Driver, *, ledger_id: int, first: date, last: date) -> Span:
    """The ids between which all entries of the business dates lie, both dates included."""
    row = await (await driver.execute(_SPAN, (ledger_id, first, last))).fetchone()
    assert row is not None, "aggregates have a row"
    return Span(row[0], row[1])
