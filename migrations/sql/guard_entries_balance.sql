-- Every journal entry arrives whole and balanced, on open accounts of its own ledger and currency, continuing each
-- account's chain of versions, entry ids and balances and keeping its floor and ceiling. Checked once per statement over
-- a transition table, against anyone. pg_temp comes last so that no temporary table can stand in for a real one. No
-- sequential scans: every probe is by key, also in a plan that was made while the tables were still empty.

CREATE FUNCTION postings_must_form_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    offender bigint;
    complaint text;
BEGIN
    -- A line of an earlier entry fails here: its number lies beyond posting_count, or the primary key has it already.
    SELECT checked.entry_id,
           CASE WHEN header.id IS NULL THEN 'has no header'
                WHEN checked.foreign_lines > 0 THEN 'posts to an account of another ledger or currency'
                WHEN checked.lines <> header.posting_count OR checked.last_line <> header.posting_count
                    THEN 'does not arrive with exactly the postings its header counts'
                ELSE 'does not balance' END
      INTO offender, complaint
      FROM (SELECT netted.ledger_id, netted.entry_id, sum(netted.lines) AS lines, max(netted.last_line) AS last_line,
                   sum(netted.foreign_lines) AS foreign_lines, bool_and(netted.net = 0) AS balances
              FROM (SELECT line.ledger_id, line.entry_id, line.currency, account.class = 'memo' AS is_memo,
                           count(*) AS lines, max(line.line) AS last_line,
                           count(*) FILTER (WHERE account.id IS NULL) AS foreign_lines,
                           sum(CASE line.side WHEN 'D' THEN line.amount ELSE -line.amount END) AS net
                      FROM new_postings AS line
                      LEFT JOIN public.accounts AS account ON account.ledger_id = line.ledger_id
                           AND account.id = line.account_id AND account.currency = line.currency
                     GROUP BY 1, 2, 3, 4) AS netted
             GROUP BY 1, 2) AS checked
      LEFT JOIN public.journal_entries AS header
             ON header.ledger_id = checked.ledger_id AND header.id = checked.entry_id
     WHERE header.id IS NULL OR checked.foreign_lines > 0 OR NOT checked.balances
        OR checked.lines <> header.posting_count OR checked.last_line <> header.posting_count
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % %', offender, complaint
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_whole_and_balanced', TABLE = 'postings';
    END IF;

    -- Lines are walked by entry, then version: versions that rise in this order rise with the entry ids. Bounds hold
    -- entry by entry: what an account may not hold between two entries of one set, it may not hold at all.
    SELECT chained.account_id,
           CASE WHEN chained.current_version IS NULL THEN 'has no balance row'
                WHEN chained.closed_at IS NOT NULL THEN 'is closed'
                WHEN chained.falls_below_floor THEN 'would fall below its floor'
                WHEN chained.rises_above_ceiling THEN 'would rise above its ceiling'
                ELSE 'has postings that do not continue its versions, entries and balances' END
      INTO offender, complaint
      FROM (SELECT walked.*, balance.version AS current_version, balance.closed_at,
                   before.balance_after AS balance_before, before.entry_id AS entry_before,
                   walked.account_version = walked.entry_version AND walked.entry_net < 0
                       AND walked.balance_after < balance.floor AS falls_below_floor,
                   walked.account_version = walked.entry_version AND walked.entry_net > 0
                       AND walked.balance_after > balance.ceiling AS rises_above_ceiling
              FROM (SELECT signed.*,
                           sum(signed.change) OVER chain AS expected,
                           row_number() OVER chain AS position,
                           first_value(signed.account_version) OVER chain AS first_version,
                           sum(signed.change) OVER entry AS entry_net,
                           max(signed.account_version) OVER entry AS entry_version,
                           max(signed.account_version) OVER (PARTITION BY signed.ledger_id, signed.account_id) AS last_version
                      FROM (SELECT line.ledger_id, line.account_id, line.entry_id, line.account_version, line.balance_after,
                                   CASE line.side WHEN account.normal_side THEN line.amount ELSE -line.amount END AS change
                              FROM new_postings AS line
                              JOIN public.accounts AS account
                                ON account.ledger_id = line.ledger_id AND account.id = line.account_id) AS signed
                    WINDOW chain AS (PARTITION BY signed.ledger_id, signed.account_id
                                     ORDER BY signed.entry_id, signed.account_version),
                           entry AS (PARTITION BY signed.ledger_id, signed.account_id, signed.entry_id)) AS walked
              LEFT JOIN public.account_balances AS balance
                     ON balance.ledger_id = walked.ledger_id AND balance.account_id = walked.account_id
              LEFT JOIN public.postings AS before ON before.ledger_id = walked.ledger_id
                    AND before.account_id = walked.account_id AND before.account_version = walked.first_version - 1) AS chained
     WHERE chained.current_version IS NULL OR chained.closed_at IS NOT NULL
        OR chained.current_version <> chained.last_version
        OR chained.account_version <> chained.first_version + chained.position - 1
        OR (chained.first_version > 1 AND chained.entry_before IS NULL) OR chained.first_version < 1
        OR chained.entry_id <= chained.entry_before
        OR chained.balance_after <> coalesce(chained.balance_before, 0) + chained.expected
        OR chained.falls_below_floor OR chained.rises_above_ceiling
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % %', offender, complaint
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_chain_is_unbroken', TABLE = 'postings';
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
      LEFT JOIN public.postings AS line
             ON line.ledger_id = header.ledger_id AND line.entry_id = header.id AND line.line = header.posting_count
     WHERE line.entry_id IS NULL OR header.xid <> pg_current_xact_id()
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % arrives without its postings, or claims another transaction', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_whole_and_balanced', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER journal_entries_have_postings AFTER INSERT ON journal_entries
    REFERENCING NEW TABLE AS new_entries FOR EACH STATEMENT EXECUTE FUNCTION journal_entries_must_have_postings();
