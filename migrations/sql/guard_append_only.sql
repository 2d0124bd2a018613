-- History is never changed: no UPDATE, DELETE or TRUNCATE, not even by the owner. Privileges say the same to the roles.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: post a reversal instead of a %', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_are_append_only', TABLE = TG_TABLE_NAME;
END $$;

CREATE FUNCTION refuse_deletion() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_are_kept', TABLE = TG_TABLE_NAME;
END $$;

CREATE PROCEDURE make_append_only(VARIADIC names text[]) LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY names LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                       name || '_append_only', name);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                       name || '_no_truncate', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO daftari_app', name);
        EXECUTE format('GRANT SELECT ON %I TO daftari_reader', name);
    END LOOP;
END $$;

CREATE PROCEDURE keep_rows(VARIADIC names text[]) LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY names LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_deletion()',
                       name || '_no_delete', name);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_deletion()',
                       name || '_no_truncate', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO daftari_app', name);
        EXECUTE format('GRANT SELECT ON %I TO daftari_reader', name);
    END LOOP;
END $$;
REVOKE EXECUTE ON PROCEDURE make_append_only(text[]), keep_rows(text[]) FROM PUBLIC;

CALL make_append_only('journal_entries', 'postings', 'reversal_links', 'idempotency_keys', 'accounts', 'currencies', 'ledgers');
CALL keep_rows('account_balances', 'account_days');
REVOKE INSERT ON currencies FROM daftari_app;
GRANT UPDATE (debits, credits, version, last_entry_id, floor, ceiling, closed_at) ON account_balances TO daftari_app;
GRANT UPDATE (debits, credits) ON account_days TO daftari_app;
