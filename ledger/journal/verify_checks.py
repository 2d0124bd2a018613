"""The checks of verify, one statement each: what is stored beside what the postings say. Only SELECTs.

Every statement takes the ledger's id as %(ledger)s and yields rows (place, entry id or 0, field, stored, rebuilt), one
per difference; a value missing on one side is NULL. Each sees one snapshot, so posting may go on meanwhile.
"""

from __future__ import annotations

# Plan: one pass over the ledger's postings, hashed by account, full-joined to its accounts with their balance rows.
BALANCES = """
SELECT concat_ws(' ', coalesce(stored.path, 'account #' || rebuilt.account_id), stored.currency), 0::bigint,
    pair.field, pair.stored::text, pair.rebuilt::text
FROM (
    SELECT account.id, account.path, account.currency, balance.*
    FROM accounts AS account
    LEFT JOIN account_balances AS balance ON balance.ledger_id = account.ledger_id AND balance.account_id = account.id
    WHERE account.ledger_id = %(ledger)s
) AS stored
FULL JOIN (
    SELECT account_id, count(*) AS version, max(entry_id) AS last_entry_id,
        sum(amount) FILTER (WHERE side = 'D') AS debits, sum(amount) FILTER (WHERE side = 'C') AS credits
    FROM postings WHERE ledger_id = %(ledger)s GROUP BY account_id
) AS rebuilt ON rebuilt.account_id = stored.id
CROSS JOIN LATERAL (VALUES
    ('debits', stored.debits, coalesce(rebuilt.debits, 0)),
    ('credits', stored.credits, coalesce(rebuilt.credits, 0)),
    ('version', stored.version, coalesce(rebuilt.version, 0)),
    ('last_entry_id', stored.last_entry_id, coalesce(rebuilt.last_entry_id, 0))
) AS pair (field, stored, rebuilt)
WHERE pair.stored IS DISTINCT FROM pair.rebuilt
"""

# Plan: one pass over postings joined to their headers by hash, hashed by account and date, full-joined to the days.
DAYS = """
SELECT concat_ws(' ', coalesce(account.path, 'account #' || account_id), account.currency, business_date), 0::bigint,
    pair.field, pair.stored::text, pair.rebuilt::text
FROM (SELECT * FROM account_days WHERE ledger_id = %(ledger)s) AS stored
FULL JOIN (
    SELECT line.account_id, header.business_date,
        coalesce(sum(line.amount) FILTER (WHERE line.side = 'D'), 0) AS debits,
        coalesce(sum(line.amount) FILTER (WHERE line.side = 'C'), 0) AS credits
    FROM postings AS line
    JOIN journal_entries AS header ON header.ledger_id = line.ledger_id AND header.id = line.entry_id
    WHERE line.ledger_id = %(ledger)s GROUP BY 1, 2
) AS rebuilt USING (account_id, business_date)
LEFT JOIN accounts AS account ON account.ledger_id = %(ledger)s AND account.id = account_id
CROSS JOIN LATERAL (VALUES ('debits', stored.debits, rebuilt.debits), ('credits', stored.credits, rebuilt.credits))
    AS pair (field, stored, rebuilt)
WHERE pair.stored IS DISTINCT FROM pair.rebuilt
"""

# Plan: the ledger's postings in the order of postings_account_version_is_unique, one window over each account.
CHAINS = """
SELECT concat_ws(' ', coalesce(walked.path, 'account #' || walked.account_id), walked.currency,
        'version', walked.account_version), walked.entry_id, pair.field, pair.stored::text, pair.rebuilt::text
FROM (
    SELECT line.*, account.path, lag(line.account_version, 1, 0::bigint) OVER chain + 1 AS next_version,
        greatest(lag(line.entry_id) OVER chain, line.entry_id) AS rising_entry_id,
        sum(CASE line.side WHEN account.normal_side THEN line.amount ELSE -line.amount END) OVER chain AS running
    FROM postings AS line
    LEFT JOIN accounts AS account ON account.ledger_id = line.ledger_id AND account.id = line.account_id
    WHERE line.ledger_id = %(ledger)s
    WINDOW chain AS (PARTITION BY line.account_id ORDER BY line.account_version)
) AS walked
CROSS JOIN LATERAL (VALUES
    ('account_version', walked.account_version, walked.next_version),
    ('entry_id', walked.entry_id, walked.rising_entry_id),
    ('balance_after', walked.balance_after, walked.running)
) AS pair (field, stored, rebuilt)
WHERE pair.stored IS DISTINCT FROM pair.rebuilt
"""

# Plan: one pass over postings joined to their accounts, hashed by entry, currency and memo; then headers by hash.
ENTRIES = """
WITH nets AS (
    SELECT line.entry_id, line.currency, account.class = 'memo' AS is_memo, count(*) AS lines,
        sum(CASE line.side WHEN 'D' THEN line.amount ELSE -line.amount END) AS net
    FROM postings AS line
    LEFT JOIN accounts AS account ON account.ledger_id = line.ledger_id AND account.id = line.account_id
    WHERE line.ledger_id = %(ledger)s GROUP BY 1, 2, 3
), counted AS (
    SELECT entry_id, sum(lines) AS lines FROM nets GROUP BY entry_id
)
SELECT '', coalesce(header.id, counted.entry_id), 'posting_count', header.posting_count::text, counted.lines::text
FROM (SELECT id, posting_count FROM journal_entries WHERE ledger_id = %(ledger)s) AS header
FULL JOIN counted ON counted.entry_id = header.id
WHERE header.posting_count IS DISTINCT FROM counted.lines
UNION ALL
SELECT '', entry_id, concat_ws(' ', 'debits less credits of', CASE WHEN is_memo THEN 'memorandum' END, currency),
    '0', net::text
FROM nets WHERE net <> 0
UNION ALL
SELECT concat_ws(' ', account.path, 'line', line.line), line.entry_id, 'currency', line.currency, account.currency
FROM postings AS line
LEFT JOIN accounts AS account ON account.ledger_id = line.ledger_id AND account.id = line.account_id
WHERE line.ledger_id = %(ledger)s AND line.currency IS DISTINCT FROM account.currency
"""

# Plan: one pass over the ledger's headers, with a probe among its closings: what happened in days that were signed
# counts for the day after. An id holds milliseconds since 2020 above its low 22 bits (ledger/ids.py).
DATES = """
SELECT '', header.id, pair.field, pair.stored, pair.rebuilt
FROM journal_entries AS header
JOIN ledgers AS ledger ON ledger.id = header.ledger_id
CROSS JOIN LATERAL (VALUES
    ('business_date', header.business_date::text, coalesce(
        (SELECT closed.last_date + 1 FROM closings AS closed
         WHERE closed.ledger_id = header.ledger_id AND closed.step = 'signed'
           AND closed.last_date = header.business_date - 1
           AND closed.last_date >= (header.effective_at AT TIME ZONE ledger.time_zone)::date),
        (header.effective_at AT TIME ZONE ledger.time_zone)::date)::text),
    ('recorded_at', header.recorded_at::text,
        (timestamptz '2020-01-01 00:00:00+00' + (header.id >> 22) * interval '1 millisecond')::text)
) AS pair (field, stored, rebuilt)
WHERE header.ledger_id = %(ledger)s AND pair.stored <> pair.rebuilt
"""

# Plan: the reversing lines are few, found through journal_entries_by_reversed; links and originals join by primary key.
# A link is rebuilt from the reversing line: the same account, the other side, the same amount; then links are numbered
# and added up per original line, and what they take together is at most what the line holds.
LINKS = """
WITH reversing AS (
    SELECT line.entry_id, line.line, line.account_id, line.amount, header.reverses_id,
        CASE line.side WHEN 'D' THEN 'C' ELSE 'D' END AS undone_side
    FROM journal_entries AS header
    JOIN postings AS line ON line.ledger_id = header.ledger_id AND line.entry_id = header.id
    WHERE header.ledger_id = %(ledger)s AND header.reverses_id IS NOT NULL
), linked AS (
    SELECT link.*, original.account_id, original.side, original.amount AS original_amount,
        row_number() OVER sequence AS next_ordinal, sum(link.amount) OVER sequence AS running
    FROM reversal_links AS link
    LEFT JOIN postings AS original ON original.ledger_id = link.ledger_id
        AND original.entry_id = link.original_entry_id AND original.line = link.original_line
    WHERE link.ledger_id = %(ledger)s
    WINDOW sequence AS (PARTITION BY link.original_entry_id, link.original_line ORDER BY link.ordinal)
)
SELECT concat('line ', coalesce(linked.reversing_line, reversing.line)),
    coalesce(linked.reversing_entry_id, reversing.entry_id), pair.field, pair.stored::text, pair.rebuilt::text
FROM linked
FULL JOIN reversing ON reversing.entry_id = linked.reversing_entry_id AND reversing.line = linked.reversing_line
CROSS JOIN LATERAL (VALUES
    ('amount linked', linked.amount::text, reversing.amount::text),
    ('original_entry_id', linked.original_entry_id::text, reversing.reverses_id::text),
    ('account_id', linked.account_id::text, reversing.account_id::text),
    ('side', linked.side, reversing.undone_side),
    ('ordinal', linked.ordinal::text, linked.next_ordinal::text),
    ('reversed_after', linked.reversed_after::text, linked.running::text),
    ('reversed in all', linked.running::text, least(linked.running, linked.original_amount)::text)
) AS pair (field, stored, rebuilt)
WHERE pair.stored IS DISTINCT FROM pair.rebuilt
    AND (pair.field = 'amount linked' OR (linked.ledger_id IS NOT NULL AND reversing.entry_id IS NOT NULL))
"""
