-- Keys of the vault for which nothing is written any more: what was wrapped for them could soon not be opened.
CREATE TABLE vault_retired_keys (
    key_fingerprint text PRIMARY KEY,
    retired_at timestamptz NOT NULL
);
CALL make_append_only('vault_retired_keys');

-- Whoever writes holds the lock with others until the end of its transaction, whoever retires a key holds it alone: after a
-- retirement nothing wrapped for the key is still on its way.
CREATE FUNCTION vault_retirement_must_wait() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('vault keys', 0));
    RETURN NULL;
END $$;

CREATE TRIGGER vault_retired_keys_wait_for_writers BEFORE INSERT ON vault_retired_keys
    FOR EACH STATEMENT EXECUTE FUNCTION vault_retirement_must_wait();

CREATE FUNCTION vault_secrets_must_have_a_key_in_force() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('vault keys', 0));
    IF EXISTS (SELECT FROM written JOIN vault_retired_keys USING (key_fingerprint)) THEN
        RAISE EXCEPTION 'a secret is wrapped for a key that is retired'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'vault_secrets_have_a_key_in_force', TABLE = 'vault_secrets';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER vault_secrets_written_have_a_key_in_force AFTER INSERT ON vault_secrets
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION vault_secrets_must_have_a_key_in_force();
CREATE TRIGGER vault_secrets_rewrapped_have_a_key_in_force AFTER UPDATE ON vault_secrets
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION vault_secrets_must_have_a_key_in_force();
