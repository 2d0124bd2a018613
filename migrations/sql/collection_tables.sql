-- Money in: the shortcodes that collect, what came in, where it was allocated, and the orders it pays.

-- landing is the account that the provider puts the money into; sources differ on which sub-account that is.
CREATE TABLE collection_shortcodes (
    ledger_id integer NOT NULL REFERENCES ledgers,
    provider text NOT NULL,
    shortcode text NOT NULL CONSTRAINT collection_shortcodes_are_short CHECK (length(shortcode) BETWEEN 1 AND 40),
    currency text NOT NULL REFERENCES currencies,
    landing text NOT NULL,
    accepts_unanswered boolean NOT NULL,
    refuses_unknown boolean NOT NULL,  -- references, where the provider asks before it takes a payment in
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, provider, shortcode)
);

-- Where a provider was told to tell of money that comes in unasked. Only a hash of the path's token is kept.
CREATE TABLE collection_paths (
    ledger_id integer NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT collection_paths_hash_is_whole CHECK (length(token_hash) = 32),
    provider text NOT NULL,
    shortcode text NOT NULL,
    kind text NOT NULL CONSTRAINT collection_paths_kind_is_known CHECK (kind IN ('confirmation', 'validation')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, token_hash),
    FOREIGN KEY (ledger_id, provider, shortcode) REFERENCES collection_shortcodes
);

-- Calls about a shortcode that nobody asked for, written down before they are made.
CREATE TABLE collection_calls (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    provider text NOT NULL,
    shortcode text NOT NULL,
    purpose text NOT NULL CONSTRAINT collection_calls_purpose_is_known CHECK (purpose IN ('register', 'list')),
    token_hash bytea NOT NULL CONSTRAINT collection_calls_hash_is_whole CHECK (length(token_hash) = 32),
    made_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, provider, shortcode) REFERENCES collection_shortcodes
);
CREATE INDEX collection_calls_by_token ON collection_calls (ledger_id, token_hash);
CREATE INDEX collection_calls_newest ON collection_calls (ledger_id, provider, shortcode, purpose, made_at);

-- Where the money of a receipt is: its parts always make up the whole. Payer and reference may hold a phone number: they are
-- sealed, the reference is found by a keyed hash, and what is shown of either hides it.
CREATE TABLE receipts (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    provider text NOT NULL,
    shortcode text NOT NULL,
    receipt text NOT NULL CONSTRAINT receipts_receipt_is_short CHECK (length(receipt) BETWEEN 1 AND 100),
    currency text NOT NULL REFERENCES currencies,
    amount bigint NOT NULL CONSTRAINT receipts_amount_is_positive CHECK (amount > 0),
    payer_form text CONSTRAINT receipts_payer_form_is_known CHECK (payer_form IN ('plain', 'masked', 'hashed')),
    payer_shown text NOT NULL CONSTRAINT receipts_payer_is_hidden CHECK (payer_shown !~ '[0-9]{9}'),
    reference_index bytea,
    reference_shown text NOT NULL CONSTRAINT receipts_reference_is_hidden CHECK (reference_shown !~ '[0-9]{9}'),
    sealed bytea NOT NULL,
    completed_at timestamptz NOT NULL,
    unallocated bigint NOT NULL CONSTRAINT receipts_unallocated_not_negative CHECK (unallocated >= 0),
    suspended bigint NOT NULL CONSTRAINT receipts_suspended_not_negative CHECK (suspended >= 0),
    allocated bigint NOT NULL CONSTRAINT receipts_allocated_not_negative CHECK (allocated >= 0),
    returning_now bigint NOT NULL CONSTRAINT receipts_returning_not_negative CHECK (returning_now >= 0),
    returned bigint NOT NULL CONSTRAINT receipts_returned_not_negative CHECK (returned >= 0),
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, provider, shortcode) REFERENCES collection_shortcodes,
    CONSTRAINT receipts_are_booked_once UNIQUE (ledger_id, provider, receipt),
    CONSTRAINT receipts_parts_make_the_whole CHECK (unallocated + suspended + allocated + returning_now + returned = amount)
);
CREATE INDEX receipts_by_number ON receipts (ledger_id, receipt, id);
CREATE INDEX receipts_unallocated ON receipts (ledger_id, created_at, id) WHERE unallocated > 0;
CREATE INDEX receipts_suspended ON receipts (ledger_id, id) WHERE suspended > 0;

CREATE TABLE receipt_events (
    ledger_id integer NOT NULL,
    receipt_id bigint NOT NULL,
    version integer NOT NULL,
    event text NOT NULL,
    entry_id bigint NOT NULL,
    amount bigint NOT NULL,
    detail text,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, receipt_id, version),
    FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts,
    FOREIGN KEY (ledger_id, entry_id) REFERENCES journal_entries,
    CONSTRAINT receipt_events_have_an_entry_each UNIQUE (ledger_id, entry_id)
);

-- By which channels a receipt was told: the second one adds evidence and books nothing.
CREATE TABLE receipt_evidence (
    ledger_id integer NOT NULL,
    receipt_id bigint NOT NULL,
    channel text NOT NULL CONSTRAINT receipt_evidence_channel_is_known
        CHECK (channel IN ('confirmation', 'prompt', 'pull', 'statement', 'query')),
    inbox_id bigint,
    told_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, receipt_id, channel),
    FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts
);

-- What payers type as the account, and whose it is. One living target for each.
CREATE TABLE collection_references (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    reference_index bytea NOT NULL CONSTRAINT collection_references_index_is_whole CHECK (length(reference_index) = 32),
    shown text NOT NULL CONSTRAINT collection_references_are_hidden CHECK (shown !~ '[0-9]{9}'),
    target_kind text NOT NULL CONSTRAINT collection_references_target_is_known
        CHECK (target_kind IN ('account', 'order', 'loan')),
    target_id text NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (ledger_id, id)
);
CREATE UNIQUE INDEX collection_references_live ON collection_references (ledger_id, reference_index) WHERE retired_at IS NULL;
CREATE INDEX collection_references_by_target ON collection_references (ledger_id, target_kind, target_id);

-- A part of a receipt given to one target; taken back by the entry that undoes its own.
CREATE TABLE allocations (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    receipt_id bigint NOT NULL,
    from_suspense boolean NOT NULL,
    target_kind text NOT NULL CONSTRAINT allocations_target_is_known CHECK (target_kind IN ('account', 'order', 'loan')),
    target_id text NOT NULL,
    amount bigint NOT NULL CONSTRAINT allocations_amount_is_positive CHECK (amount > 0),
    entry_id bigint NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    undone_entry_id bigint,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts,
    FOREIGN KEY (ledger_id, entry_id) REFERENCES journal_entries,
    FOREIGN KEY (ledger_id, undone_entry_id) REFERENCES journal_entries,
    CONSTRAINT allocations_have_an_entry_each UNIQUE (ledger_id, entry_id)
);
CREATE INDEX allocations_by_receipt ON allocations (ledger_id, receipt_id);
CREATE INDEX allocations_by_target ON allocations (ledger_id, target_kind, target_id) WHERE undone_entry_id IS NULL;

-- What a shop expects to be paid. What was paid is the sum of its living allocations.
CREATE TABLE orders (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    partner_id bigint NOT NULL,
    reference text NOT NULL CONSTRAINT orders_reference_is_short CHECK (length(reference) BETWEEN 1 AND 20),
    currency text NOT NULL REFERENCES currencies,
    amount bigint NOT NULL CONSTRAINT orders_amount_is_positive CHECK (amount > 0),
    expires_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT orders_state_is_known CHECK (state IN ('OPEN', 'PAID', 'EXPIRED', 'CANCELLED', 'REVERSED')),
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners
);
CREATE INDEX orders_by_partner ON orders (ledger_id, partner_id, id);
CREATE INDEX orders_to_expire ON orders (expires_at) WHERE state = 'OPEN';

CREATE TABLE order_events (
    ledger_id integer NOT NULL,
    order_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    receipt_id bigint,
    paid bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, order_id, version),
    FOREIGN KEY (ledger_id, order_id) REFERENCES orders
);

ALTER TABLE reviews ADD COLUMN receipt_id bigint;
ALTER TABLE reviews ADD CONSTRAINT reviews_receipt_exists FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts;
CREATE INDEX reviews_by_receipt ON reviews (ledger_id, receipt_id) WHERE receipt_id IS NOT NULL;
ALTER TABLE reviews DROP CONSTRAINT reviews_queue_is_named;
ALTER TABLE reviews ADD CONSTRAINT reviews_queue_is_named CHECK (queue IN
    ('submit-unknown', 'provider-conflict', 'not-sent', 'callback-orphan', 'amount-mismatch', 'statement-unmatched',
     'ledger-unmatched', 'unledgered-movement', 'reversal-race', 'poison-message', 'webhook-dead', 'limit-hold',
     'kyc-party-changed', 'receipt-unallocated'));

CALL make_append_only('collection_shortcodes', 'collection_paths', 'collection_calls', 'receipt_events', 'receipt_evidence', 'order_events');
CALL keep_rows('receipts', 'collection_references', 'allocations', 'orders');
GRANT UPDATE (unallocated, suspended, allocated, returning_now, returned, version, updated_at) ON receipts TO daftari_app;
GRANT UPDATE (retired_at) ON collection_references TO daftari_app;
GRANT UPDATE (undone_entry_id) ON allocations TO daftari_app;
GRANT UPDATE (state, version, updated_at) ON orders TO daftari_app;
