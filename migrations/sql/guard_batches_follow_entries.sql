-- A batch changes along the drawn moves, each with an event of its version and, where codes gain or lose their worth, an entry of
-- a fitting kind about this batch. The same moves stand in ledger/promotions/batch.py; a test compares the two.

CREATE TABLE promo_batch_moves (
    event text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    kinds text[] NOT NULL,  -- of the entry that goes with it; none where nothing gains or loses worth
    PRIMARY KEY (event, source, target)
);
INSERT INTO promo_batch_moves VALUES
    ('generated', 'DRAFT', 'DRAFT', '{promotion.issued}'),
    ('imported', 'DRAFT', 'DRAFT', '{promotion.issued}'),
    ('exported', 'DRAFT', 'DRAFT', '{}'),
    ('exported', 'ACTIVE', 'ACTIVE', '{}'),
    ('exported', 'PAUSED', 'PAUSED', '{}'),
    ('activated', 'DRAFT', 'ACTIVE', '{promotion.activated}'),
    ('paused', 'ACTIVE', 'PAUSED', '{}'),
    ('resumed', 'PAUSED', 'ACTIVE', '{}'),
    ('disabled', 'DRAFT', 'DRAFT', '{promotion.voided}'),
    ('disabled', 'ACTIVE', 'ACTIVE', '{promotion.voided}'),
    ('disabled', 'PAUSED', 'PAUSED', '{promotion.voided}'),
    ('stolen', 'DRAFT', 'DRAFT', '{promotion.voided}'),
    ('stolen', 'ACTIVE', 'ACTIVE', '{promotion.voided}'),
    ('stolen', 'PAUSED', 'PAUSED', '{promotion.voided}'),
    ('voided', 'DRAFT', 'DRAFT', '{promotion.voided}'),
    ('voided', 'ACTIVE', 'ACTIVE', '{promotion.voided}'),
    ('voided', 'PAUSED', 'PAUSED', '{promotion.voided}'),
    ('expired', 'DRAFT', 'EXPIRED', '{promotion.expired}'),
    ('expired', 'ACTIVE', 'EXPIRED', '{promotion.expired}'),
    ('expired', 'PAUSED', 'EXPIRED', '{promotion.expired}'),
    ('cancelled', 'DRAFT', 'CANCELLED', '{promotion.cancelled}'),
    ('cancelled', 'ACTIVE', 'CANCELLED', '{promotion.cancelled}'),
    ('cancelled', 'PAUSED', 'CANCELLED', '{promotion.cancelled}');
CALL make_append_only('promo_batch_moves');
REVOKE INSERT ON promo_batch_moves FROM daftari_app;

-- "batch_..." as ledger/ids.py writes it; a test compares the two.
CREATE FUNCTION promo_batch_public_id(id bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp
RETURN 'batch_' || substr(public.payout_public_id(id), 5);

-- About the batch, of a kind, with a line over the amount.
CREATE FUNCTION promo_entry_fits(wanted_ledger integer, batch bigint, entry bigint, wanted_kinds text[], wanted_amount bigint)
    RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM public.journal_entries AS e
    WHERE e.ledger_id = wanted_ledger AND e.id = entry AND e.kind = ANY (wanted_kinds)
      AND e.subject_kind IN ('promotion', 'promotion_change')
      AND split_part(e.subject_id, '/', 1) = public.promo_batch_public_id(batch)
      AND EXISTS (SELECT FROM public.postings AS p
          WHERE p.ledger_id = wanted_ledger AND p.entry_id = e.id AND p.amount = wanted_amount)
);

-- What never changes of a batch, and what only its codes and redemptions change. A statement of anybody's own is at depth 1.
CREATE FUNCTION promo_batches_must_move_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.ledger_id, NEW.id, NEW.code, NEW.campaign_id, NEW.partner_id, NEW.currency, NEW.amount, NEW.count, NEW.funding,
        NEW.shortcode, NEW.assignee, NEW.expires_at, NEW.second_person, NEW.created_by, NEW.created_at)
       IS DISTINCT FROM
       (OLD.ledger_id, OLD.id, OLD.code, OLD.campaign_id, OLD.partner_id, OLD.currency, OLD.amount, OLD.count, OLD.funding,
        OLD.shortcode, OLD.assignee, OLD.expires_at, OLD.second_person, OLD.created_by, OLD.created_at)
       OR (OLD.activated_at IS NOT NULL
           AND (NEW.activated_by, NEW.activated_at) IS DISTINCT FROM (OLD.activated_by, OLD.activated_at))
       OR (OLD.exported_at IS NOT NULL AND NEW.exported_at IS DISTINCT FROM OLD.exported_at)
       OR NEW.version NOT IN (OLD.version, OLD.version + 1)
       OR (NEW.version = OLD.version AND (NEW.state, NEW.activated_at, NEW.exported_at)
           IS DISTINCT FROM (OLD.state, OLD.activated_at, OLD.exported_at)) THEN
        RAISE EXCEPTION 'what was agreed of a batch never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_batch_intent_is_fixed', TABLE = 'promo_batches';
    END IF;
    IF pg_trigger_depth() = 1 AND (NEW.issued, NEW.live, NEW.redeemed, NEW.failed)
       IS DISTINCT FROM (OLD.issued, OLD.live, OLD.redeemed, OLD.failed) THEN
        RAISE EXCEPTION 'the counts of a batch follow from its codes and redemptions alone'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_batch_counts_follow', TABLE = 'promo_batches';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER promo_batches_move_forward BEFORE UPDATE ON promo_batches
    FOR EACH ROW EXECUTE FUNCTION promo_batches_must_move_forward();

CREATE FUNCTION promo_batches_must_begin_as_drafts() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT b.id INTO stray
    FROM added AS b
    LEFT JOIN public.promo_batch_events AS v ON v.ledger_id = b.ledger_id AND v.batch_id = b.id AND v.version = 1
    WHERE (b.version, b.state, v.state, v.event, v.entry_id) IS DISTINCT FROM (1, 'DRAFT', 'DRAFT', 'created', NULL)
       OR (b.issued, b.live, b.redeemed, b.failed) IS DISTINCT FROM (0, 0, 0, 0)
       OR b.activated_at IS NOT NULL OR b.exported_at IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'batch % does not begin as a draft without codes, with its event', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_batch_follows_its_entry', TABLE = 'promo_batches';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_batches_begin_as_drafts AFTER INSERT ON promo_batches
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION promo_batches_must_begin_as_drafts();

CREATE FUNCTION promo_batches_must_follow_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT b.id INTO stray
    FROM changed AS b
    JOIN former AS f ON f.ledger_id = b.ledger_id AND f.id = b.id AND f.version <> b.version
    LEFT JOIN public.promo_batch_events AS v ON v.ledger_id = b.ledger_id AND v.batch_id = b.id AND v.version = b.version
    LEFT JOIN public.promo_batch_moves AS m ON m.event = v.event AND m.source = f.state AND m.target = b.state
    WHERE v.state IS DISTINCT FROM b.state OR m.event IS NULL
       -- A batch may end, and codes be voided, where nothing was live: then nothing loses worth.
       OR CASE WHEN m.kinds = '{}' OR v.codes = 0 THEN v.entry_id IS NOT NULL
          ELSE NOT public.promo_entry_fits(b.ledger_id, b.id, v.entry_id, m.kinds, v.amount)
               OR v.amount IS DISTINCT FROM b.amount * v.codes END
       OR (b.activated_at IS DISTINCT FROM f.activated_at) <> (v.event = 'activated')
       OR (v.event <> 'exported' AND b.exported_at IS DISTINCT FROM f.exported_at)
       OR (v.event = 'activated' AND (v.recorded_at >= b.expires_at OR v.codes = 0))
       OR (v.event = 'expired' AND v.recorded_at < b.expires_at)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'batch % changes without its event, or without the entry that this change posts', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_batch_follows_its_entry', TABLE = 'promo_batches';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_batches_follow_entries AFTER UPDATE ON promo_batches
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION promo_batches_must_follow_entries();

CREATE FUNCTION promo_batch_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.batch_id INTO stray
    FROM added AS v
    LEFT JOIN public.promo_batches AS b ON b.ledger_id = v.ledger_id AND b.id = v.batch_id
    WHERE (v.version, v.state) IS DISTINCT FROM (b.version, b.state)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of batch % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_batch_event_tells_a_change', TABLE = 'promo_batch_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_batch_events_tell_a_change AFTER INSERT ON promo_batch_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION promo_batch_events_must_tell_a_change();
