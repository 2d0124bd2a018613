-- A balance row moves with its account's postings and not otherwise: by exactly those since its last version, so that no
-- cache can drift from the journal, be set back, or close an account with money inside.

CREATE FUNCTION account_balances_must_follow_postings() RETURNS trigger
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
             FROM public.postings AS line
            WHERE line.ledger_id = moved.ledger_id AND line.account_id = moved.account_id
              AND line.account_version > moved.version_before AND line.account_version <= moved.version) AS since
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

CREATE TRIGGER account_balances_follow_postings AFTER UPDATE ON account_balances
    REFERENCING OLD TABLE AS old_balances NEW TABLE AS new_balances
    FOR EACH STATEMENT EXECUTE FUNCTION account_balances_must_follow_postings();

-- A new row holds nothing. Its account has no postings yet: they need the row.
CREATE FUNCTION account_balances_must_begin_empty() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the balance row of account % does not begin with nothing', NEW.account_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'account_balance_follows_postings', TABLE = 'account_balances';
END $$;

CREATE TRIGGER account_balances_begin_empty BEFORE INSERT ON account_balances
    FOR EACH ROW WHEN (NEW.debits <> 0 OR NEW.credits <> 0 OR NEW.version <> 0 OR NEW.last_entry_id <> 0)
    EXECUTE FUNCTION account_balances_must_begin_empty();
