-- Returns: money of receipts on its way back to whoever paid it.

CREATE TABLE returns (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    receipt_id bigint NOT NULL,
    rail text NOT NULL,
    shortcode text NOT NULL,
    currency text NOT NULL REFERENCES currencies,
    amount bigint NOT NULL CONSTRAINT returns_amount_is_positive CHECK (amount > 0),
    reason text NOT NULL,
    reserve_entry_id bigint NOT NULL,
    state text NOT NULL CONSTRAINT returns_state_is_known
        CHECK (state IN ('REQUESTED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN', 'RETURNED', 'FAILED')),
    version integer NOT NULL,
    conversation text,
    return_receipt text,
    failure_code text,
    failure_text text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts,
    CONSTRAINT returns_have_a_receipt_each UNIQUE (ledger_id, rail, return_receipt),
    CONSTRAINT returns_returned_have_a_receipt CHECK ((state = 'RETURNED') = (return_receipt IS NOT NULL))
);
CREATE INDEX returns_by_receipt ON returns (ledger_id, receipt_id);

CREATE TABLE return_events (
    ledger_id integer NOT NULL,
    return_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    entry_id bigint,
    detail text,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, return_id, version),
    FOREIGN KEY (ledger_id, return_id) REFERENCES returns,
    FOREIGN KEY (ledger_id, entry_id) REFERENCES journal_entries,
    CONSTRAINT return_events_have_an_entry_each UNIQUE (ledger_id, entry_id)
);

ALTER TABLE instructions ADD COLUMN return_id bigint;
ALTER TABLE instructions ADD CONSTRAINT instructions_return_exists FOREIGN KEY (ledger_id, return_id) REFERENCES returns;
ALTER TABLE instructions ADD CONSTRAINT instructions_are_unique_per_return UNIQUE (ledger_id, return_id, kind);
ALTER TABLE instructions DROP CONSTRAINT instructions_are_about_one_thing;
ALTER TABLE instructions ADD CONSTRAINT instructions_are_about_one_thing
    CHECK (num_nonnulls(payout_id, prompt_id, return_id) = 1);

CALL make_append_only('return_events');
CALL keep_rows('returns');
GRANT UPDATE (state, version, conversation, return_receipt, failure_code, failure_text, updated_at) ON returns TO daftari_app;
