-- A run holds one account's statement lines of some days against the books; a newer run of the same days supersedes it. What it
-- decided is never edited. The statement's balances less the books' are the sum of the decisions' differences, or no run is written.

CREATE TABLE reconciliation_runs (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    from_date date NOT NULL,
    until_date date NOT NULL,
    told_until timestamptz NOT NULL,
    statement_opening bigint,
    statement_closing bigint,
    books_opening bigint NOT NULL,
    books_closing bigint NOT NULL,
    lines integer NOT NULL,
    decisions integer NOT NULL,
    breaks integer NOT NULL,
    difference bigint NOT NULL,
    unexplained bigint NOT NULL,
    resolved integer NOT NULL,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts,
    CONSTRAINT reconciliation_runs_cover_days CHECK (from_date <= until_date),
    CONSTRAINT reconciliation_runs_add_up CHECK (
        statement_closing IS NULL
        OR (statement_closing - statement_opening) - (books_closing - books_opening) = difference)
);
CREATE INDEX reconciliation_runs_newest ON reconciliation_runs (ledger_id, account_id, id);

CREATE TABLE reconciliation_decisions (
    ledger_id integer NOT NULL,
    run_id bigint NOT NULL,
    number integer NOT NULL,
    state text NOT NULL CONSTRAINT reconciliation_decisions_state_is_known CHECK (state IN (
        'matched', 'no_movement', 'awaited', 'resolves', 'over', 'under', 'duplicate', 'missing_here', 'missing_there',
        'status_conflict', 'fee_mismatch', 'other_sub_account')),
    rule text NOT NULL,
    reason text NOT NULL,
    happened_at timestamptz NOT NULL,
    receipt text NOT NULL,
    difference bigint NOT NULL,
    line_ids bigint[] NOT NULL,
    entry_ids bigint[] NOT NULL,
    payout_id bigint,
    PRIMARY KEY (ledger_id, run_id, number),
    FOREIGN KEY (ledger_id, run_id) REFERENCES reconciliation_runs
);
CREATE INDEX reconciliation_decisions_breaks ON reconciliation_decisions (ledger_id, run_id, number)
    WHERE state NOT IN ('matched', 'no_movement', 'awaited');

CALL make_append_only('reconciliation_runs', 'reconciliation_decisions');
