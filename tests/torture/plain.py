"""What the books hold by plain SQL, with nothing of the ledger's own code in between."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import psycopg
from sqlalchemy import URL

from ledger.database import conninfo

_UNBALANCED = """
SELECT count(*) FROM (
    SELECT FROM postings GROUP BY ledger_id, entry_id, currency
    HAVING sum(CASE side WHEN 'D' THEN amount ELSE -amount END) <> 0) AS one
"""
_TRIAL = "SELECT coalesce(sum(CASE side WHEN 'D' THEN amount ELSE -amount END), 0) FROM postings"
_DRIFTED = """
SELECT count(*) FROM account_balances AS b LEFT JOIN (
    SELECT ledger_id, account_id, coalesce(sum(amount) FILTER (WHERE side = 'D'), 0) AS debits,
        coalesce(sum(amount) FILTER (WHERE side = 'C'), 0) AS credits
    FROM postings GROUP BY 1, 2) AS p ON p.ledger_id = b.ledger_id AND p.account_id = b.account_id
WHERE (b.debits, b.credits) <> (coalesce(p.debits, 0), coalesce(p.credits, 0))
"""
_ENTRIES = "SELECT reference FROM journal_entries WHERE kind = %s AND reference <> ''"
_PAYOUTS = "SELECT partner_reference FROM payouts"
_RESERVES = "SELECT count(*) FROM journal_entries WHERE kind = 'payout.reserved'"


@dataclass(frozen=True, slots=True)
class Books:
    """Signed sums and counts that are zero in sound books, and how often each reference was booked."""

    trial_balance: int
    unbalanced: int
    drifted: int
    entries: Counter[str] = field(repr=False)
    payouts: Counter[str] = field(repr=False)
    reserves: int

    def faults(self) -> list[str]:
        """What is wrong with them in themselves."""
        doubled = [one for booked in (self.entries, self.payouts) for one in booked if booked[one] > 1]
        found = {
            f"the trial balance is {self.trial_balance}": self.trial_balance,
            f"{self.unbalanced} entries do not balance": self.unbalanced,
            f"{self.drifted} balances are not what their postings make": self.drifted,
            f"booked more than once: {doubled[:5]}": len(doubled),
            f"{self.reserves} reserves for {self.payouts.total()} payouts": self.reserves - self.payouts.total(),
        }
        return [words for words, count in found.items() if count]


def read_books(url: URL, *, kind: str = "transfer") -> Books:
    """The books of a database, as its superuser sees them; `kind` is that of the entries that callers post."""
    with psycopg.connect(conninfo(url)) as session:

        def number(query: bytes) -> int:
            row = session.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        return Books(
            trial_balance=number(_TRIAL.encode()),
            unbalanced=number(_UNBALANCED.encode()),
            drifted=number(_DRIFTED.encode()),
            entries=Counter(reference for (reference,) in session.execute(_ENTRIES, (kind,))),
            payouts=Counter(reference for (reference,) in session.execute(_PAYOUTS)),
            reserves=number(_RESERVES.encode()),
        )
