"""Rebuilds from the postings alone whatever is kept beside them, and names every difference. Only reads.

Caches (balances, days) may be repaired from the rebuilt values; a difference in the entries, chains, dates or links of
the journal itself means that somebody went around the guards.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, driver
from ledger.ids import encode
from ledger.journal import verify_checks
from ledger.journal.entries import ENTRY_PREFIX

# Per check; the report counts the rest.
DIFFERENCES_NAMED_MAX = 1000
STATEMENT_SECONDS_MAX = 3600

_COUNT = """
SELECT (SELECT count(*) FROM accounts WHERE ledger_id = %(ledger)s),
    (SELECT count(*) FROM journal_entries WHERE ledger_id = %(ledger)s),
    (SELECT count(*) FROM postings WHERE ledger_id = %(ledger)s),
    (SELECT count(*) FROM reversal_links WHERE ledger_id = %(ledger)s)
"""
_NAME = """
SELECT found.*, count(*) OVER () FROM ({check}) AS found (place, entry_id, field, stored, rebuilt)
ORDER BY entry_id, place COLLATE "C", field COLLATE "C" LIMIT {limit}
"""


class Check(enum.Enum):
    """What is compared with the postings."""

    BALANCES = "balances"
    DAYS = "days"
    CHAINS = "chains"
    ENTRIES = "entries"
    DATES = "dates"
    LINKS = "links"


_CHECKS: dict[Check, LiteralString] = {
    Check.BALANCES: verify_checks.BALANCES,
    Check.DAYS: verify_checks.DAYS,
    Check.CHAINS: verify_checks.CHAINS,
    Check.ENTRIES: verify_checks.ENTRIES,
    Check.DATES: verify_checks.DATES,
    Check.LINKS: verify_checks.LINKS,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what the postings make of it. `place` names the account, date, entry or line; an empty
    value is a row that is missing on that side."""

    check: Check
    place: str
    field: str
    stored: str
    rebuilt: str

    def __str__(self) -> str:
        stored, rebuilt = self.stored or "missing", self.rebuilt or "nothing"
        return f"{self.check.value}: {self.place}: {self.field} is {stored}, the postings say {rebuilt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """How much was looked at, the differences named, and how many there are in all."""

    accounts: int
    entries: int
    postings: int
    reversal_links: int
    differences: tuple[Difference, ...]
    differences_total: int

    @property
    def agrees(self) -> bool:
        """Whether everything is as the postings say."""
        return self.differences_total == 0


async def verify(connection: AsyncConnection, *, ledger_id: int) -> VerifyReport:
    """Compares one ledger. Takes time in proportion to its postings: for the rest of this transaction a statement may
    run STATEMENT_SECONDS_MAX. Posting may go on meanwhile."""
    session = await driver(connection)
    await session.execute("SELECT set_config('statement_timeout', %s, true)", (f"{STATEMENT_SECONDS_MAX}s",))
    counts = await (await session.execute(_COUNT, {"ledger": ledger_id})).fetchone()
    assert counts is not None, "a SELECT of counts has a row"
    named: list[Difference] = []
    total = 0
    for check, statement in _CHECKS.items():
        found, count = await _compare(session, ledger_id, check, statement)
        named += found
        total += count
    accounts, entries, postings, links = counts
    return VerifyReport(
        accounts=accounts,
        entries=entries,
        postings=postings,
        reversal_links=links,
        differences=tuple(named),
        differences_total=total,
    )


async def _compare(
    session: Driver, ledger_id: int, check: Check, statement: LiteralString
) -> tuple[list[Difference], int]:
    query = sql.SQL(_NAME).format(check=sql.SQL(statement), limit=sql.Literal(DIFFERENCES_NAMED_MAX))
    rows = await (await session.execute(query, {"ledger": ledger_id})).fetchall()
    differences = [
        Difference(check, _place(place, entry_id), field, stored or "", rebuilt or "")
        for place, entry_id, field, stored, rebuilt, _ in rows
    ]
    return differences, rows[0][-1] if rows else 0


def _place(place: str, entry_id: int) -> str:
    return f"{encode(ENTRY_PREFIX, entry_id)} {place}".strip() if entry_id else place
