-- The guards of the journal as before, and every probe of theirs by the index it is meant for. While a table is small, its
-- indexes cost the same to the planner, and the one that serves only ledger_id is as good to it as the right one; the plan
-- then stays until statistics change, while the table grows: sets took time with the square of their number.
-- A range of one value, in the order of the right index, is free there and a sort with any other, in every plan.

CREATE OR REPLACE FUNCTION postings_must_form_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    culprit text;
    offender bigint;
    complaint text;
BEGIN
    WITH lines AS MATERIALIZED (
        SELECT line.ledger_id, line.entry_id, line.line, line.account_id, line.currency, line.account_version,
               line.balance_after, account.class = 'memo' AS is_memo,
               account.currency IS DISTINCT FROM line.currency AS is_foreign,
               CASE line.side WHEN 'D' THEN line.amount ELSE -line.amount END AS debit,
               CASE line.side WHEN account.normal_side THEN line.amount ELSE -line.amount END AS change
          FROM new_postings AS line
          LEFT JOIN LATERAL (
               SELECT known.class, known.normal_side, known.currency FROM public.accounts AS known
                WHERE known.ledger_id = line.ledger_id AND known.id BETWEEN line.account_id AND line.account_id
                ORDER BY known.id LIMIT 1) AS account ON true)
    SELECT found.culprit, found.offender, found.complaint INTO culprit, offender, complaint FROM (
        -- A line of an earlier entry fails here: its number lies beyond posting_count, or the primary key has it already.
        SELECT 'journal entry' AS culprit, checked.entry_id AS offender,
               CASE WHEN header.posting_count IS NULL THEN 'has no header'
                    WHEN checked.has_foreign THEN 'posts to an account of another ledger or currency'
                    WHEN checked.lines <> header.posting_count OR checked.last_line <> header.posting_count
                        THEN 'does not arrive with exactly the postings its header counts'
                    ELSE 'does not balance' END AS complaint
          FROM (SELECT netted.ledger_id, netted.entry_id, sum(netted.lines) AS lines, max(netted.last_line) AS last_line,
                       bool_or(netted.has_foreign) AS has_foreign, bool_and(netted.net = 0) AS balances
                  FROM (SELECT lines.ledger_id, lines.entry_id, count(*) AS lines, max(lines.line) AS last_line,
                               bool_or(lines.is_foreign) AS has_foreign, sum(lines.debit) AS net
                          FROM lines GROUP BY lines.ledger_id, lines.entry_id, lines.currency, lines.is_memo) AS netted
                 GROUP BY netted.ledger_id, netted.entry_id) AS checked
          LEFT JOIN LATERAL (
               SELECT entry.posting_count FROM public.journal_entries AS entry
                WHERE entry.ledger_id = checked.ledger_id AND entry.id BETWEEN checked.entry_id AND checked.entry_id
                ORDER BY entry.id LIMIT 1) AS header ON true
         WHERE header.posting_count IS NULL OR checked.has_foreign OR NOT checked.balances
            OR checked.lines <> header.posting_count OR checked.last_line <> header.posting_count

        UNION ALL
        -- An account's lines are walked by entry, then version: versions that rise in this order rise with the entry ids.
        -- Each continues the one before it, the first one the account's newest posting. Bounds hold entry by entry: what
        -- an account may not hold between two entries of one set, it may not hold at all.
        SELECT 'account', chain.account_id,
               CASE WHEN balance.version IS NULL THEN 'has no balance row'
                    WHEN balance.closed_at IS NOT NULL THEN 'is closed'
                    WHEN chain.lowest < balance.floor THEN 'would fall below its floor'
                    WHEN chain.highest > balance.ceiling THEN 'would rise above its ceiling'
                    ELSE 'has postings that do not continue its versions, entries and balances' END
          FROM (SELECT step.ledger_id, step.account_id, min(step.entry_id) AS first_entry,
                       min(step.account_version) AS first_version, max(step.account_version) AS last_version,
                       min(step.opening) FILTER (WHERE step.version_before IS NULL) AS opening,
                       bool_or(step.account_version <> step.version_before + 1 OR step.opening <> step.balance_before)
                           AS is_broken,
                       min(step.balance_after) FILTER (WHERE step.ends_entry AND step.balance_after < step.entry_opening)
                           AS lowest,
                       max(step.balance_after) FILTER (WHERE step.ends_entry AND step.balance_after > step.entry_opening)
                           AS highest
                  FROM (SELECT lines.ledger_id, lines.account_id, lines.entry_id, lines.account_version,
                               lines.balance_after, lines.balance_after - lines.change AS opening,
                               lag(lines.account_version) OVER chain AS version_before,
                               lag(lines.balance_after) OVER chain AS balance_before,
                               lead(lines.entry_id) OVER chain IS DISTINCT FROM lines.entry_id AS ends_entry,
                               first_value(lines.balance_after - lines.change) OVER entry AS entry_opening
                          FROM lines
                        WINDOW chain AS (PARTITION BY lines.ledger_id, lines.account_id
                                         ORDER BY lines.entry_id, lines.account_version),
                               entry AS (PARTITION BY lines.ledger_id, lines.account_id, lines.entry_id
                                         ORDER BY lines.account_version ROWS UNBOUNDED PRECEDING)) AS step
                 GROUP BY step.ledger_id, step.account_id) AS chain
          LEFT JOIN LATERAL (
               SELECT held.version, held.closed_at, held.floor, held.ceiling FROM public.account_balances AS held
                WHERE held.ledger_id = chain.ledger_id AND held.account_id BETWEEN chain.account_id AND chain.account_id
                ORDER BY held.account_id LIMIT 1) AS balance ON true
          LEFT JOIN LATERAL (
               SELECT earlier.entry_id, earlier.balance_after FROM public.postings AS earlier
                WHERE earlier.ledger_id = chain.ledger_id AND earlier.account_id = chain.account_id
                  AND earlier.account_version BETWEEN chain.first_version - 1 AND chain.first_version - 1
                ORDER BY earlier.account_version LIMIT 1) AS before ON true
         WHERE balance.version IS NULL OR balance.closed_at IS NOT NULL OR balance.version <> chain.last_version
            OR chain.is_broken OR chain.first_version < 1 OR (chain.first_version > 1 AND before.entry_id IS NULL)
            OR chain.first_entry <= before.entry_id OR chain.opening <> coalesce(before.balance_after, 0)
            OR chain.lowest < balance.floor OR chain.highest > balance.ceiling) AS found
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% % %', culprit, offender, complaint
            USING ERRCODE = 'check_violation', TABLE = 'postings', CONSTRAINT = CASE culprit
                WHEN 'account' THEN 'account_chain_is_unbroken' ELSE 'journal_entry_is_whole_and_balanced' END;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION journal_entries_must_have_postings() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    offender bigint;
BEGIN
    SELECT header.id INTO offender
      FROM new_entries AS header
      LEFT JOIN LATERAL (
           SELECT line.entry_id FROM public.postings AS line
            WHERE line.ledger_id = header.ledger_id AND line.entry_id = header.id
              AND line.line BETWEEN header.posting_count AND header.posting_count
            ORDER BY line.line LIMIT 1) AS last ON true
     WHERE last.entry_id IS NULL OR header.xid <> pg_current_xact_id()
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % arrives without its postings, or claims another transaction', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_whole_and_balanced', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION account_balances_must_follow_postings() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    offender bigint;
BEGIN
    -- Old and new rows are laid side by side by grouping: a join of two transition tables, planned for one row each, would
    -- take the product of their sizes. The guard of postings lets no posting stand beyond its balance row, so those found
    -- here are all there are since then.
    SELECT moved.account_id INTO offender
      FROM (SELECT changed.ledger_id, changed.account_id, count(*) AS rows,
                   max(changed.version) FILTER (WHERE changed.is_new) AS version,
                   max(changed.debits) FILTER (WHERE changed.is_new) AS debits,
                   max(changed.credits) FILTER (WHERE changed.is_new) AS credits,
                   max(changed.last_entry_id) FILTER (WHERE changed.is_new) AS last_entry_id,
                   max(changed.version) FILTER (WHERE NOT changed.is_new) AS version_before,
                   max(changed.debits) FILTER (WHERE NOT changed.is_new) AS debits_before,
                   max(changed.credits) FILTER (WHERE NOT changed.is_new) AS credits_before,
                   max(changed.last_entry_id) FILTER (WHERE NOT changed.is_new) AS last_entry_before,
                   bool_or(changed.is_new AND changed.closed_at IS NOT NULL) AS is_closed
              FROM (SELECT true AS is_new, fresh.* FROM new_balances AS fresh
                    UNION ALL SELECT false, stale.* FROM old_balances AS stale) AS changed
             GROUP BY changed.ledger_id, changed.account_id) AS moved
     CROSS JOIN LATERAL (
           SELECT count(*) AS postings,
                  coalesce(sum(line.amount) FILTER (WHERE line.side = 'D'), 0) AS debits,
                  coalesce(sum(line.amount) FILTER (WHERE line.side = 'C'), 0) AS credits,
                  coalesce(max(line.entry_id), moved.last_entry_before) AS last_entry_id
             FROM (SELECT posting.side, posting.amount, posting.entry_id FROM public.postings AS posting
                    WHERE posting.ledger_id = moved.ledger_id AND posting.account_id = moved.account_id
                      AND posting.account_version > moved.version_before AND posting.account_version <= moved.version
                    ORDER BY posting.account_version OFFSET 0) AS line) AS since
     WHERE (moved.rows, moved.version, moved.debits, moved.credits, moved.last_entry_id) IS DISTINCT FROM
           (2, moved.version_before + since.postings, moved.debits_before + since.debits,
            moved.credits_before + since.credits, since.last_entry_id)
        OR (moved.is_closed AND moved.debits <> moved.credits)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the balance row of account % does not follow its postings, or closes it with money inside', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_balance_follows_postings', TABLE = 'account_balances';
    END IF;
    RETURN NULL;
END $$;

-- The stored request ids among those wanted, for the same reason: a small table is cheaper to scan than to probe, and so is
-- a large one in a plan that was made for a small one.
CREATE FUNCTION stored_keys(wanted_ledger integer, wanted_clients bigint[], wanted_keys text[])
RETURNS TABLE (client_id bigint, key text, method text, request_hash bytea, result_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT wanted.client_id, wanted.key, stored.method, stored.request_hash, stored.result_id
      FROM unnest(wanted_clients, wanted_keys) AS wanted (client_id, key)
     CROSS JOIN LATERAL (
           SELECT known.method, known.request_hash, known.result_id FROM public.idempotency_keys AS known
            WHERE known.ledger_id = wanted_ledger AND known.client_id = wanted.client_id AND known.key = wanted.key
            LIMIT 1) AS stored;
END $$;
