-- A balance row moves with its account's postings and not otherwise: by exactly those since its last version, so that no
-- cache can drift from the journal, be set back, or close an account with money inside.

CREATE FUNCTION account_balances_must_follow_postings() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    offender bigint;
BEGIN
    -- The guard of postings lets no posting stand beyond its balance row, so these are all there are since then.
    SELECT changed.account_id INTO offender
      FROM new_balances AS changed
      LEFT JOIN old_balances AS before ON before.ledger_id = changed.ledger_id AND before.account_id = changed.account_id
     CROSS JOIN LATERAL (
           SELECT count(*) AS postings,
                  coalesce(sum(line.amount) FILTER (WHERE line.side = 'D'), 0) AS debits,
                  coalesce(sum(line.amount) FILTER (WHERE line.side = 'C'), 0) AS credits,
                  coalesce(max(line.entry_id), before.last_entry_id) AS last_entry_id
             FROM public.postings AS line
            WHERE line.ledger_id = changed.ledger_id AND line.account_id = changed.account_id
              AND line.account_version > before.version AND line.account_version <= changed.version) AS since
     WHERE (changed.version, changed.debits, changed.credits, changed.last_entry_id) IS DISTINCT FROM
           (before.version + since.postings, before.debits + since.debits, before.credits + since.credits,
            since.last_entry_id)
        OR (changed.closed_at IS NOT NULL AND changed.debits <> changed.credits)
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
