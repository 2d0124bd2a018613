"""What must hold between payouts and books whatever happened before, in plain SQL that borrows nothing from the ledger.

Each check answers the rows that break it: none, when all is well. `disagreements` names them.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from ledger.journal.verify import verify

# The balance of each account on its normal side, and what the payouts say it must be. `funds` is what was paid in.
_FIGURES = """
WITH balances AS (
    SELECT coalesce(a.role, a.owner_ref) AS whose,
        sum((b.debits - b.credits) * CASE a.normal_side WHEN 'D' THEN 1 ELSE -1 END) AS balance
    FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
    WHERE a.ledger_id = :ledger GROUP BY 1
), funds AS (
    SELECT coalesce(a.role, a.owner_ref) AS whose,
        sum(CASE p.side WHEN a.normal_side THEN p.amount ELSE -p.amount END) AS paid_in
    FROM postings AS p JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
    JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
    WHERE p.ledger_id = :ledger AND e.kind NOT LIKE 'payout.%' GROUP BY 1
), expected (whose, units) AS (
    SELECT 'payout_in_transit', coalesce(sum(amount) FILTER (WHERE state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED')), 0)
        FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT 'payout_unknown', coalesce(sum(amount) FILTER (WHERE state = 'UNKNOWN'), 0)
        FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT 'deferred_fee',
        coalesce(sum(fee) FILTER (WHERE state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN')), 0)
        FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT 'payout_fee_income', coalesce(sum(fee) FILTER (WHERE state = 'SETTLED'), 0)
        FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT 'recon_shortage', coalesce(sum(amount) FILTER (WHERE state = 'CONFLICTED'), 0)
        FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT 'payout_float', -coalesce(sum(amount) FILTER (WHERE state IN ('SETTLED', 'CONFLICTED')), 0)
        FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT 'payout_charges', coalesce(sum(provider_charge), 0) FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT 'provider_charges', coalesce(sum(provider_charge), 0) FROM payouts WHERE ledger_id = :ledger
    UNION ALL SELECT r.code, -coalesce(sum(p.amount + p.fee)
            FILTER (WHERE p.state NOT IN ('RELEASED', 'CANCELLED', 'CONFLICTED')), 0)
        FROM partners AS r LEFT JOIN payouts AS p ON p.ledger_id = r.ledger_id AND p.partner_id = r.id
        WHERE r.ledger_id = :ledger GROUP BY r.code
)
SELECT e.whose, b.balance AS in_the_books, e.units + coalesce(f.paid_in, 0) AS by_the_payouts
FROM expected AS e JOIN balances AS b ON b.whose = e.whose
LEFT JOIN funds AS f ON f.whose = e.whose
WHERE b.balance <> e.units + coalesce(f.paid_in, 0)
"""

_CHECKS = {
    "a figure of the books is not what the payouts say": _FIGURES,
    "a payout's entries do not fit its state": """
        SELECT p.state, p.id, e.kinds FROM payouts AS p, LATERAL (
            SELECT array_agg(kind ORDER BY id) AS kinds FROM journal_entries
            WHERE ledger_id = p.ledger_id AND subject_kind = 'payout' AND id >= p.reserve_entry_id
              AND (id = p.reserve_entry_id OR id IN (
                SELECT entry_id FROM payout_events WHERE ledger_id = p.ledger_id AND payout_id = p.id))) AS e
        WHERE p.ledger_id = :ledger AND array_remove(e.kinds, 'payout.unknown') <> CASE
            WHEN p.state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN') THEN ARRAY['payout.reserved']
            WHEN p.state = 'SETTLED' THEN ARRAY['payout.reserved', 'payout.settled']
            WHEN p.state IN ('RELEASED', 'CANCELLED') THEN ARRAY['payout.reserved', 'payout.released']
            ELSE ARRAY['payout.reserved', 'payout.released', 'payout.late_success'] END
    """,
    "an entry of a payout is named by none of its events": """
        SELECT e.kind, e.id FROM journal_entries AS e WHERE e.ledger_id = :ledger AND e.subject_kind = 'payout'
          AND NOT EXISTS (SELECT FROM payout_events AS v WHERE v.ledger_id = e.ledger_id AND v.entry_id = e.id)
    """,
    "a payout's events do not lead to its state": """
        SELECT p.state, p.id, v.state FROM payouts AS p
        LEFT JOIN payout_events AS v ON v.ledger_id = p.ledger_id AND v.payout_id = p.id AND v.version = p.version
        WHERE p.ledger_id = :ledger AND (v.state IS DISTINCT FROM p.state OR p.version <>
            (SELECT count(*) FROM payout_events WHERE ledger_id = p.ledger_id AND payout_id = p.id))
    """,
    "an instruction is open where nothing more is to be sent, or closed where something is": """
        SELECT p.state, p.id, i.done_at FROM payouts AS p
        JOIN instructions AS i ON i.ledger_id = p.ledger_id AND i.payout_id = p.id
        WHERE p.ledger_id = :ledger AND (i.done_at IS NULL) <> (p.state IN ('RESERVED', 'SUBMITTING'))
    """,
    "a receipt settled two payouts": """
        SELECT receipt, count(*) FROM payouts WHERE ledger_id = :ledger AND receipt IS NOT NULL
        GROUP BY rail, receipt HAVING count(*) > 1
    """,
    "a late success awaits nobody": """
        SELECT p.id FROM payouts AS p WHERE p.ledger_id = :ledger AND p.state = 'CONFLICTED' AND NOT EXISTS (
            SELECT FROM reviews WHERE ledger_id = p.ledger_id AND payout_id = p.id AND queue = 'provider-conflict')
    """,
    "nobody said why a payout is unknown": """
        SELECT p.id FROM payouts AS p JOIN payout_events AS v
            ON v.ledger_id = p.ledger_id AND v.payout_id = p.id AND v.version = p.version
        WHERE p.ledger_id = :ledger AND p.state = 'UNKNOWN' AND coalesce(v.detail, '') = ''
    """,
    "debits and credits differ": """
        SELECT currency, sum(CASE side WHEN 'D' THEN amount ELSE -amount END) FROM postings WHERE ledger_id = :ledger
        GROUP BY currency HAVING sum(CASE side WHEN 'D' THEN amount ELSE -amount END) <> 0
    """,
}


async def disagreements(engine: AsyncEngine, *, ledger_id: int) -> list[str]:
    """Every broken check with its offending rows, and every difference that `verify` finds."""
    found: list[str] = []
    async with transaction(engine) as connection:
        for complaint, query in _CHECKS.items():
            rows = await connection.execute(text(query), {"ledger": ledger_id})
            found += [f"{complaint}: {tuple(row)}" for row in rows]
        report = await verify(connection, ledger_id=ledger_id)
    return found + [str(difference) for difference in report.differences]
