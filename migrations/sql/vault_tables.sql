-- Provider credentials, encrypted: a data key per secret, wrapped by the vault's key. Written, replaced, never read back.
CREATE TABLE vault_secrets (
    ledger_id integer NOT NULL REFERENCES ledgers,
    name text NOT NULL CONSTRAINT vault_secrets_name_is_plain CHECK (name ~ '^[a-z0-9][a-z0-9/_.-]{1,99}$'),
    version integer NOT NULL CONSTRAINT vault_secrets_version_is_positive CHECK (version > 0),
    sealed bytea NOT NULL,
    wrapped_key bytea NOT NULL,
    key_fingerprint text NOT NULL,
    fingerprint text NOT NULL,
    written_by text NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, name, version)
);
CALL keep_rows('vault_secrets');
-- Rotation of the vault's key wraps data keys anew; nothing else of a secret ever changes.
GRANT UPDATE (wrapped_key, key_fingerprint) ON vault_secrets TO daftari_app;
REVOKE SELECT ON vault_secrets FROM daftari_reader;
GRANT SELECT (ledger_id, name, version, fingerprint, written_by, written_at) ON vault_secrets TO daftari_reader;

-- Every time a secret was opened, and for which attempt.
CREATE TABLE vault_openings (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    purpose text NOT NULL,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id)
);
CALL make_append_only('vault_openings');

-- The access token that the processes of one app share, sealed. One row per app, replaced by every grant.
CREATE TABLE provider_tokens (
    app text PRIMARY KEY,
    sealed bytea NOT NULL,
    usable_until timestamptz NOT NULL
);
CALL keep_rows('provider_tokens');
GRANT UPDATE ON provider_tokens TO daftari_app;
REVOKE SELECT ON provider_tokens FROM daftari_reader;
