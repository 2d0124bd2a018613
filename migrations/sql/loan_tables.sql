-- Loans: products and their terms, each loan with the payout it rests on, and what happened to it.

-- Whose money a payout is: the account that it is reserved from. None is the partner's prefunded one.
ALTER TABLE payouts ADD COLUMN funding text;

-- A product never changes: other terms are another version. Its loans are paid out in the name of a partner, whose limits bind
-- and whom webhooks tell.
CREATE TABLE loan_products (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    code text NOT NULL CONSTRAINT loan_products_code_is_plain CHECK (code ~ '^[a-z][a-z0-9-]{1,31}$'),
    version integer NOT NULL CONSTRAINT loan_products_are_numbered CHECK (version > 0),
    name text NOT NULL,
    partner_id bigint NOT NULL,
    mode text NOT NULL CONSTRAINT loan_products_mode_is_known CHECK (mode IN ('principal', 'agent')),
    currency text NOT NULL REFERENCES currencies,
    terms jsonb NOT NULL,
    weekend smallint[] NOT NULL,
    holidays date[] NOT NULL,
    second_person boolean NOT NULL,  -- who approves must be another than who asked
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners,
    CONSTRAINT loan_products_versions_are_unique UNIQUE (ledger_id, code, version)
);

-- What is owed is in the loan's accounts and nowhere else. Its schedule follows from product, gross and starts_on.
CREATE TABLE loans (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    product_id bigint NOT NULL,
    borrower text NOT NULL CONSTRAINT loans_borrower_is_plain CHECK (borrower ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    party_id bigint NOT NULL,
    lender text CONSTRAINT loans_lender_is_plain CHECK (lender ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    currency text NOT NULL REFERENCES currencies,
    gross bigint NOT NULL,
    net bigint NOT NULL CONSTRAINT loans_net_is_positive CHECK (net > 0),
    fee bigint NOT NULL CONSTRAINT loans_fee_not_negative CHECK (fee >= 0),
    reference text NOT NULL,
    second_person boolean NOT NULL,
    requested_by text NOT NULL,
    approved_by text,
    state text NOT NULL CONSTRAINT loans_state_is_known CHECK (state IN ('REQUESTED', 'APPROVED', 'REJECTED', 'CANCELLED',
        'DISBURSING', 'DISBURSEMENT_FAILED', 'ACTIVE', 'CLOSED', 'WRITTEN_OFF')),
    version integer NOT NULL,
    payout_id bigint,
    starts_on date,        -- the first day that bears interest: that of the payout's receipt
    accrued_before date,   -- interest of all days before it is in the books
    worked_before date,    -- the day's work is done for all days before it
    penalties_charged bigint NOT NULL CONSTRAINT loans_penalties_not_negative CHECK (penalties_charged >= 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, product_id) REFERENCES loan_products,
    FOREIGN KEY (ledger_id, party_id) REFERENCES parties,
    FOREIGN KEY (ledger_id, payout_id) REFERENCES payouts,
    CONSTRAINT loans_gross_is_net_and_fee CHECK (gross = net + fee),
    CONSTRAINT loans_lender_is_another CHECK (lender <> borrower),
    CONSTRAINT loans_are_approved_by_another CHECK (NOT second_person OR approved_by <> requested_by),
    CONSTRAINT loans_are_approved CHECK (state IN ('REQUESTED', 'REJECTED', 'CANCELLED') OR approved_by IS NOT NULL),
    CONSTRAINT loans_exist_when_paid_out CHECK (
        (state IN ('ACTIVE', 'CLOSED', 'WRITTEN_OFF')) = (starts_on IS NOT NULL)
        AND (starts_on IS NULL) = (accrued_before IS NULL) AND (starts_on IS NULL) = (worked_before IS NULL)
        AND (starts_on IS NULL OR payout_id IS NOT NULL))
);
CREATE INDEX loans_by_borrower ON loans (ledger_id, borrower, id);
CREATE INDEX loans_to_work ON loans (ledger_id, worked_before, id) WHERE state = 'ACTIVE';
CREATE INDEX loans_by_state ON loans (ledger_id, state, id);

CREATE TABLE loan_events (
    ledger_id integer NOT NULL,
    loan_id bigint NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    entry_id bigint,
    amount bigint,
    payout_id bigint,
    receipt_id bigint,
    detail text,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, loan_id, version),
    FOREIGN KEY (ledger_id, loan_id) REFERENCES loans,
    FOREIGN KEY (ledger_id, entry_id) REFERENCES journal_entries
);
-- A payout pays out one loan, ever.
CREATE UNIQUE INDEX loan_events_started ON loan_events (ledger_id, payout_id) WHERE event = 'disbursement_started';

CALL make_append_only('loan_products', 'loan_events');
CALL keep_rows('loans');
GRANT UPDATE (approved_by, state, version, payout_id, starts_on, accrued_before, worked_before, penalties_charged, updated_at)
    ON loans TO daftari_app;
