-- Prompts: payers whose phones were asked for money. The provider's id of one (its checkout) holds the payer's number: it is
-- sealed, and found by a keyed hash.

CREATE TABLE prompts (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    partner_id bigint,
    order_id bigint,
    rail text NOT NULL,
    shortcode text NOT NULL,
    party_id bigint NOT NULL,
    payer_index bytea NOT NULL CONSTRAINT prompts_payer_index_is_whole CHECK (length(payer_index) = 32),
    payer_shown text NOT NULL CONSTRAINT prompts_payer_is_hidden CHECK (payer_shown !~ '[0-9]{9}'),
    currency text NOT NULL REFERENCES currencies,
    amount bigint NOT NULL CONSTRAINT prompts_amount_is_positive CHECK (amount > 0),
    reference text NOT NULL CONSTRAINT prompts_reference_is_hidden
        CHECK (length(reference) BETWEEN 1 AND 64 AND reference !~ '[0-9]{9}'),
    reference_index bytea NOT NULL CONSTRAINT prompts_reference_index_is_whole CHECK (length(reference_index) = 32),
    description text NOT NULL,
    expires_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT prompts_state_is_known
        CHECK (state IN ('REQUESTED', 'SUBMITTING', 'WAITING', 'UNKNOWN', 'PAID', 'FAILED')),
    version integer NOT NULL,
    checkout_index bytea CONSTRAINT prompts_checkout_index_is_whole CHECK (length(checkout_index) = 32),
    checkout_sealed bytea,
    told_paid_at timestamptz,
    receipt_id bigint,
    failure_code text,
    failure_text text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners,
    FOREIGN KEY (ledger_id, order_id) REFERENCES orders,
    FOREIGN KEY (ledger_id, rail, shortcode) REFERENCES collection_shortcodes,
    FOREIGN KEY (ledger_id, party_id) REFERENCES parties,
    FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts,
    CONSTRAINT prompts_are_paid_by_one_receipt_each UNIQUE (ledger_id, receipt_id),
    CONSTRAINT prompts_paid_have_a_receipt CHECK ((state = 'PAID') = (receipt_id IS NOT NULL)),
    CONSTRAINT prompts_checkout_is_whole CHECK ((checkout_index IS NULL) = (checkout_sealed IS NULL))
);
CREATE INDEX prompts_unpaid ON prompts (ledger_id, reference_index, created_at) WHERE receipt_id IS NULL;

CREATE TABLE prompt_events (
    ledger_id integer NOT NULL,
    prompt_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    detail text,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, prompt_id, version),
    FOREIGN KEY (ledger_id, prompt_id) REFERENCES prompts
);

-- An instruction is about one thing.
ALTER TABLE instructions ALTER COLUMN payout_id DROP NOT NULL;
ALTER TABLE instructions ADD COLUMN prompt_id bigint;
ALTER TABLE instructions ADD CONSTRAINT instructions_prompt_exists FOREIGN KEY (ledger_id, prompt_id) REFERENCES prompts;
ALTER TABLE instructions ADD CONSTRAINT instructions_are_unique_per_prompt UNIQUE (ledger_id, prompt_id, kind);
ALTER TABLE instructions ADD CONSTRAINT instructions_are_about_one_thing CHECK (num_nonnulls(payout_id, prompt_id) = 1);

CALL make_append_only('prompt_events');
CALL keep_rows('prompts');
GRANT UPDATE (state, version, checkout_index, checkout_sealed, told_paid_at, receipt_id, failure_code, failure_text, updated_at)
    ON prompts TO daftari_app;
