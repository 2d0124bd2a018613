-- A redemption takes a live code of an active batch in its time, posts its entry, and rests on a payout that is asked for it alone;
-- it is paid when that is settled, failed when that is released, and tried again by another. No phone exceeds its campaign's
-- limits. The same moves stand in ledger/promotions/redemption.py; a test compares the two.

CREATE TABLE promo_redemption_moves (
    event text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    payouts text[] NOT NULL,  -- where the payout that the event is about may stand then
    PRIMARY KEY (event, source, target)
);
INSERT INTO promo_redemption_moves VALUES
    ('paid', 'PAYING', 'PAID', '{SETTLED}'),
    ('paid', 'FAILED', 'PAID', '{SETTLED}'),
    ('failed', 'PAYING', 'FAILED', '{RELEASED,CANCELLED}'),
    ('disputed', 'FAILED', 'FAILED', '{CONFLICTED}'),
    ('retried', 'FAILED', 'PAYING', '{RESERVED}');
CALL make_append_only('promo_redemption_moves');
REVOKE INSERT ON promo_redemption_moves FROM daftari_app;

-- "rdm_..." as ledger/ids.py writes it; a test compares the two.
CREATE FUNCTION promo_redemption_public_id(id bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp
RETURN 'rdm_' || substr(public.payout_public_id(id), 5);

-- A payout that was just asked for, out of what the batch owes its winners.
CREATE FUNCTION promo_payout_fits(wanted_ledger integer, payout bigint, batch bigint, party bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM public.payouts AS p
    JOIN public.promo_batches AS b ON b.ledger_id = p.ledger_id AND b.id = batch
    WHERE p.ledger_id = wanted_ledger AND p.id = payout AND p.state = 'RESERVED' AND p.purpose = 'promotion' AND p.fee = 0
      AND p.party_id = party AND p.partner_id = b.partner_id AND p.currency = b.currency AND p.amount = b.amount
      AND p.funding = 'liab.payable.winners.' || b.code
);

CREATE FUNCTION promo_redemptions_must_begin_with_a_payout() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT r.id INTO stray
    FROM added AS r
    LEFT JOIN public.promo_batches AS b ON b.ledger_id = r.ledger_id AND b.id = r.batch_id
    LEFT JOIN public.campaigns AS g ON g.ledger_id = r.ledger_id AND g.id = b.campaign_id
    LEFT JOIN public.promo_codes AS c ON c.ledger_id = r.ledger_id AND c.batch_id = r.batch_id AND c.number = r.number
    LEFT JOIN public.promo_redemption_events AS v ON v.ledger_id = r.ledger_id AND v.redemption_id = r.id AND v.version = 1
    WHERE (r.version, r.state, r.tries, r.retry_at, v.state, v.event, v.payout_id)
          IS DISTINCT FROM (1, 'PAYING', 1, NULL, 'PAYING', 'redeemed', r.payout_id)
       OR b.state IS DISTINCT FROM 'ACTIVE' OR r.created_at >= b.expires_at OR r.campaign_id IS DISTINCT FROM b.campaign_id
       OR c.state IS DISTINCT FROM 'REDEEMED'
       OR r.nth > g.per_msisdn_max OR r.nth_of_day > g.per_msisdn_day_max
       OR NOT public.promo_payout_fits(r.ledger_id, r.payout_id, r.batch_id, r.party_id)
       OR NOT EXISTS (
           SELECT FROM public.journal_entries AS e
           JOIN public.postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id AND p.amount = b.amount
           WHERE e.ledger_id = r.ledger_id AND e.id = v.entry_id AND e.kind = 'promotion.redeemed'
             AND e.subject_kind = 'promotion_redemption' AND e.subject_id = public.promo_redemption_public_id(r.id))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'redemption % begins without its code, its entry or its payout, or beyond a limit', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_redemption_follows_its_payout', TABLE = 'promo_redemptions';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_redemptions_begin_with_a_payout AFTER INSERT ON promo_redemptions
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION promo_redemptions_must_begin_with_a_payout();

-- When it is tried again may be put off; all else changes with a version.
CREATE FUNCTION promo_redemptions_must_move_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.ledger_id, NEW.id, NEW.batch_id, NEW.number, NEW.campaign_id, NEW.party_id, NEW.day, NEW.nth, NEW.nth_of_day,
        NEW.session, NEW.created_at)
       IS DISTINCT FROM
       (OLD.ledger_id, OLD.id, OLD.batch_id, OLD.number, OLD.campaign_id, OLD.party_id, OLD.day, OLD.nth, OLD.nth_of_day,
        OLD.session, OLD.created_at)
       OR NEW.version NOT IN (OLD.version, OLD.version + 1)
       OR (NEW.version = OLD.version
           AND (NEW.state, NEW.payout_id, NEW.tries) IS DISTINCT FROM (OLD.state, OLD.payout_id, OLD.tries)) THEN
        RAISE EXCEPTION 'what was redeemed never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_redemption_is_fixed', TABLE = 'promo_redemptions';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER promo_redemptions_move_forward BEFORE UPDATE ON promo_redemptions
    FOR EACH ROW EXECUTE FUNCTION promo_redemptions_must_move_forward();

CREATE FUNCTION promo_redemptions_must_follow_payouts() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT r.id INTO stray
    FROM changed AS r
    JOIN former AS f ON f.ledger_id = r.ledger_id AND f.id = r.id AND f.version <> r.version
    LEFT JOIN public.promo_redemption_events AS v ON v.ledger_id = r.ledger_id AND v.redemption_id = r.id
        AND v.version = r.version
    LEFT JOIN public.promo_redemption_moves AS m ON m.event = v.event AND m.source = f.state AND m.target = r.state
    LEFT JOIN public.payouts AS p ON p.ledger_id = r.ledger_id AND p.id = r.payout_id
    LEFT JOIN public.payouts AS o ON o.ledger_id = r.ledger_id AND o.id = f.payout_id
    WHERE v.state IS DISTINCT FROM r.state OR v.payout_id IS DISTINCT FROM r.payout_id OR m.event IS NULL
       OR NOT p.state = ANY (m.payouts)
       OR CASE WHEN v.event = 'retried'
          THEN r.payout_id = f.payout_id OR r.tries <> f.tries + 1 OR o.state NOT IN ('RELEASED', 'CANCELLED')
               OR NOT public.promo_payout_fits(r.ledger_id, r.payout_id, r.batch_id, r.party_id)
          ELSE r.payout_id <> f.payout_id OR r.tries <> f.tries END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'redemption % changes without its event, or beside its payout', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_redemption_follows_its_payout', TABLE = 'promo_redemptions';
    END IF;
    UPDATE public.promo_batches AS b SET failed = b.failed + n.change
    FROM (SELECT r.ledger_id, r.batch_id,
                 (count(*) FILTER (WHERE r.state = 'FAILED') - count(*) FILTER (WHERE f.state = 'FAILED'))::integer AS change
          FROM changed AS r JOIN former AS f ON f.ledger_id = r.ledger_id AND f.id = r.id
          GROUP BY r.ledger_id, r.batch_id) AS n
    WHERE b.ledger_id = n.ledger_id AND b.id = n.batch_id AND n.change <> 0;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_redemptions_follow_payouts AFTER UPDATE ON promo_redemptions
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION promo_redemptions_must_follow_payouts();

CREATE FUNCTION promo_redemption_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.redemption_id INTO stray
    FROM added AS v
    LEFT JOIN public.promo_redemptions AS r ON r.ledger_id = v.ledger_id AND r.id = v.redemption_id
    WHERE (v.version, v.state) IS DISTINCT FROM (r.version, r.state)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of redemption % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_redemption_event_tells_a_change',
                  TABLE = 'promo_redemption_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_redemption_events_tell_a_change AFTER INSERT ON promo_redemption_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION promo_redemption_events_must_tell_a_change();
