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
WITH stands AS (
    SELECT p.*, state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN') AS is_open, (
        SELECT y.payee_masked ~ '^(paybill|till|tax) ' FROM parties AS y
        WHERE y.ledger_id = p.ledger_id AND y.id = p.party_id
    ) AS is_business, state = 'SETTLED' AND NOT EXISTS (
        SELECT FROM payout_events AS v WHERE v.ledger_id = p.ledger_id AND v.payout_id = p.id
           AND v.event IN ('late_success_charged', 'late_success_clawed_back')
    ) AS is_settled
    FROM payouts AS p WHERE ledger_id = :ledger
), late AS (
    SELECT s.partner_id, s.funding, s.is_business, s.amount, (
        SELECT coalesce(sum(l.amount), 0) FROM postings AS l
        WHERE l.ledger_id = e.ledger_id AND l.entry_id = e.id AND l.line > 1 AND l.side = 'D'
    ) AS charge, coalesce((
        SELECT d.kind FROM journal_entries AS d WHERE d.ledger_id = e.ledger_id AND d.subject_kind = 'payout_receipt'
           AND d.subject_id = e.subject_id AND d.kind <> e.kind
    ), 'undecided') AS decided
    FROM journal_entries AS e
    JOIN provider_references AS r ON r.ledger_id = e.ledger_id AND r.kind = 'receipt' AND r.value = e.reference
    JOIN stands AS s ON s.id = r.payout_id AND s.rail = r.provider
    WHERE e.ledger_id = :ledger AND e.kind = 'payout.late_success'
), balances AS (
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
), expectations (whose, units) AS (
    SELECT 'payout_in_transit', sum(amount) FROM stands WHERE is_open AND state <> 'UNKNOWN'
    UNION ALL SELECT 'payout_unknown', sum(amount) FROM stands WHERE state = 'UNKNOWN'
    UNION ALL SELECT 'deferred_fee', sum(fee) FROM stands WHERE is_open
    UNION ALL SELECT 'payout_fee_income', sum(fee) FROM stands WHERE is_settled
    UNION ALL SELECT 'recon_shortage', sum(amount) FROM late WHERE decided = 'undecided'
    UNION ALL SELECT 'customer_clawback', sum(amount) FROM late WHERE decided = 'payout.clawed_back'
    UNION ALL SELECT CASE WHEN is_business THEN 'float_working' ELSE 'payout_float' END, -sum(amount) FROM (
        SELECT is_business, amount FROM stands WHERE is_settled
        UNION ALL SELECT is_business, amount FROM late WHERE decided <> 'payout.late_refuted') AS gone GROUP BY 1
    UNION ALL SELECT whose, sum(charge) FROM (VALUES ('payout_charges'), ('provider_charges')) AS w (whose), (
        SELECT provider_charge AS charge FROM stands WHERE is_settled
        UNION ALL SELECT charge FROM late WHERE decided <> 'payout.late_refuted') AS charged GROUP BY 1
    UNION ALL SELECT r.code, -sum(s.amount + s.fee) FILTER (WHERE (is_open OR is_settled) AND funding IS NULL)
        FROM partners AS r LEFT JOIN stands AS s ON s.ledger_id = r.ledger_id AND s.partner_id = r.id
        WHERE r.ledger_id = :ledger GROUP BY r.code
    UNION ALL SELECT r.code, -sum(l.amount)
        FROM partners AS r
        JOIN late AS l ON l.partner_id = r.id AND l.decided = 'payout.late_charged' AND l.funding IS NULL
        WHERE r.ledger_id = :ledger GROUP BY r.code
), expected AS (
    SELECT whose, sum(coalesce(units, 0)) AS units FROM expectations GROUP BY whose
)
SELECT e.whose, b.balance AS in_the_books, e.units + coalesce(f.paid_in, 0) AS by_the_payouts
FROM expected AS e JOIN balances AS b USING (whose) LEFT JOIN funds AS f USING (whose)
WHERE b.balance <> e.units + coalesce(f.paid_in, 0)
"""

_CHECKS = {
    "a figure of the books is not what the payouts say": _FIGURES,
    "a payout's entries do not fit its state": """
        SELECT p.state, p.id, e.kinds FROM payouts AS p, LATERAL (
            SELECT string_agg(substr(j.kind, 8), ' ' ORDER BY v.version)
                FILTER (WHERE j.kind <> 'payout.unknown') AS kinds
            FROM payout_events AS v JOIN journal_entries AS j ON j.ledger_id = v.ledger_id AND j.id = v.entry_id
            WHERE v.ledger_id = p.ledger_id AND v.payout_id = p.id) AS e
        WHERE p.ledger_id = :ledger AND e.kinds !~ CASE p.state
            WHEN 'SETTLED'
            THEN '^reserved (settled|released( late_success late_refuted)* late_success (late_charged|clawed_back))$'
            WHEN 'RELEASED' THEN '^reserved released( late_success late_refuted)*$'
            WHEN 'CANCELLED' THEN '^reserved released$'
            WHEN 'CONFLICTED' THEN '^reserved released( late_success late_refuted)* late_success$'
            ELSE '^reserved$' END
    """,
    "money in suspense waits for no case": """
        SELECT e.id, e.reference FROM journal_entries AS e
        WHERE e.ledger_id = :ledger AND e.kind = 'payout.late_success' AND NOT EXISTS (
            SELECT FROM reviews AS r WHERE r.ledger_id = e.ledger_id AND r.held_entry_id = e.id)
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
    "a submission is open where nothing more is to be sent, or closed where something is": """
        SELECT p.state, p.id, i.done_at FROM payouts AS p
        JOIN instructions AS i ON i.ledger_id = p.ledger_id AND i.payout_id = p.id AND i.kind = 'payout.submit'
        WHERE p.ledger_id = :ledger AND (i.done_at IS NULL) <> (p.state IN ('RESERVED', 'SUBMITTING'))
    """,
    "nobody asks or is asked what became of an unknown payout": """
        SELECT p.id FROM payouts AS p WHERE p.ledger_id = :ledger AND p.state = 'UNKNOWN' AND NOT EXISTS (
            SELECT FROM instructions AS i WHERE i.ledger_id = p.ledger_id AND i.payout_id = p.id AND i.done_at IS NULL)
        AND NOT EXISTS (SELECT FROM reviews AS r WHERE r.ledger_id = p.ledger_id AND r.payout_id = p.id)
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
