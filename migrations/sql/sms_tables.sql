-- Text messages: what is told to whom, over which provider, and what became of it. Whoever wants none is known by the keyed
-- hash of the number alone.

CREATE TABLE sms_settings (
    ledger_id integer PRIMARY KEY REFERENCES ledgers,
    provider text NOT NULL,
    fallback text CONSTRAINT sms_fallback_is_another CHECK (fallback <> provider),
    sender text NOT NULL,
    brand text NOT NULL CONSTRAINT sms_brand_is_short CHECK (length(brand) BETWEEN 1 AND 20),
    language text NOT NULL CONSTRAINT sms_language_is_known CHECK (language IN ('en', 'sw', 'rw', 'pt')),
    events text[] NOT NULL,
    stop_covers text NOT NULL CONSTRAINT sms_stop_is_known CHECK (stop_covers IN ('marketing', 'all_but_essential')),
    token_hash bytea NOT NULL CONSTRAINT sms_token_is_hashed CHECK (length(token_hash) = 32),
    actor text NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE sms_messages (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    event text NOT NULL,
    payout_id bigint NOT NULL,
    party_id bigint NOT NULL,
    language text NOT NULL,
    body text NOT NULL,
    segments integer NOT NULL CONSTRAINT sms_is_short CHECK (segments BETWEEN 1 AND 2),
    sender text NOT NULL,
    provider text NOT NULL,
    state text NOT NULL CONSTRAINT sms_state_is_known CHECK (state IN ('QUEUED', 'SENT', 'DELIVERED', 'FAILED', 'UNKNOWN')),
    version integer NOT NULL,
    provider_message_id text,
    failure_code text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, payout_id) REFERENCES payouts,
    FOREIGN KEY (ledger_id, party_id) REFERENCES parties,
    CONSTRAINT sms_tells_an_event_once UNIQUE (ledger_id, payout_id, event, party_id),
    CONSTRAINT sms_provider_id_is_of_one UNIQUE (ledger_id, provider, provider_message_id),
    CONSTRAINT sms_sent_has_an_id CHECK (state NOT IN ('SENT', 'DELIVERED') OR provider_message_id IS NOT NULL)
);
CREATE INDEX sms_by_state ON sms_messages (ledger_id, state, id);

CREATE TABLE sms_events (
    ledger_id integer NOT NULL,
    sms_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    detail text,
    cost_currency text,
    cost_micros bigint CONSTRAINT sms_cost_is_positive CHECK (cost_micros > 0),
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, sms_id, version),
    FOREIGN KEY (ledger_id, sms_id) REFERENCES sms_messages,
    CONSTRAINT sms_cost_is_whole CHECK ((cost_micros IS NULL) = (cost_currency IS NULL)),
    CONSTRAINT sms_cost_is_of_a_sending CHECK (cost_micros IS NULL OR event = 'sent')
);

-- Providers charge fractions of a minor unit: what was told is added up exactly, and posted as far as it is whole.
CREATE TABLE sms_costs (
    ledger_id integer NOT NULL REFERENCES ledgers,
    provider text NOT NULL,
    currency text NOT NULL REFERENCES currencies,
    told_micros bigint NOT NULL CONSTRAINT sms_costs_told CHECK (told_micros >= 0),
    unit_micros bigint NOT NULL CONSTRAINT sms_costs_unit CHECK (unit_micros > 0),
    posted_minor_units bigint NOT NULL,
    PRIMARY KEY (ledger_id, provider, currency),
    CONSTRAINT sms_costs_are_posted_whole CHECK (posted_minor_units = told_micros / unit_micros)
);

CREATE TABLE sms_opt_outs (
    ledger_id integer NOT NULL REFERENCES ledgers,
    phone bytea NOT NULL CONSTRAINT sms_phone_is_hashed CHECK (length(phone) = 32),
    source text NOT NULL,
    opted_out_at timestamptz NOT NULL,
    lifted_at timestamptz,
    PRIMARY KEY (ledger_id, phone)
);

ALTER TABLE instructions ADD COLUMN sms_id bigint;
ALTER TABLE instructions ADD CONSTRAINT instructions_sms_exists FOREIGN KEY (ledger_id, sms_id) REFERENCES sms_messages;
ALTER TABLE instructions ADD CONSTRAINT instructions_are_unique_per_sms UNIQUE (ledger_id, sms_id, kind);
ALTER TABLE instructions DROP CONSTRAINT instructions_are_about_one_thing;
ALTER TABLE instructions ADD CONSTRAINT instructions_are_about_one_thing
    CHECK (num_nonnulls(payout_id, prompt_id, return_id, receipt_id, sms_id) = 1);

CALL make_append_only('sms_events');
CALL keep_rows('sms_messages');
CALL keep_rows('sms_settings');
CALL keep_rows('sms_costs');
CALL keep_rows('sms_opt_outs');
GRANT UPDATE (state, version, provider, sender, provider_message_id, failure_code, updated_at) ON sms_messages TO daftari_app;
GRANT UPDATE (provider, fallback, sender, brand, language, events, stop_covers, token_hash, actor, updated_at) ON sms_settings
    TO daftari_app;
GRANT UPDATE (told_micros, posted_minor_units) ON sms_costs TO daftari_app;
GRANT UPDATE (source, opted_out_at, lifted_at) ON sms_opt_outs TO daftari_app;
