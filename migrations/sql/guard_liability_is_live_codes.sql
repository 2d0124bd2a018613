-- What a batch owes is the face value of its live codes, always: its counts follow its codes, statement by statement, and when a
-- transaction commits, the accounts of every batch it touched hold what the counts say. Whoever posts to such an account touches
-- its batch, so an entry of any kind is asked, not only our own.

CREATE FUNCTION promo_codes_must_be_issued() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    known integer;
    counted integer;
BEGIN
    SELECT count(*) INTO counted FROM (SELECT DISTINCT ledger_id, batch_id FROM added) AS a;
    UPDATE public.promo_batches AS b SET issued = b.issued + n.codes, live = b.live + n.codes
    FROM (SELECT ledger_id, batch_id, count(*)::integer AS codes, count(*) FILTER (WHERE state <> 'LIVE') AS odd,
                 min(number) AS first, max(number) AS last
          FROM added GROUP BY ledger_id, batch_id) AS n
    -- Numbered on without a gap.
    WHERE b.ledger_id = n.ledger_id AND b.id = n.batch_id AND b.state = 'DRAFT' AND n.odd = 0
      AND n.first = b.issued + 1 AND n.last = b.issued + n.codes;
    GET DIAGNOSTICS known = ROW_COUNT;
    IF known <> counted THEN
        RAISE EXCEPTION 'codes are added to drafts, live and numbered on'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_codes_are_issued_in_drafts', TABLE = 'promo_codes';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_codes_are_issued AFTER INSERT ON promo_codes
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION promo_codes_must_be_issued();

CREATE FUNCTION promo_codes_must_leave_once() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray text;
BEGIN
    SELECT encode(f.hash, 'hex') INTO stray
    FROM former AS f
    LEFT JOIN changed AS c ON c.ledger_id = f.ledger_id AND c.hash = f.hash AND c.batch_id = f.batch_id AND c.number = f.number
    LEFT JOIN public.promo_batches AS b ON b.ledger_id = f.ledger_id AND b.id = f.batch_id
    WHERE f.state <> 'LIVE' OR c.state IS NULL OR c.state = 'LIVE'
       OR b.state NOT IN ('DRAFT', 'ACTIVE', 'PAUSED')
       OR (c.state = 'REDEEMED' AND (b.state <> 'ACTIVE' OR NOT EXISTS (
           SELECT FROM public.promo_redemptions AS r
           WHERE r.ledger_id = f.ledger_id AND r.batch_id = f.batch_id AND r.number = f.number)))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a code is live once, and redeemed by a redemption of an active batch alone'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_codes_leave_once', TABLE = 'promo_codes';
    END IF;
    UPDATE public.promo_batches AS b SET live = b.live - n.codes, redeemed = b.redeemed + n.redeemed
    FROM (SELECT ledger_id, batch_id, count(*)::integer AS codes, (count(*) FILTER (WHERE state = 'REDEEMED'))::integer AS redeemed
          FROM changed GROUP BY ledger_id, batch_id) AS n
    WHERE b.ledger_id = n.ledger_id AND b.id = n.batch_id;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_codes_leave_once AFTER UPDATE ON promo_codes
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION promo_codes_must_leave_once();

-- The account of a part has the path and side that the part has, and is new.
CREATE FUNCTION promo_accounts_must_be_of_the_batch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT x.account_id INTO stray
    FROM added AS x
    LEFT JOIN public.promo_batches AS b ON b.ledger_id = x.ledger_id AND b.id = x.batch_id
    LEFT JOIN public.accounts AS a ON a.ledger_id = x.ledger_id AND a.id = x.account_id
    WHERE (a.path, a.currency, a.normal_side) IS DISTINCT FROM (CASE x.part
        WHEN 'liability' THEN 'liab.promo.' WHEN 'payable' THEN 'liab.payable.winners.' ELSE 'memo.promo_unactivated.' END
        || b.code, b.currency, CASE x.part WHEN 'unactivated' THEN 'D' ELSE 'C' END)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % is not the one of its batch', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_accounts_are_of_the_batch', TABLE = 'promo_accounts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_accounts_are_of_the_batch AFTER INSERT ON promo_accounts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION promo_accounts_must_be_of_the_batch();

-- Runs in every set that is posted, whose accounts are hardly ever those of batches.
CREATE FUNCTION promo_accounts_must_touch_batches() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    UPDATE public.promo_batches AS b SET updated_at = b.updated_at
    FROM (SELECT DISTINCT a.ledger_id, a.batch_id
          FROM changed AS c
          CROSS JOIN LATERAL (
              SELECT x.ledger_id, x.batch_id FROM public.promo_accounts AS x
              WHERE x.ledger_id = c.ledger_id AND x.account_id BETWEEN c.account_id AND c.account_id
              ORDER BY x.account_id LIMIT 1) AS a) AS t
    WHERE b.ledger_id = t.ledger_id AND b.id = t.batch_id;
    RETURN NULL;
END $$;

CREATE TRIGGER promo_accounts_touch_batches AFTER UPDATE ON account_balances
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION promo_accounts_must_touch_batches();

CREATE FUNCTION promo_liability_must_be_live_codes() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    batch public.promo_batches;
    held record;
BEGIN
    -- As it is at the end of the transaction, not as it was when this row was written.
    SELECT * INTO batch FROM public.promo_batches WHERE ledger_id = NEW.ledger_id AND id = NEW.id;
    SELECT sum(v.credits - v.debits) FILTER (WHERE x.part = 'liability') AS liability,
           sum(v.debits - v.credits) FILTER (WHERE x.part = 'unactivated') AS unactivated,
           sum(v.credits - v.debits) FILTER (WHERE x.part = 'payable') AS payable
      INTO held
      FROM public.promo_accounts AS x
      JOIN public.account_balances AS v ON v.ledger_id = x.ledger_id AND v.account_id = x.account_id
     WHERE x.ledger_id = NEW.ledger_id AND x.batch_id = NEW.id;
    -- A boolean times an amount, for a CASE would end the IF at its THEN.
    IF held.liability IS DISTINCT FROM (batch.state IN ('ACTIVE', 'PAUSED'))::integer * batch.amount * batch.live
       OR held.unactivated IS DISTINCT FROM (batch.state = 'DRAFT')::integer * batch.amount * batch.live
       OR held.payable IS DISTINCT FROM batch.amount * batch.failed THEN
        RAISE EXCEPTION 'the accounts of batch % do not hold what its codes are worth', batch.code
            USING ERRCODE = 'check_violation', CONSTRAINT = 'promo_liability_is_live_codes', TABLE = 'promo_batches';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER promo_liability_is_live_codes AFTER INSERT OR UPDATE ON promo_batches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION promo_liability_must_be_live_codes();
