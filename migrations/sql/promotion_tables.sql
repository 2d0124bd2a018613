-- Promotions: campaigns, batches of codes, the codes by their keyed hash, redemptions with the payouts that pay them, and how
-- often phones typed what is no code.

CREATE TABLE campaigns (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    code text NOT NULL CONSTRAINT campaigns_code_is_plain CHECK (code ~ '^[a-z][a-z0-9-]{1,31}$'),
    name text NOT NULL,
    per_msisdn_max integer CONSTRAINT campaigns_limit_is_positive CHECK (per_msisdn_max > 0),
    per_msisdn_day_max integer CONSTRAINT campaigns_day_limit_is_positive CHECK (per_msisdn_day_max > 0),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT campaigns_code_is_unique UNIQUE (ledger_id, code)
);

-- issued, live, redeemed and failed are counts that follow from its codes and redemptions; triggers keep them, nobody else.
CREATE TABLE promo_batches (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    code text NOT NULL CONSTRAINT promo_batches_code_is_plain CHECK (code ~ '^[a-z][a-z0-9-]{1,31}$'),
    campaign_id bigint NOT NULL,
    partner_id bigint NOT NULL,
    currency text NOT NULL REFERENCES currencies,
    amount bigint NOT NULL CONSTRAINT promo_batches_amount_is_positive CHECK (amount > 0),
    count integer NOT NULL CONSTRAINT promo_batches_count_is_bounded CHECK (count BETWEEN 1 AND 5000000),
    funding text NOT NULL CONSTRAINT promo_batches_funding_is_known CHECK (funding IN ('prefund', 'budget')),
    shortcode text NOT NULL,
    assignee text NOT NULL,
    expires_at timestamptz NOT NULL,
    second_person boolean NOT NULL,
    created_by text NOT NULL,
    activated_by text,
    activated_at timestamptz,
    exported_at timestamptz,
    state text NOT NULL CONSTRAINT promo_batches_state_is_known CHECK (state IN ('DRAFT', 'ACTIVE', 'PAUSED', 'EXPIRED',
        'CANCELLED')),
    version integer NOT NULL,
    issued integer NOT NULL DEFAULT 0,
    live integer NOT NULL DEFAULT 0,
    redeemed integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, campaign_id) REFERENCES campaigns,
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners,
    CONSTRAINT promo_batches_code_is_unique UNIQUE (ledger_id, code),
    CONSTRAINT promo_batches_end_after_they_begin CHECK (expires_at > created_at),
    CONSTRAINT promo_batches_are_activated_by_another CHECK (NOT second_person OR activated_by <> created_by),
    CONSTRAINT promo_batches_counts_fit CHECK (issued <= count AND live >= 0 AND redeemed >= 0 AND failed >= 0
        AND live + redeemed <= issued AND failed <= redeemed),
    CONSTRAINT promo_batches_are_whole_when_activated CHECK ((activated_by IS NULL) = (activated_at IS NULL)
        AND (state NOT IN ('ACTIVE', 'PAUSED') OR (activated_at IS NOT NULL AND issued = count))
        AND (state <> 'DRAFT' OR activated_at IS NULL))
);
CREATE INDEX promo_batches_by_campaign ON promo_batches (ledger_id, campaign_id, id);
CREATE INDEX promo_batches_to_expire ON promo_batches (expires_at) WHERE state IN ('DRAFT', 'ACTIVE', 'PAUSED');

CREATE TABLE promo_batch_events (
    ledger_id integer NOT NULL,
    batch_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    codes integer NOT NULL CONSTRAINT promo_batch_events_codes_not_negative CHECK (codes >= 0),
    entry_id bigint,
    amount bigint,
    detail text,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, batch_id, version),
    FOREIGN KEY (ledger_id, batch_id) REFERENCES promo_batches,
    FOREIGN KEY (ledger_id, entry_id) REFERENCES journal_entries
);

-- The accounts whose balances follow from a batch: what it owes for live codes, what it would owe, what it owes to winners whose
-- payout failed.
CREATE TABLE promo_accounts (
    ledger_id integer NOT NULL,
    account_id bigint NOT NULL,
    batch_id bigint NOT NULL,
    part text NOT NULL CONSTRAINT promo_accounts_part_is_known CHECK (part IN ('liability', 'unactivated', 'payable')),
    PRIMARY KEY (ledger_id, account_id),
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts,
    FOREIGN KEY (ledger_id, batch_id) REFERENCES promo_batches,
    CONSTRAINT promo_accounts_each_part_once UNIQUE (ledger_id, batch_id, part)
);

-- No foreign key to the batch: a trigger per set of codes asks for it, at no price per code.
CREATE TABLE promo_codes (
    ledger_id integer NOT NULL,
    hash bytea NOT NULL CONSTRAINT promo_codes_hash_has_16_bytes CHECK (octet_length(hash) = 16),
    batch_id bigint NOT NULL,
    number integer NOT NULL,
    state text NOT NULL CONSTRAINT promo_codes_state_is_known CHECK (state IN ('LIVE', 'REDEEMED', 'DISABLED', 'STOLEN',
        'VOIDED')),
    PRIMARY KEY (ledger_id, hash),
    CONSTRAINT promo_codes_are_numbered UNIQUE (ledger_id, batch_id, number)
);

-- Codes as they are printed, many sealed together, for the one export of a batch.
CREATE TABLE promo_sheets (
    ledger_id integer NOT NULL,
    batch_id bigint NOT NULL,
    first_number integer NOT NULL,
    codes integer NOT NULL CONSTRAINT promo_sheets_are_not_empty CHECK (codes > 0),
    sealed bytea NOT NULL,
    PRIMARY KEY (ledger_id, batch_id, first_number),
    FOREIGN KEY (ledger_id, batch_id) REFERENCES promo_batches
);

-- nth and nth_of_day count what a phone redeemed in the campaign: unique and bounded, so that no race exceeds its limits.
CREATE TABLE promo_redemptions (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    number integer NOT NULL,
    campaign_id bigint NOT NULL,
    party_id bigint NOT NULL,
    day date NOT NULL,
    nth integer NOT NULL CONSTRAINT promo_redemptions_nth_is_positive CHECK (nth > 0),
    nth_of_day integer NOT NULL CONSTRAINT promo_redemptions_nth_of_day_is_positive CHECK (nth_of_day > 0),
    session text NOT NULL,
    state text NOT NULL CONSTRAINT promo_redemptions_state_is_known CHECK (state IN ('PAYING', 'PAID', 'FAILED')),
    version integer NOT NULL,
    payout_id bigint NOT NULL,
    tries integer NOT NULL CONSTRAINT promo_redemptions_tries_are_positive CHECK (tries > 0),
    retry_at timestamptz CONSTRAINT promo_redemptions_only_failed_are_retried CHECK (retry_at IS NULL OR state = 'FAILED'),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, batch_id) REFERENCES promo_batches,
    FOREIGN KEY (ledger_id, party_id) REFERENCES parties,
    FOREIGN KEY (ledger_id, payout_id) REFERENCES payouts,
    CONSTRAINT promo_redemptions_code_is_redeemed_once UNIQUE (ledger_id, batch_id, number),
    CONSTRAINT promo_redemptions_are_counted UNIQUE (ledger_id, campaign_id, party_id, nth),
    CONSTRAINT promo_redemptions_are_counted_by_day UNIQUE (ledger_id, campaign_id, party_id, day, nth_of_day)
);
CREATE INDEX promo_redemptions_by_state ON promo_redemptions (ledger_id, state, id);
CREATE INDEX promo_redemptions_open ON promo_redemptions (ledger_id, state, updated_at) WHERE state <> 'PAID';
CREATE INDEX promo_redemptions_paid ON promo_redemptions (updated_at) WHERE state = 'PAID';
CREATE INDEX promo_redemptions_to_retry ON promo_redemptions (ledger_id, retry_at) WHERE retry_at IS NOT NULL;

CREATE TABLE promo_redemption_events (
    ledger_id integer NOT NULL,
    redemption_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    payout_id bigint NOT NULL,
    entry_id bigint,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, redemption_id, version),
    FOREIGN KEY (ledger_id, redemption_id) REFERENCES promo_redemptions,
    FOREIGN KEY (ledger_id, entry_id) REFERENCES journal_entries
);
-- A payout pays one redemption, ever.
CREATE UNIQUE INDEX promo_redemption_events_bind ON promo_redemption_events (ledger_id, payout_id)
    WHERE event IN ('redeemed', 'retried');

-- What a phone, a caller, or everybody typed wrong since a moment; a row is used again when its window is over. `recent` are
-- digests of the wrong attempts, so that a repeated one is known.
CREATE TABLE promo_throttles (
    ledger_id integer NOT NULL REFERENCES ledgers,
    scope text NOT NULL CONSTRAINT promo_throttles_scope_is_known CHECK (scope IN ('phone', 'caller', 'all')),
    key bytea NOT NULL,
    started_at timestamptz NOT NULL,
    wrong integer NOT NULL CONSTRAINT promo_throttles_wrong_not_negative CHECK (wrong >= 0),
    recent bytea[] NOT NULL CONSTRAINT promo_throttles_are_bounded CHECK (cardinality(recent) <= 32),
    PRIMARY KEY (ledger_id, scope, key)
);

CALL make_append_only('campaigns', 'promo_batch_events', 'promo_accounts', 'promo_sheets', 'promo_redemption_events');
CALL keep_rows('promo_batches', 'promo_codes', 'promo_redemptions', 'promo_throttles');
GRANT UPDATE (activated_by, activated_at, exported_at, state, version, issued, live, redeemed, failed, updated_at)
    ON promo_batches TO daftari_app;
GRANT UPDATE (state) ON promo_codes TO daftari_app;
GRANT UPDATE (state, version, payout_id, tries, retry_at, updated_at) ON promo_redemptions TO daftari_app;
GRANT UPDATE (started_at, wrong, recent) ON promo_throttles TO daftari_app;
REVOKE SELECT ON promo_sheets FROM daftari_reader;
