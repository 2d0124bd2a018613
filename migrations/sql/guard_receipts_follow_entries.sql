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

-- About the receipt, of the kind, with a line over the amount.
CREATE FUNCTION receipt_entry_fits(wanted_ledger integer, entry bigint, wanted_kind text, wanted_receipt text,
    wanted_currency text, wanted_amount bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM public.journal_entries AS e
    WHERE e.ledger_id = wanted_ledger AND e.id = entry AND e.kind = wanted_kind AND e.subject_kind = 'collection'
      AND e.reference = wanted_receipt
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
       OR NOT public.receipt_entry_fits(r.ledger_id, v.entry_id, 'collection.received', r.receipt, r.currency, r.amount)
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
    JOIN former AS f ON f.ledger_id = r.ledger_id AND f.id = r.id
    LEFT JOIN public.receipt_events AS v ON v.ledger_id = r.ledger_id AND v.receipt_id = r.id AND v.version = r.version
    WHERE r.version <> f.version + 1
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
             AND public.receipt_entry_fits(r.ledger_id, v.entry_id, m.kind, r.receipt, r.currency, v.amount))
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

-- What is allocated of a receipt is what its living allocations say, each by its own entry; none is undone twice.
CREATE FUNCTION allocations_must_sum_up() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT r.id INTO stray
    FROM (SELECT DISTINCT ledger_id, receipt_id FROM touched) AS t
    JOIN public.receipts AS r ON r.ledger_id = t.ledger_id AND r.id = t.receipt_id
    WHERE r.allocated <> (
        SELECT coalesce(sum(a.amount), 0) FROM public.allocations AS a
        WHERE a.ledger_id = r.ledger_id AND a.receipt_id = r.id AND a.undone_entry_id IS NULL)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the allocations of receipt % are not what is allocated of it', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'allocations_sum_up', TABLE = 'allocations';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER allocations_sum_up_when_made AFTER INSERT ON allocations
    REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION allocations_must_sum_up();
CREATE TRIGGER allocations_sum_up_when_undone AFTER UPDATE ON allocations
    REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION allocations_must_sum_up();

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

-- The other half: what a receipt says is allocated, its allocations hold. Checked at the end, when both are written.
CREATE FUNCTION receipts_must_match_allocations() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.allocated <> (
        SELECT coalesce(sum(a.amount), 0) FROM public.allocations AS a
        WHERE a.ledger_id = NEW.ledger_id AND a.receipt_id = NEW.id AND a.undone_entry_id IS NULL)
       AND NOT EXISTS (SELECT FROM public.receipts AS r
           WHERE r.ledger_id = NEW.ledger_id AND r.id = NEW.id AND r.version <> NEW.version) THEN
        RAISE EXCEPTION 'the allocations of receipt % are not what is allocated of it', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'allocations_sum_up', TABLE = 'receipts';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER receipts_match_allocations AFTER UPDATE OF allocated ON receipts
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.allocated <> OLD.allocated) EXECUTE FUNCTION receipts_must_match_allocations();

-- An order's intent never changes, and its state moves along few edges.
CREATE FUNCTION orders_must_move_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.ledger_id, NEW.id, NEW.partner_id, NEW.reference, NEW.currency, NEW.amount, NEW.expires_at, NEW.created_at)
       IS DISTINCT FROM
       (OLD.ledger_id, OLD.id, OLD.partner_id, OLD.reference, OLD.currency, OLD.amount, OLD.expires_at, OLD.created_at)
       OR NEW.version <> OLD.version + 1
       OR (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN
           (('OPEN', 'PAID'), ('OPEN', 'EXPIRED'), ('OPEN', 'CANCELLED'), ('PAID', 'REVERSED'))) THEN
        RAISE EXCEPTION 'an order does not go from % to % so', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_moves_along_an_edge', TABLE = 'orders';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER orders_move_forward BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_must_move_forward();
