-- A prompt's intent never changes, its version counts every change, each change has its event along a drawn edge, and what it
-- is paid by is a receipt of its shortcode over its amount. The same edges stand in ledger/collections/prompt.py; a test
-- compares the two lists.

CREATE TABLE prompt_edges (
    event text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    PRIMARY KEY (event, source, target)
);
INSERT INTO prompt_edges VALUES
    ('started', 'REQUESTED', 'SUBMITTING'),
    ('not_sent', 'SUBMITTING', 'REQUESTED'),
    ('taken_in', 'SUBMITTING', 'WAITING'), ('taken_in', 'UNKNOWN', 'WAITING'),
    ('lost', 'SUBMITTING', 'UNKNOWN'), ('lost', 'WAITING', 'UNKNOWN'),
    ('learned', 'UNKNOWN', 'UNKNOWN'),
    ('told_paid', 'WAITING', 'WAITING'), ('told_paid', 'UNKNOWN', 'UNKNOWN'),
    ('paid', 'REQUESTED', 'PAID'), ('paid', 'SUBMITTING', 'PAID'), ('paid', 'WAITING', 'PAID'), ('paid', 'UNKNOWN', 'PAID'),
    ('paid', 'FAILED', 'PAID'),
    ('failed', 'REQUESTED', 'FAILED'), ('failed', 'SUBMITTING', 'FAILED'), ('failed', 'WAITING', 'FAILED'),
    ('failed', 'UNKNOWN', 'FAILED');
CALL make_append_only('prompt_edges');
REVOKE INSERT ON prompt_edges FROM daftari_app;

CREATE FUNCTION prompts_must_follow_events() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT p.id INTO stray
    FROM changed AS p
    LEFT JOIN former AS f ON f.ledger_id = p.ledger_id AND f.id = p.id
    LEFT JOIN public.prompt_events AS v ON v.ledger_id = p.ledger_id AND v.prompt_id = p.id AND v.version = p.version
    LEFT JOIN public.receipts AS r ON r.ledger_id = p.ledger_id AND r.id = p.receipt_id
    WHERE p.version IS DISTINCT FROM f.version + 1
       OR v.state IS DISTINCT FROM p.state
       OR NOT EXISTS (
           SELECT FROM public.prompt_edges AS e WHERE e.event = v.event AND e.source = f.state AND e.target = p.state)
       OR p.receipt_id IS NOT NULL AND (r.provider, r.shortcode, r.currency, r.amount)
          IS DISTINCT FROM (p.rail, p.shortcode, p.currency, p.amount)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'prompt % changes without its event, against the drawn edges, or without its receipt', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'prompt_follows_its_event', TABLE = 'prompts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER prompts_follow_events AFTER UPDATE ON prompts
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION prompts_must_follow_events();

CREATE FUNCTION prompts_must_keep_their_intent() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    may_change text[] := ARRAY['state', 'version', 'checkout_index', 'checkout_sealed', 'told_paid_at', 'receipt_id',
        'failure_code', 'failure_text', 'updated_at'];
BEGIN
    IF to_jsonb(NEW) - may_change <> to_jsonb(OLD) - may_change
       OR OLD.checkout_index IS NOT NULL AND (NEW.checkout_index, NEW.checkout_sealed)
          IS DISTINCT FROM (OLD.checkout_index, OLD.checkout_sealed)
       OR OLD.told_paid_at IS NOT NULL AND NEW.told_paid_at IS DISTINCT FROM OLD.told_paid_at
       OR OLD.receipt_id IS NOT NULL AND NEW.receipt_id IS DISTINCT FROM OLD.receipt_id THEN
        RAISE EXCEPTION 'what a prompt asked for, and what became known of it, never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'prompt_intent_is_fixed', TABLE = 'prompts';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER prompts_keep_their_intent BEFORE UPDATE ON prompts
    FOR EACH ROW EXECUTE FUNCTION prompts_must_keep_their_intent();

CREATE FUNCTION prompts_must_begin_requested() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT p.id INTO stray
    FROM added AS p
    LEFT JOIN public.prompt_events AS v ON v.ledger_id = p.ledger_id AND v.prompt_id = p.id AND v.version = 1
    WHERE (p.version, p.state, v.state, v.event) IS DISTINCT FROM (1, 'REQUESTED', 'REQUESTED', 'requested')
       OR num_nonnulls(p.checkout_index, p.told_paid_at, p.receipt_id, p.failure_code) <> 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'prompt % begins otherwise than requested, or without its event', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'prompt_follows_its_event', TABLE = 'prompts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER prompts_begin_requested AFTER INSERT ON prompts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION prompts_must_begin_requested();

CREATE FUNCTION prompt_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.prompt_id INTO stray
    FROM added AS v
    LEFT JOIN public.prompts AS p ON p.ledger_id = v.ledger_id AND p.id = v.prompt_id
    WHERE (v.version, v.state) IS DISTINCT FROM (p.version, p.state)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of prompt % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'prompt_event_tells_a_change', TABLE = 'prompt_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER prompt_events_tell_a_change AFTER INSERT ON prompt_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION prompt_events_must_tell_a_change();
