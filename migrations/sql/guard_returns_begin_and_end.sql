-- As guard_returns_follow_entries.sql, with returns that the provider made unasked: they begin RETURNED, with the entry by which the
-- money is gone.

CREATE OR REPLACE FUNCTION returns_must_follow_entries() RETURNS trigger
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
       OR (t.receipt_id, t.rail, t.shortcode, t.currency, t.amount, t.reason, t.reserve_entry_id, t.unasked, t.created_at)
          IS DISTINCT FROM
          (f.receipt_id, f.rail, f.shortcode, f.currency, f.amount, f.reason, f.reserve_entry_id, f.unasked, f.created_at)
       OR f.conversation IS NOT NULL AND t.conversation IS DISTINCT FROM f.conversation
       OR f.originator IS NOT NULL AND t.originator IS DISTINCT FROM f.originator
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

CREATE OR REPLACE FUNCTION returns_must_begin_reserved() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT t.id INTO stray
    FROM added AS t
    LEFT JOIN public.return_events AS v ON v.ledger_id = t.ledger_id AND v.return_id = t.id AND v.version = 1
    WHERE (t.version, t.state, v.state, v.event, v.entry_id)
          IS DISTINCT FROM (1, CASE WHEN t.unasked THEN 'RETURNED' ELSE 'REQUESTED' END, t.state,
              CASE WHEN t.unasked THEN 'taken_back' ELSE 'requested' END, t.reserve_entry_id)
       OR num_nonnulls(t.conversation, t.originator, t.failure_code) <> 0 OR (t.return_receipt IS NOT NULL AND NOT t.unasked)
       OR NOT public.return_entry_fits(t.ledger_id, t.receipt_id, t.reserve_entry_id,
           CASE WHEN t.unasked THEN 'collection.taken_back' ELSE 'collection.return_reserved' END, t.currency, t.amount)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'return % begins without its event, or without the entry that reserves its money or tells that it is gone', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'return_follows_its_entry', TABLE = 'returns';
    END IF;
    RETURN NULL;
END $$;
