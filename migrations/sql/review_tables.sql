-- How a case of a review queue ended: by whom, on what evidence, with which entry. Written once.

CREATE TABLE review_resolutions (
    ledger_id integer NOT NULL,
    review_id bigint NOT NULL,
    verb text NOT NULL CONSTRAINT review_resolutions_verb_is_known
        CHECK (verb IN ('settle', 'release', 'charge', 'claw-back', 'dismiss', 'answered')),
    evidence text NOT NULL CONSTRAINT review_resolutions_have_evidence CHECK (length(evidence) BETWEEN 1 AND 1000),
    actor text NOT NULL,
    entry_id bigint,
    resolved_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, review_id),
    FOREIGN KEY (ledger_id, review_id) REFERENCES reviews,
    CONSTRAINT review_resolutions_that_move_money_post CHECK
        ((verb IN ('settle', 'release', 'charge', 'claw-back')) = (entry_id IS NOT NULL))
);
CALL make_append_only('review_resolutions');

-- What a provider says it holds, as it said it: the balances in a payment's result and in answers to balance queries.
CREATE TABLE float_assertions (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    provider text NOT NULL,
    shortcode text NOT NULL,
    sub_account text NOT NULL,
    currency text NOT NULL REFERENCES currencies,
    available bigint NOT NULL,
    asserted_at timestamptz NOT NULL,
    source text NOT NULL CONSTRAINT float_assertions_source_is_known CHECK (source IN ('payout', 'query', 'statement')),
    payout_id bigint,
    PRIMARY KEY (ledger_id, id)
);
CREATE INDEX float_assertions_newest
    ON float_assertions (ledger_id, provider, shortcode, sub_account, currency, asserted_at DESC, id DESC);
CALL make_append_only('float_assertions');

-- A question about balances that is under way; its answer comes by callback on a path of its own.
CREATE TABLE balance_queries (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    provider text NOT NULL,
    shortcode text NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT balance_queries_token_hash_is_whole CHECK (length(token_hash) = 32),
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT balance_queries_token_is_unique UNIQUE (ledger_id, token_hash)
);
CALL make_append_only('balance_queries');
