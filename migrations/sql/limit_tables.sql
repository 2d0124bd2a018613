-- What a partner may pay out within a window, in all and to one payee; and the switches that stop money.

-- Append-only: the newest row of a (partner, scope, span) is in force, so that it is known who allowed what and when.
CREATE TABLE payout_limits (
    ledger_id integer NOT NULL,
    partner_id bigint NOT NULL,
    scope text NOT NULL CONSTRAINT payout_limits_scope_is_known CHECK (scope IN ('partner', 'payee')),
    span text NOT NULL CONSTRAINT payout_limits_span_is_known CHECK (span IN ('hour', 'day')),
    id bigint NOT NULL,
    amount_max bigint CONSTRAINT payout_limits_amount_not_negative CHECK (amount_max >= 0),
    count_max bigint CONSTRAINT payout_limits_count_not_negative CHECK (count_max >= 0),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, partner_id, scope, span, id),
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners
);
CALL make_append_only('payout_limits');

-- What was asked for within a window, counted under the row's lock in the transaction that reserves the money. The payee is a
-- keyed hash; empty for the partner's whole.
CREATE TABLE payout_usage (
    ledger_id integer NOT NULL,
    partner_id bigint NOT NULL,
    payee bytea NOT NULL,
    span text NOT NULL,
    starts_at timestamptz NOT NULL,
    amount bigint NOT NULL DEFAULT 0 CONSTRAINT payout_usage_amount_not_negative CHECK (amount >= 0),
    count bigint NOT NULL DEFAULT 0 CONSTRAINT payout_usage_count_not_negative CHECK (count >= 0),
    PRIMARY KEY (ledger_id, partner_id, payee, span, starts_at),
    FOREIGN KEY (ledger_id, partner_id) REFERENCES partners
);
CALL keep_rows('payout_usage');
GRANT UPDATE (amount, count) ON payout_usage TO daftari_app;

-- A rail that is stopped takes no request and gets no instruction until it is resumed.
CREATE TABLE rail_stops (
    ledger_id integer NOT NULL REFERENCES ledgers,
    rail text NOT NULL,
    id bigint NOT NULL,
    reason text NOT NULL CONSTRAINT rail_stops_have_a_reason CHECK (length(reason) BETWEEN 1 AND 500),
    stopped_by text NOT NULL,
    stopped_at timestamptz NOT NULL,
    resumed_by text,
    resumed_at timestamptz,
    PRIMARY KEY (ledger_id, rail, id),
    CONSTRAINT rail_stops_resume_is_whole CHECK ((resumed_by IS NULL) = (resumed_at IS NULL))
);
CREATE UNIQUE INDEX rail_stops_one_at_a_time ON rail_stops (ledger_id, rail) WHERE resumed_at IS NULL;
CALL keep_rows('rail_stops');
GRANT UPDATE (resumed_by, resumed_at) ON rail_stops TO daftari_app;
