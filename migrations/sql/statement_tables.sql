-- Statements of providers. The account is the one of the books that stands for the provider's: its float, or the charges owed.

CREATE TABLE statement_files (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    bytes bigint NOT NULL,
    actor text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts,
    CONSTRAINT statement_files_are_kept_once UNIQUE (ledger_id, account_id, sha256)
);

-- The bytes, sealed: statements name people.
CREATE TABLE statement_chunks (
    ledger_id integer NOT NULL,
    file_id bigint NOT NULL,
    number integer NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (ledger_id, file_id, number),
    FOREIGN KEY (ledger_id, file_id) REFERENCES statement_files
);

-- One per try: a refused file may be tried again with a newer version, a file taken in is done.
CREATE TABLE statement_imports (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    file_id bigint NOT NULL,
    verdict text NOT NULL CONSTRAINT statement_imports_verdict_is_known CHECK (verdict IN ('accepted', 'refused')),
    reason text CONSTRAINT statement_imports_refused_have_a_reason CHECK ((verdict = 'refused') = (reason IS NOT NULL)),
    lines integer NOT NULL,
    added integer NOT NULL,
    from_at timestamptz,
    until_at timestamptz,
    opening bigint,
    closing bigint,
    actor text NOT NULL,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, file_id) REFERENCES statement_files,
    CONSTRAINT statement_imports_add_what_they_have CHECK (0 <= added AND added <= lines),
    CONSTRAINT statement_imports_refused_add_nothing CHECK (verdict = 'accepted' OR lines = 0)
);
CREATE UNIQUE INDEX statement_imports_accept_once ON statement_imports (ledger_id, file_id) WHERE verdict = 'accepted';

-- The file is the first that showed the line. The digest is of receipt, details, amount and status; the ordinal counts lines alike in one file. So a line is the same line in
-- every file that shows it.
CREATE TABLE statement_lines (
    ledger_id integer NOT NULL,
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    file_id bigint NOT NULL,
    digest bytea NOT NULL,
    ordinal integer NOT NULL,
    position integer NOT NULL,
    receipt text NOT NULL,
    completed_at timestamptz NOT NULL,
    kind text NOT NULL CONSTRAINT statement_lines_kind_is_known
        CHECK (kind IN ('collection', 'payout', 'charge', 'charge_reversal', 'reversal', 'transfer', 'other')),
    status text NOT NULL CONSTRAINT statement_lines_status_is_known CHECK (status IN ('completed', 'failed', 'pending')),
    amount bigint NOT NULL CONSTRAINT statement_lines_have_an_amount CHECK (amount <> 0),
    balance bigint,
    details text NOT NULL,
    originator text,
    party text,
    reference text,
    linked_receipt text,
    PRIMARY KEY (ledger_id, account_id, id),
    FOREIGN KEY (ledger_id, file_id) REFERENCES statement_files,
    CONSTRAINT statement_lines_are_taken_in_once UNIQUE (ledger_id, account_id, digest, ordinal)
);
CREATE INDEX statement_lines_by_time ON statement_lines (ledger_id, account_id, completed_at);

CALL make_append_only('statement_files', 'statement_chunks', 'statement_imports', 'statement_lines');
REVOKE SELECT ON statement_chunks FROM daftari_reader;
