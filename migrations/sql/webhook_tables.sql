-- Webhooks: where partners are told what became of their payouts, the secrets that sign it, and what is to be told.

-- failing_since: the first try without a success since. probe_at: when a failing endpoint is tried again though nothing is
-- due. recovered_at: what failed before this is due at once.
CREATE TABLE webhook_endpoints (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    partner_id bigint NOT NULL,
    url text NOT NULL CONSTRAINT webhook_endpoints_url_is_short CHECK (length(url) BETWEEN 10 AND 2000),
    request_id text NOT NULL CONSTRAINT webhook_endpoints_request_id_is_short CHECK (length(request_id) BETWEEN 1 AND 64),
    created_at timestamptz NOT NULL,
    failing_since timestamptz,
    probe_at timestamptz,
    recovered_at timestamptz,
    disabled_at timestamptz,
    disabled_why text,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners,
    CONSTRAINT webhook_endpoints_disabled_say_why CHECK ((disabled_at IS NULL) = (disabled_why IS NULL)),
    CONSTRAINT webhook_endpoints_probe_what_fails CHECK ((failing_since IS NULL) = (probe_at IS NULL))
);
CREATE UNIQUE INDEX webhook_endpoints_url_is_told_once ON webhook_endpoints (ledger_id, partner_id, url)
    WHERE disabled_at IS NULL;

-- Sealed for their row. The current one has no end; the one before it signs beside it until its end.
CREATE TABLE webhook_secrets (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    endpoint_id bigint NOT NULL,
    request_id text NOT NULL CONSTRAINT webhook_secrets_request_id_is_short CHECK (length(request_id) BETWEEN 1 AND 64),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    retires_at timestamptz,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, endpoint_id) REFERENCES webhook_endpoints,
    CONSTRAINT webhook_secrets_request_is_answered_once UNIQUE (ledger_id, endpoint_id, request_id)
);
CREATE UNIQUE INDEX webhook_secrets_one_is_current ON webhook_secrets (ledger_id, endpoint_id) WHERE retires_at IS NULL;

-- What is to be told, frozen when it happened; the id is the event's on every try. A ping has no payout.
CREATE TABLE webhook_deliveries (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    endpoint_id bigint NOT NULL,
    payout_id bigint,
    version integer,
    event text NOT NULL,
    payload bytea NOT NULL,
    state text NOT NULL CONSTRAINT webhook_deliveries_state_is_known CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD')),
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    tried_at timestamptz,
    answer text,
    lease_token bigint,
    leased_until timestamptz,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, endpoint_id) REFERENCES webhook_endpoints,
    FOREIGN KEY (ledger_id, payout_id, version) REFERENCES payout_events,
    CONSTRAINT webhook_deliveries_tell_a_change_once UNIQUE (ledger_id, endpoint_id, payout_id, version),
    CONSTRAINT webhook_deliveries_know_their_version CHECK ((payout_id IS NULL) = (version IS NULL)),
    CONSTRAINT webhook_deliveries_lease_is_whole CHECK ((lease_token IS NULL) = (leased_until IS NULL))
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (ledger_id, endpoint_id, due_at) WHERE state = 'PENDING';
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (ledger_id, endpoint_id, id);

CALL keep_rows('webhook_endpoints', 'webhook_secrets', 'webhook_deliveries');
GRANT UPDATE (failing_since, probe_at, recovered_at, disabled_at, disabled_why) ON webhook_endpoints TO daftari_app;
GRANT UPDATE (retires_at) ON webhook_secrets TO daftari_app;
GRANT UPDATE (state, due_at, tries, tried_at, answer, lease_token, leased_until) ON webhook_deliveries TO daftari_app;
