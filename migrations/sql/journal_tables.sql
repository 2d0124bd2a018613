-- The journal. Money is bigint minor units; every key of a ledger's data starts with ledger_id.

CREATE TABLE currencies (
    code text PRIMARY KEY CONSTRAINT currencies_code_is_iso CHECK (code ~ '^[A-Z]{3}$'),
    exponent smallint NOT NULL CONSTRAINT currencies_exponent_is_sane CHECK (exponent BETWEEN 0 AND 4)
);

CREATE TABLE ledgers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL CONSTRAINT ledgers_code_is_unique UNIQUE
        CONSTRAINT ledgers_code_is_plain CHECK (code ~ '^[a-z][a-z0-9-]{1,31}$'),
    name text NOT NULL CONSTRAINT ledgers_name_is_short CHECK (length(name) BETWEEN 1 AND 200),
    base_currency text NOT NULL REFERENCES currencies,
    time_zone text NOT NULL CONSTRAINT ledgers_zone_is_named CHECK (length(time_zone) BETWEEN 1 AND 64),
    created_at timestamptz NOT NULL
);

CREATE TABLE accounts (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    path text NOT NULL CONSTRAINT accounts_path_is_dotted
        CHECK (path ~ '^[a-z][a-z0-9_]*([.][a-z0-9][a-z0-9_-]*)+$' AND length(path) <= 200),
    number text NOT NULL CONSTRAINT accounts_number_is_short CHECK (length(number) <= 20),
    name text NOT NULL CONSTRAINT accounts_name_is_short CHECK (length(name) BETWEEN 1 AND 200),
    class text NOT NULL CONSTRAINT accounts_class_is_known
        CHECK (class IN ('asset', 'liability', 'equity', 'income', 'expense', 'memo')),
    normal_side text NOT NULL CONSTRAINT accounts_normal_side_is_known CHECK (normal_side IN ('D', 'C')),
    currency text NOT NULL REFERENCES currencies,
    role text,
    provider text,
    wallet_ref text,
    owner_kind text,
    owner_ref text,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT accounts_path_is_unique UNIQUE (ledger_id, path, currency),
    CONSTRAINT accounts_memo_has_memo_path CHECK ((class = 'memo') = (path LIKE 'memo.%'))
);
CREATE UNIQUE INDEX accounts_role_is_unique ON accounts (ledger_id, role, currency, provider, wallet_ref)
    NULLS NOT DISTINCT WHERE role IS NOT NULL AND owner_ref IS NULL;
CREATE INDEX accounts_by_owner ON accounts (ledger_id, owner_kind, owner_ref) WHERE owner_ref IS NOT NULL;

-- The row every posting locks: running totals, and what may change about an account, so that one lock covers both.
CREATE TABLE account_balances (
    ledger_id integer NOT NULL,
    account_id bigint NOT NULL,
    debits bigint NOT NULL DEFAULT 0 CONSTRAINT account_balances_debits_not_negative CHECK (debits >= 0),
    credits bigint NOT NULL DEFAULT 0 CONSTRAINT account_balances_credits_not_negative CHECK (credits >= 0),
    version bigint NOT NULL DEFAULT 0 CONSTRAINT account_balances_version_not_negative CHECK (version >= 0),
    last_entry_id bigint NOT NULL DEFAULT 0,
    floor bigint,
    ceiling bigint,
    closed_at timestamptz,
    PRIMARY KEY (ledger_id, account_id),
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts,
    CONSTRAINT account_balances_floor_below_ceiling CHECK (floor <= ceiling)
) WITH (fillfactor = 50);

CREATE TABLE journal_entries (
    id bigint NOT NULL CONSTRAINT journal_entries_id_is_positive CHECK (id > 0),
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurrence bigint NOT NULL DEFAULT 0,
    reverses_id bigint,
    ledger_id integer NOT NULL,
    business_date date NOT NULL,
    posting_count smallint NOT NULL CONSTRAINT journal_entries_have_two_postings CHECK (posting_count BETWEEN 2 AND 1000),
    kind text NOT NULL CONSTRAINT journal_entries_kind_is_plain CHECK (kind ~ '^[a-z][a-z0-9_.-]{1,63}$'),
    subject_kind text,
    subject_id text,
    source text NOT NULL CONSTRAINT journal_entries_source_is_known CHECK (source IN
        ('api', 'callback', 'query', 'statement', 'reconciliation', 'manual', 'close', 'opening')),
    actor text NOT NULL CONSTRAINT journal_entries_actor_is_named CHECK (length(actor) BETWEEN 1 AND 100),
    reference text CONSTRAINT journal_entries_reference_is_short CHECK (length(reference) BETWEEN 1 AND 100),
    narrative text CONSTRAINT journal_entries_narrative_is_short CHECK (length(narrative) BETWEEN 1 AND 500),
    facts jsonb,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT journal_entries_subject_is_whole CHECK ((subject_kind IS NULL) = (subject_id IS NULL))
);
-- One entry per transition of a subject: occurrence is 0 where a transition happens once, the entry's id where it may recur.
CREATE UNIQUE INDEX journal_entries_transition_is_unique
    ON journal_entries (ledger_id, subject_kind, subject_id, kind, occurrence) WHERE subject_id IS NOT NULL;
CREATE INDEX journal_entries_by_reference ON journal_entries (ledger_id, reference, id) WHERE reference IS NOT NULL;
CREATE INDEX journal_entries_by_reversed ON journal_entries (ledger_id, reverses_id) WHERE reverses_id IS NOT NULL;

CREATE TABLE postings (
    entry_id bigint NOT NULL,
    account_id bigint NOT NULL,
    amount bigint NOT NULL CONSTRAINT postings_amount_is_positive CHECK (amount > 0),
    account_version bigint NOT NULL,
    balance_after bigint NOT NULL,
    ledger_id integer NOT NULL,
    line smallint NOT NULL CONSTRAINT postings_line_is_positive CHECK (line > 0),
    side text NOT NULL CONSTRAINT postings_side_is_known CHECK (side IN ('D', 'C')),
    currency text NOT NULL,
    PRIMARY KEY (ledger_id, entry_id, line),
    -- The version counts an account's postings without a gap: it catches any lost update and serves every statement page.
    CONSTRAINT postings_account_version_is_unique UNIQUE (ledger_id, account_id, account_version)
);

-- What each business date changed per account: backdating costs one row, a balance by date one short sum.
CREATE TABLE account_days (
    ledger_id integer NOT NULL,
    account_id bigint NOT NULL,
    business_date date NOT NULL,
    debits bigint NOT NULL,
    credits bigint NOT NULL,
    PRIMARY KEY (ledger_id, account_id, business_date),
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts
) WITH (fillfactor = 50);

CREATE TABLE idempotency_keys (
    client_id bigint NOT NULL,
    result_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    ledger_id integer NOT NULL,
    method text NOT NULL,
    key text NOT NULL CONSTRAINT idempotency_keys_key_is_short CHECK (length(key) BETWEEN 1 AND 64),
    request_hash bytea NOT NULL CONSTRAINT idempotency_keys_hash_is_whole CHECK (length(request_hash) = 16),
    PRIMARY KEY (ledger_id, client_id, key)
);

CREATE TABLE reversal_links (
    ledger_id integer NOT NULL,
    original_entry_id bigint NOT NULL,
    original_line smallint NOT NULL,
    ordinal integer NOT NULL CONSTRAINT reversal_links_ordinal_is_positive CHECK (ordinal > 0),
    reversing_entry_id bigint NOT NULL,
    reversing_line smallint NOT NULL,
    amount bigint NOT NULL CONSTRAINT reversal_links_amount_is_positive CHECK (amount > 0),
    reversed_after bigint NOT NULL,
    PRIMARY KEY (ledger_id, original_entry_id, original_line, ordinal),
    CONSTRAINT reversal_links_reversing_line_is_used_once UNIQUE (ledger_id, reversing_entry_id, reversing_line),
    FOREIGN KEY (ledger_id, original_entry_id, original_line) REFERENCES postings,
    FOREIGN KEY (ledger_id, reversing_entry_id, reversing_line) REFERENCES postings
);
