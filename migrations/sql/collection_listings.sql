-- What a provider listed to its end: everything that came in before "until" was in the answer, or is asked for again because lists
-- run late. A list that broke off leaves no row, so the next one begins where the last whole one ended.
CREATE TABLE collection_listings (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    provider text NOT NULL,
    shortcode text NOT NULL,
    until timestamptz NOT NULL,
    listed_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, provider, shortcode) REFERENCES collection_shortcodes
);
CREATE INDEX collection_listings_newest ON collection_listings (ledger_id, provider, shortcode, until);

CALL make_append_only('collection_listings');
