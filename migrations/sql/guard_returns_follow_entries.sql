-- A return begins with the entry that reserves its money, and ends with the one that gives it to the payer or back to suspense:
-- about its receipt, over its amount. Its intent never changes. The same edges stand in ledger/collections/returning.py; a test
-- compares the two lists.

CREATE TABLE return_edges (
    event text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    kind text,  -- of the entry that goes with it; none where no money moves
    PRIMARY KEY (event, source, target)
);
INSERT INTO return_edges VALUES
    ('started', 'REQUESTED', 'SUBMITTING', NULL),
    ('not_sent', 'SUBMITTING', 'REQUESTED', NULL),
    ('taken_in', 'SUBMITTING', 'SUBMITTED', NULL), ('taken_in', 'UNKNOWN', 'SUBMITTED', NULL),
    ('lost', 'SUBMITTING', 'UNKNOWN', NULL), ('lost', 'SUBMITTED', 'UNKNOWN', NULL);
INSERT INTO return_edges
SELECT end_.event, source, end_.target, end_.kind
FROM (VALUES ('returned', 'RETURNED', 'collection.returned'), ('failed', 'FAILED', 'collection.return_failed'))
    AS end_ (event, target, kind)
CROSS JOIN unnest(ARRAY['REQUESTED', 'SUBMITTING', 'SUBMITTED', 'UNKNOWN']) AS source;
CALL make_append_only('return_edges');
REVOKE INSERT ON return_edges FROM daftari_app;

CREATE FUNCTION return_entry_fits(wanted_ledger integer, wanted_receipt bigint, entry bigint, wanted_kind text,
    wanted_currency text, wanted_amount bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM public.receipts AS r WHERE r.ledger_id = wanted_ledger AND r.id = wanted_receipt
      AND public.receipt_entry_fits(wanted_ledger, entry, wanted_kind, r.provider, r.receipt, wanted_currency, wanted_amount)
);

CREATE FUNCTION returns_must_follow_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT t.id INTO stray
    FROM changed AS t
    LEFT JOIN former AS f ON f.ledger_id = t.ledger_id AND f.id = t.id
    LEFT JOIN public.return_events AS v ON v.ledger_id = t.ledger_id AND v.return_id = t.id AND v.version = t.version
    LEFT JOIN public.return_edges AS e ON e.event = v.event AND e.source = f.state AND e.target = t.state
    WHERE t.version IS DISTINCT FROM f.version + 1 OR v.state IS DISTINCT FROM t.state OR e.event IS NULL
       OR (t.receipt_id, t.rail, t.shortcode, t.currency, t.amount, t.reason, t.reserve_entry_id, t.created_at)
          IS DISTINCT FROM
          (f.receipt_id, f.rail, f.shortcode, f.currency, f.amount, f.reason, f.reserve_entry_id, f.created_at)
       OR f.conversation IS NOT NULL AND t.conversation IS DISTINCT FROM f.conversation
       OR f.return_receipt IS NOT NULL AND t.return_receipt IS DISTINCT FROM f.return_receipt
       OR CASE WHEN e.kind IS NULL THEN v.entry_id IS NOT NULL
          ELSE NOT public.return_entry_fits(t.ledger_id, t.receipt_id, v.entry_id, e.kind, t.currency, t.amount) END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'return % changes without its event, or without the entry that this change posts', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'return_follows_its_entry', TABLE = 'returns';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER returns_follow_entries AFTER UPDATE ON returns
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION returns_must_follow_entries();

CREATE FUNCTION returns_must_begin_reserved() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT t.id INTO stray
    FROM added AS t
    LEFT JOIN public.return_events AS v ON v.ledger_id = t.ledger_id AND v.return_id = t.id AND v.version = 1
    WHERE (t.version, t.state, v.state, v.event, v.entry_id)
          IS DISTINCT FROM (1, 'REQUESTED', 'REQUESTED', 'requested', t.reserve_entry_id)
       OR num_nonnulls(t.conversation, t.return_receipt, t.failure_code) <> 0
       OR NOT public.return_entry_fits(
           t.ledger_id, t.receipt_id, t.reserve_entry_id, 'collection.return_reserved', t.currency, t.amount)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'return % begins without its event, or without the entry that reserves its money', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'return_follows_its_entry', TABLE = 'returns';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER returns_begin_reserved AFTER INSERT ON returns
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION returns_must_begin_reserved();

CREATE FUNCTION return_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.return_id INTO stray
    FROM added AS v
    LEFT JOIN public.returns AS t ON t.ledger_id = v.ledger_id AND t.id = v.return_id
    WHERE (v.version, v.state) IS DISTINCT FROM (t.version, t.state)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of return % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'return_event_tells_a_change', TABLE = 'return_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER return_events_tell_a_change AFTER INSERT ON return_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION return_events_must_tell_a_change();
