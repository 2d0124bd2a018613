-- Partners, payouts, and the two doors: instructions out, raw messages in.

CREATE TABLE partners (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    code text NOT NULL CONSTRAINT partners_code_is_plain CHECK (code ~ '^[a-z][a-z0-9-]{1,31}$'),
    name text NOT NULL CONSTRAINT partners_name_is_short CHECK (length(name) BETWEEN 1 AND 200),
    currency text NOT NULL REFERENCES currencies,
    payout_fee bigint NOT NULL DEFAULT 0 CONSTRAINT partners_payout_fee_not_negative CHECK (payout_fee >= 0),
    created_at timestamptz NOT NULL,
    suspended_at timestamptz,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT partners_code_is_unique UNIQUE (ledger_id, code)
);

-- A directory across ledgers: a key with no ledger is an operator's. Only a hash of the secret is kept. client_id is whose
-- request ids the key's requests carry: it outlives the key, so that a repeat under the next key is still a repeat.
CREATE TABLE api_keys (
    id bigint PRIMARY KEY,
    client_id bigint NOT NULL,
    ledger_id integer REFERENCES ledgers,
    partner_id bigint,
    name text NOT NULL CONSTRAINT api_keys_name_is_short CHECK (length(name) BETWEEN 1 AND 100),
    secret_hash bytea NOT NULL CONSTRAINT api_keys_hash_is_whole CHECK (length(secret_hash) = 32),
    permissions text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners,
    CONSTRAINT api_keys_of_partners_have_a_ledger CHECK (partner_id IS NULL OR ledger_id IS NOT NULL)
);

-- Whom the money goes to: people by number, businesses by shortcode. The journal knows them by id only; who it is is
-- encrypted, its index is keyed, and of a person's number only the ends are readable.
CREATE TABLE parties (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    payee_index bytea NOT NULL CONSTRAINT parties_index_is_whole CHECK (length(payee_index) = 32),
    payee_ciphertext bytea NOT NULL,
    payee_masked text NOT NULL CONSTRAINT parties_mask_hides
        CHECK (payee_masked LIKE '%****%' OR payee_masked ~ '^(paybill|till|tax) [0-9]{3,10}$'),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT parties_payee_is_unique UNIQUE (ledger_id, payee_index)
);

-- What a provider charges us, by service, from a date on: one band per row, bounds included, minor units.
CREATE TABLE provider_tariffs (
    ledger_id integer NOT NULL REFERENCES ledgers,
    provider text NOT NULL,
    service text NOT NULL,
    currency text NOT NULL REFERENCES currencies,
    valid_from date NOT NULL,
    from_amount bigint NOT NULL,
    to_amount bigint NOT NULL,
    charge bigint NOT NULL CONSTRAINT provider_tariffs_charge_not_negative CHECK (charge >= 0),
    PRIMARY KEY (ledger_id, provider, service, currency, valid_from, from_amount),
    CONSTRAINT provider_tariffs_band_is_not_empty CHECK (from_amount <= to_amount)
);

CREATE TABLE payouts (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    partner_id bigint NOT NULL,
    partner_reference text NOT NULL CONSTRAINT payouts_reference_is_short CHECK (length(partner_reference) BETWEEN 1 AND 64),
    party_id bigint NOT NULL,
    currency text NOT NULL REFERENCES currencies,
    amount bigint NOT NULL CONSTRAINT payouts_amount_is_positive CHECK (amount > 0),
    fee bigint NOT NULL CONSTRAINT payouts_fee_not_negative CHECK (fee >= 0),
    provider_charge bigint,
    purpose text NOT NULL CONSTRAINT payouts_purpose_is_known CHECK (purpose IN ('business', 'salary', 'promotion')),
    remarks text NOT NULL,
    rail text NOT NULL,
    shortcode text NOT NULL,
    provider_reference text NOT NULL,
    reserve_entry_id bigint NOT NULL,
    state text NOT NULL CONSTRAINT payouts_state_is_known CHECK (state IN
        ('RESERVED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN', 'SETTLED', 'RELEASED', 'CANCELLED', 'CONFLICTED')),
    version integer NOT NULL,
    receipt text,
    failure_code text,
    failure_text text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    completed_at timestamptz,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners,
    FOREIGN KEY (ledger_id, party_id) REFERENCES parties,
    FOREIGN KEY (ledger_id, reserve_entry_id) REFERENCES journal_entries,
    CONSTRAINT payouts_partner_reference_is_unique UNIQUE (ledger_id, partner_id, partner_reference),
    CONSTRAINT payouts_have_a_reserve_each UNIQUE (ledger_id, reserve_entry_id),
    CONSTRAINT payouts_provider_reference_is_unique UNIQUE (ledger_id, rail, provider_reference),
    CONSTRAINT payouts_settled_have_a_receipt CHECK (state <> 'SETTLED' OR (receipt IS NOT NULL AND completed_at IS NOT NULL))
);
CREATE INDEX payouts_by_partner ON payouts (ledger_id, partner_id, id);
CREATE INDEX payouts_by_party ON payouts (ledger_id, party_id, id);
CREATE INDEX payouts_open ON payouts (ledger_id, state, id) WHERE state NOT IN ('SETTLED', 'RELEASED', 'CANCELLED');

CREATE TABLE payout_events (
    ledger_id integer NOT NULL,
    payout_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    entry_id bigint,
    detail text,
    recorded_at timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (ledger_id, payout_id, version),
    FOREIGN KEY (ledger_id, payout_id) REFERENCES payouts
);
-- Followed by (xid, payout, version) below the oldest running transaction, never by time or id: nothing is skipped.
CREATE INDEX payout_events_in_commit_order ON payout_events (ledger_id, xid, payout_id, version);

-- What a provider calls our payouts. A receipt settles one payout, ever.
CREATE TABLE provider_references (
    ledger_id integer NOT NULL,
    provider text NOT NULL,
    kind text NOT NULL,
    value text NOT NULL CONSTRAINT provider_references_value_is_short CHECK (length(value) BETWEEN 1 AND 100),
    payout_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, provider, kind, value),
    FOREIGN KEY (ledger_id, payout_id) REFERENCES payouts
);

CREATE INDEX provider_references_by_payout ON provider_references (ledger_id, payout_id);

-- What must happen outside. due_at is when it may be claimed: its time to run, or the end of the lease that holds it.
CREATE TABLE instructions (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    kind text NOT NULL,
    payout_id bigint NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    lease_token bigint,
    done_at timestamptz,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, payout_id) REFERENCES payouts,
    CONSTRAINT instructions_are_unique_per_payout UNIQUE (ledger_id, payout_id, kind)
);
CREATE INDEX instructions_due ON instructions (due_at, ledger_id, id) WHERE done_at IS NULL;

-- One try at an instruction, stored before the call. The callback path's token is kept only as a hash.
CREATE TABLE attempts (
    ledger_id integer NOT NULL,
    instruction_id bigint NOT NULL,
    number integer NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT attempts_token_hash_is_whole CHECK (length(token_hash) = 32),
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    answer text,
    detail text,
    PRIMARY KEY (ledger_id, instruction_id, number),
    FOREIGN KEY (ledger_id, instruction_id) REFERENCES instructions,
    CONSTRAINT attempts_token_is_unique UNIQUE (ledger_id, token_hash),
    CONSTRAINT attempts_finish_with_an_answer CHECK ((finished_at IS NULL) = (answer IS NULL))
);

-- Every message a provider sent, verbatim but sealed, before anyone judged it.
CREATE TABLE inbox (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    provider text NOT NULL,
    kind text NOT NULL,
    token_hash bytea NOT NULL,
    raw bytea NOT NULL,
    remote_address text,
    received_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    judged_at timestamptz,
    verdict text,
    detail text,
    payout_id bigint,
    PRIMARY KEY (ledger_id, id)
);
CREATE INDEX inbox_due ON inbox (due_at, ledger_id, id) WHERE judged_at IS NULL;

-- What a person must look at, by named queue.
CREATE TABLE reviews (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    queue text NOT NULL CONSTRAINT reviews_queue_is_named CHECK (queue IN
        ('submit-unknown', 'provider-conflict', 'callback-orphan', 'amount-mismatch', 'statement-unmatched',
         'ledger-unmatched', 'unledgered-movement', 'reversal-race', 'poison-message', 'webhook-dead', 'limit-hold',
         'kyc-party-changed')),
    payout_id bigint,
    inbox_id bigint,
    reason text NOT NULL,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id)
);
CREATE INDEX reviews_by_payout ON reviews (ledger_id, payout_id);

CALL make_append_only('payout_events', 'provider_references', 'provider_tariffs', 'reviews');
-- Without xid, by which events are followed: nobody claims to belong to another transaction.
REVOKE INSERT ON payout_events FROM daftari_app;
GRANT INSERT (ledger_id, payout_id, version, state, event, entry_id, detail, recorded_at) ON payout_events TO daftari_app;
CALL keep_rows('partners', 'api_keys', 'parties', 'payouts', 'instructions', 'attempts', 'inbox');
GRANT UPDATE (suspended_at) ON partners TO daftari_app;
GRANT UPDATE (revoked_at) ON api_keys TO daftari_app;
GRANT UPDATE (state, version, receipt, failure_code, failure_text, provider_charge, updated_at, completed_at)
    ON payouts TO daftari_app;
GRANT UPDATE (due_at, attempts, lease_token, done_at) ON instructions TO daftari_app;
GRANT UPDATE (finished_at, answer, detail) ON attempts TO daftari_app;
GRANT UPDATE (due_at, tries, judged_at, verdict, detail, payout_id) ON inbox TO daftari_app;
