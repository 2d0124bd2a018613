-- A balance row says what the account's newest posting says, or nothing at all: no cache can drift from the journal.

CREATE FUNCTION account_balances_must_follow_postings() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    offender bigint;
BEGIN
    SELECT changed.account_id INTO offender
      FROM new_balances AS changed
      JOIN public.accounts AS account ON account.ledger_id = changed.ledger_id AND account.id = changed.account_id
      LEFT JOIN public.postings AS newest ON newest.ledger_id = changed.ledger_id
            AND newest.account_id = changed.account_id AND newest.account_version = changed.version
     WHERE (changed.version = 0 AND (changed.debits <> 0 OR changed.credits <> 0 OR changed.last_entry_id <> 0))
        OR (changed.version > 0 AND (newest.entry_id IS NULL OR newest.entry_id <> changed.last_entry_id
            OR newest.balance_after <> CASE account.normal_side
                WHEN 'D' THEN changed.debits - changed.credits ELSE changed.credits - changed.debits END))
        OR (changed.closed_at IS NOT NULL AND changed.debits <> changed.credits)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the balance row of account % does not follow its newest posting, or closes it with money inside', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_balance_follows_postings', TABLE = 'account_balances';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER account_balances_follow_postings_on_update AFTER UPDATE ON account_balances
    REFERENCING NEW TABLE AS new_balances FOR EACH STATEMENT EXECUTE FUNCTION account_balances_must_follow_postings();
CREATE TRIGGER account_balances_follow_postings_on_insert AFTER INSERT ON account_balances
    REFERENCING NEW TABLE AS new_balances FOR EACH STATEMENT EXECUTE FUNCTION account_balances_must_follow_postings();
