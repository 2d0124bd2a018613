-- Money of a receipt moves between its parts with an event of that version and an entry of the kind that moves it so, about this
-- receipt and over that amount. The same moves stand in ledger/collections/receipt.py; a test compares the two lists.

CREATE TABLE receipt_moves (
    event text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    kind text NOT NULL,  -- of the entry
    PRIMARY KEY (event, source, target)
);
INSERT INTO receipt_moves VALUES
    ('allocated', 'unallocated', 'allocated', 'collection.allocated'),
    ('allocated', 'suspended', 'allocated', 'collection.allocated'),
    ('undone', 'allocated', 'unallocated', 'collection.undone'),
    ('undone', 'allocated', 'suspended', 'collection.undone'),
    ('parked', 'unallocated', 'suspended', 'collection.parked'),
    ('return_reserved', 'unallocated', 'returning', 'collection.return_reserved'),
    ('return_reserved', 'suspended', 'returning', 'collection.return_reserved'),
    ('returned', 'returning', 'returned', 'collection.returned'),
    ('return_failed', 'returning', 'suspended', 'collection.return_failed'),
    ('taken_back', 'unallocated', 'returned', 'collection.taken_back'),
    ('taken_back', 'suspended', 'returned', 'collection.taken_back');
CALL make_append_only('receipt_moves');
REVOKE INSERT ON receipt_moves FROM daftari_app;

-- The receipt as the subject of its entries, as ledger/collections/receipt.py writes it; a test compares the two.
CREATE FUNCTION receipt_subject(provider text, receipt text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN provider || '/' || CASE WHEN length(provider || '/' || receipt) <= 64 THEN receipt
    ELSE left(encode(sha256(convert_to(receipt, 'UTF8')), 'hex'), 40) END;

-- About the receipt, of the kind, with a line over the amount.
CREATE FUNCTION receipt_entry_fits(wanted_ledger integer, entry bigint, wanted_kind text, wanted_provider text,
    wanted_receipt text, wanted_currency text, wanted_amount bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM public.journal_entries AS e
    WHERE e.ledger_id = wanted_ledger AND e.id = entry AND e.kind = wanted_kind AND e.subject_kind = 'collection'
      AND e.subject_id = public.receipt_subject(wanted_provider, wanted_receipt)
      AND EXISTS (SELECT FROM public.postings AS p WHERE p.ledger_id = wanted_ledger AND p.entry_id = e.id
          AND p.currency = wanted_currency AND p.amount = wanted_amount)
);

CREATE FUNCTION receipts_must_be_booked() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT r.id INTO stray
    FROM added AS r
    LEFT JOIN public.receipt_events AS v ON v.ledger_id = r.ledger_id AND v.receipt_id = r.id AND v.version = 1
    WHERE r.version <> 1 OR r.unallocated <> r.amount OR v.event IS DISTINCT FROM 'received' OR v.amount <> r.amount
       OR NOT public.receipt_entry_fits(
           r.ledger_id, v.entry_id, 'collection.received', r.provider, r.receipt, r.currency, r.amount)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'receipt % begins without its event, or without the entry that books it', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_follows_its_entry', TABLE = 'receipts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER receipts_are_booked AFTER INSERT ON receipts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION receipts_must_be_booked();

CREATE FUNCTION receipts_must_follow_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT r.id INTO stray
    FROM changed AS r
    LEFT JOIN former AS f ON f.ledger_id = r.ledger_id AND f.id = r.id
    LEFT JOIN public.receipt_events AS v ON v.ledger_id = r.ledger_id AND v.receipt_id = r.id AND v.version = r.version
    WHERE r.version IS DISTINCT FROM f.version + 1
       OR (r.provider, r.shortcode, r.receipt, r.currency, r.amount, r.payer_form, r.payer_shown, r.reference_index,
           r.reference_shown, r.sealed, r.completed_at, r.created_at)
          IS DISTINCT FROM
          (f.provider, f.shortcode, f.receipt, f.currency, f.amount, f.payer_form, f.payer_shown, f.reference_index,
           f.reference_shown, f.sealed, f.completed_at, f.created_at)
       OR NOT EXISTS (
           SELECT FROM public.receipt_moves AS m
           WHERE m.event = v.event
             AND (r.unallocated, r.suspended, r.allocated, r.returning_now, r.returned) = (
                 f.unallocated + v.amount * ((m.target = 'unallocated')::int - (m.source = 'unallocated')::int),
                 f.suspended + v.amount * ((m.target = 'suspended')::int - (m.source = 'suspended')::int),
                 f.allocated + v.amount * ((m.target = 'allocated')::int - (m.source = 'allocated')::int),
                 f.returning_now + v.amount * ((m.target = 'returning')::int - (m.source = 'returning')::int),
                 f.returned + v.amount * ((m.target = 'returned')::int - (m.source = 'returned')::int))
             AND public.receipt_entry_fits(r.ledger_id, v.entry_id, m.kind, r.provider, r.receipt, r.currency, v.amount))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'money of receipt % moves without its event, or without the entry that moves it', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_follows_its_entry', TABLE = 'receipts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER receipts_follow_entries AFTER UPDATE ON receipts
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION receipts_must_follow_entries();

CREATE FUNCTION receipt_events_must_tell_a_move() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.receipt_id INTO stray
    FROM added AS v
    LEFT JOIN public.receipts AS r ON r.ledger_id = v.ledger_id AND r.id = v.receipt_id
    WHERE v.version IS DISTINCT FROM r.version
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of receipt % tells of a move that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_event_tells_a_move', TABLE = 'receipt_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER receipt_events_tell_a_move AFTER INSERT ON receipt_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION receipt_events_must_tell_a_move();

-- Each allocation is made by the entry of one move, and undone by the entry that reverses it; each such move has its allocation.
-- So what is allocated of a receipt is what its living allocations sum up to.
CREATE FUNCTION allocations_must_have_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT a.id INTO stray
    FROM touched AS a
    LEFT JOIN public.receipt_events AS made ON made.ledger_id = a.ledger_id AND made.entry_id = a.entry_id
    LEFT JOIN public.receipt_events AS undone ON undone.ledger_id = a.ledger_id AND undone.entry_id = a.undone_entry_id
    LEFT JOIN public.journal_entries AS e ON e.ledger_id = a.ledger_id AND e.id = a.undone_entry_id
    WHERE (made.receipt_id, made.event, made.amount) IS DISTINCT FROM (a.receipt_id, 'allocated', a.amount)
       OR a.undone_entry_id IS NOT NULL AND (undone.receipt_id, undone.event, undone.amount, e.reverses_id)
          IS DISTINCT FROM (a.receipt_id, 'undone', a.amount, a.entry_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'allocation % is not made or undone by its own entry', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'allocation_has_its_entry', TABLE = 'allocations';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER allocations_have_entries_when_made AFTER INSERT ON allocations
    REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION allocations_must_have_entries();
CREATE TRIGGER allocations_have_entries_when_undone AFTER UPDATE ON allocations
    REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION allocations_must_have_entries();

CREATE FUNCTION receipt_events_must_have_allocations() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.receipt_id INTO stray
    FROM added AS v
    WHERE v.event IN ('allocated', 'undone') AND NOT EXISTS (
        SELECT FROM public.allocations AS a
        WHERE a.ledger_id = v.ledger_id AND a.receipt_id = v.receipt_id
          AND CASE v.event WHEN 'allocated' THEN a.entry_id ELSE a.undone_entry_id END = v.entry_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of receipt % allocates or takes back without the allocation', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'allocation_has_its_entry', TABLE = 'receipt_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER receipt_events_have_allocations AFTER INSERT ON receipt_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION receipt_events_must_have_allocations();

CREATE FUNCTION allocations_must_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF OLD.undone_entry_id IS NOT NULL OR (to_jsonb(NEW) - 'undone_entry_id') <> (to_jsonb(OLD) - 'undone_entry_id') THEN
        RAISE EXCEPTION 'an allocation is undone once and otherwise stays as it was made'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'allocation_is_undone_once', TABLE = 'allocations';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER allocations_stay BEFORE UPDATE ON allocations
    FOR EACH ROW EXECUTE FUNCTION allocations_must_stay();

-- What payers type means one target for as long as it means anything.
CREATE FUNCTION collection_references_must_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF OLD.retired_at IS NOT NULL OR (to_jsonb(NEW) - 'retired_at') <> (to_jsonb(OLD) - 'retired_at') THEN
        RAISE EXCEPTION 'a reference is retired once and otherwise stays as it was made'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'collection_reference_is_retired_once',
                TABLE = 'collection_references';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER collection_references_stay BEFORE UPDATE ON collection_references
    FOR EACH ROW EXECUTE FUNCTION collection_references_must_stay();
