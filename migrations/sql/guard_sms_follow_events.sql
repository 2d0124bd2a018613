-- What a text message says and to whom never changes, and each change of it has its event along a drawn edge. The same edges
-- stand in ledger/sms/message.py; a test compares the two lists.

CREATE TABLE sms_edges (
    event text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    PRIMARY KEY (event, source, target)
);
INSERT INTO sms_edges VALUES
    ('sent', 'QUEUED', 'SENT'), ('sent', 'UNKNOWN', 'SENT'), ('rerouted', 'QUEUED', 'QUEUED'),
    ('refused', 'QUEUED', 'FAILED'), ('withheld', 'QUEUED', 'FAILED'), ('lost', 'QUEUED', 'UNKNOWN'), ('delivered', 'SENT', 'DELIVERED'),
    ('undelivered', 'SENT', 'FAILED'), ('resent', 'FAILED', 'QUEUED');
CALL make_append_only('sms_edges');
REVOKE INSERT ON sms_edges FROM daftari_app;

CREATE FUNCTION sms_must_follow_events() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT m.id INTO stray
    FROM changed AS m
    LEFT JOIN former AS f ON f.ledger_id = m.ledger_id AND f.id = m.id
    LEFT JOIN public.sms_events AS v ON v.ledger_id = m.ledger_id AND v.sms_id = m.id AND v.version = m.version
    WHERE m.version IS DISTINCT FROM f.version + 1
       OR v.state IS DISTINCT FROM m.state
       OR NOT EXISTS (
           SELECT FROM public.sms_edges AS e WHERE e.event = v.event AND e.source = f.state AND e.target = m.state)
       OR m.provider_message_id IS DISTINCT FROM f.provider_message_id AND v.event <> 'sent'
       OR (m.provider, m.sender) IS DISTINCT FROM (f.provider, f.sender) AND v.event NOT IN ('rerouted', 'resent')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'message % changes without its event, or against the drawn edges', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sms_follows_its_event', TABLE = 'sms_messages';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER sms_follow_events AFTER UPDATE ON sms_messages
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION sms_must_follow_events();

CREATE FUNCTION sms_must_keep_its_words() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    may_change text[] := ARRAY['state', 'version', 'provider', 'sender', 'provider_message_id', 'failure_code', 'updated_at'];
BEGIN
    IF to_jsonb(NEW) - may_change <> to_jsonb(OLD) - may_change THEN
        RAISE EXCEPTION 'what a message says, and to whom, never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sms_words_are_fixed', TABLE = 'sms_messages';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER sms_keep_their_words BEFORE UPDATE ON sms_messages
    FOR EACH ROW EXECUTE FUNCTION sms_must_keep_its_words();

CREATE FUNCTION sms_must_begin_queued() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT m.id INTO stray
    FROM added AS m
    LEFT JOIN public.payouts AS p ON p.ledger_id = m.ledger_id AND p.id = m.payout_id
    LEFT JOIN public.sms_events AS v ON v.ledger_id = m.ledger_id AND v.sms_id = m.id AND v.version = 1
    WHERE (m.version, m.state, v.state, v.event) IS DISTINCT FROM (1, 'QUEUED', 'QUEUED', 'queued')
       OR num_nonnulls(m.provider_message_id, m.failure_code) <> 0
       OR m.party_id IS DISTINCT FROM p.party_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'message % begins otherwise than queued, without its event, or to somebody else', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sms_follows_its_event', TABLE = 'sms_messages';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER sms_begin_queued AFTER INSERT ON sms_messages
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION sms_must_begin_queued();

CREATE FUNCTION sms_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.sms_id INTO stray
    FROM added AS v
    LEFT JOIN public.sms_messages AS m ON m.ledger_id = v.ledger_id AND m.id = v.sms_id
    WHERE (v.version, v.state) IS DISTINCT FROM (m.version, m.state)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of message % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sms_event_tells_a_change', TABLE = 'sms_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER sms_events_tell_a_change AFTER INSERT ON sms_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION sms_events_must_tell_a_change();
