-- Every journal entry arrives whole and balanced, on open accounts of its own ledger and currency, continuing each
-- account's chain of versions, entry ids and balances and keeping its floor and ceiling. Checked once per statement over
-- a transition table, against anyone. pg_temp comes last so that no temporary table can stand in for a real one.
--
-- A session keeps the plan of its first statement, made perhaps for one line on empty tables, for sets of a thousand on
-- millions. So nothing is left to a plan: every table is asked by LATERAL ... LIMIT 1, which is a probe by key per row in
-- any plan, never by a join that may become a scan; and no transition table is joined with another.

CREATE FUNCTION postings_must_form_entries() RETURNS trigger
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
                WHERE known.ledger_id = line.ledger_id AND known.id = line.account_id LIMIT 1) AS account ON true)
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
                WHERE entry.ledger_id = checked.ledger_id AND entry.id = checked.entry_id LIMIT 1) AS header ON true
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
                WHERE held.ledger_id = chain.ledger_id AND held.account_id = chain.account_id LIMIT 1) AS balance ON true
          LEFT JOIN LATERAL (
               SELECT earlier.entry_id, earlier.balance_after FROM public.postings AS earlier
                WHERE earlier.ledger_id = chain.ledger_id AND earlier.account_id = chain.account_id
                  AND earlier.account_version = chain.first_version - 1 LIMIT 1) AS before ON true
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

CREATE TRIGGER postings_form_entries AFTER INSERT ON postings
    REFERENCING NEW TABLE AS new_postings FOR EACH STATEMENT EXECUTE FUNCTION postings_must_form_entries();

-- A header alone: its last line must be there when its statement ends, and the check above judged the rest. Whoever
-- follows the journal in commit order rests on xid, so that none may be claimed.
CREATE FUNCTION journal_entries_must_have_postings() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    offender bigint;
BEGIN
    SELECT header.id INTO offender
      FROM new_entries AS header
      LEFT JOIN LATERAL (
           SELECT line.entry_id FROM public.postings AS line
            WHERE line.ledger_id = header.ledger_id AND line.entry_id = header.id AND line.line = header.posting_count
            LIMIT 1) AS last ON true
     WHERE last.entry_id IS NULL OR header.xid <> pg_current_xact_id()
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % arrives without its postings, or claims another transaction', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_whole_and_balanced', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER journal_entries_have_postings AFTER INSERT ON journal_entries
    REFERENCING NEW TABLE AS new_entries FOR EACH STATEMENT EXECUTE FUNCTION journal_entries_must_have_postings();
