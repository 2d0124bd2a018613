-- What operators are alerted of: one open alert of a subject at a time, and how often it was told. A rail's failures are
-- counted by when they were.

CREATE TABLE alerts (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    kind text NOT NULL CONSTRAINT alerts_kind_is_known CHECK (kind IN ('payouts.failing', 'messages.failing',
        'redemptions.given_up', 'float.low', 'payouts.unknown', 'rail.stopped', 'cases.open')),
    subject text NOT NULL CONSTRAINT alerts_subject_is_short CHECK (length(subject) BETWEEN 1 AND 300),
    summary text NOT NULL CONSTRAINT alerts_summary_is_short CHECK (length(summary) BETWEEN 1 AND 300),
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    notices integer NOT NULL CONSTRAINT alerts_notices_not_negative CHECK (notices >= 0),
    tries integer NOT NULL CONSTRAINT alerts_tries_not_negative CHECK (tries >= 0),
    due_at timestamptz,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT alerts_are_resolved_later CHECK (resolved_at >= opened_at)
);
CREATE UNIQUE INDEX alerts_one_is_open ON alerts (ledger_id, kind, subject) WHERE resolved_at IS NULL;
CREATE INDEX alerts_due ON alerts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payouts_failed ON payouts (updated_at) WHERE state = 'RELEASED';

CALL keep_rows('alerts');
GRANT UPDATE (summary, resolved_at, notices, tries, due_at) ON alerts TO daftari_app;

-- An alert is opened once, and once it is resolved it stays so.
CREATE FUNCTION alerts_must_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.kind, NEW.subject, NEW.opened_at) IS DISTINCT FROM (OLD.kind, OLD.subject, OLD.opened_at)
       OR OLD.resolved_at IS NOT NULL AND NEW.resolved_at IS DISTINCT FROM OLD.resolved_at
       OR NEW.notices < OLD.notices THEN
        RAISE EXCEPTION 'what an alert is about, its end and what was told of it never change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'alerts_stay', TABLE = 'alerts';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER alerts_stay BEFORE UPDATE ON alerts FOR EACH ROW EXECUTE FUNCTION alerts_must_stay();
