-- Receipts may be allocated to payouts: money that payees send back.

ALTER TABLE allocations DROP CONSTRAINT allocations_target_is_known;
ALTER TABLE allocations ADD CONSTRAINT allocations_target_is_known
    CHECK (target_kind IN ('account', 'order', 'loan', 'payout'));

-- Never more than was paid: the living allocations to a payout, which is settled, sum up to its amount at the most. The payout's
-- row is locked, so that two at once see each other.
CREATE FUNCTION refunds_must_fit_payouts() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray text;
BEGIN
    IF NOT EXISTS (SELECT FROM added WHERE target_kind = 'payout') THEN
        RETURN NULL;
    END IF;
    PERFORM FROM public.payouts AS p
    WHERE (p.ledger_id, p.id) IN (
        SELECT a.ledger_id, CASE a.target_kind WHEN 'payout' THEN a.target_id::bigint END FROM added AS a)
    ORDER BY p.id FOR NO KEY UPDATE;
    SELECT a.target_id INTO stray
    FROM added AS a
    LEFT JOIN public.payouts AS p ON p.ledger_id = a.ledger_id
        AND p.id = CASE a.target_kind WHEN 'payout' THEN a.target_id::bigint END
    LEFT JOIN public.receipts AS r ON r.ledger_id = a.ledger_id AND r.id = a.receipt_id
    WHERE a.target_kind = 'payout' AND (p.state IS DISTINCT FROM 'SETTLED' OR p.currency IS DISTINCT FROM r.currency
        OR p.amount < (SELECT sum(o.amount) FROM public.allocations AS o
            WHERE o.ledger_id = a.ledger_id AND o.target_kind = 'payout' AND o.target_id = a.target_id
              AND o.undone_entry_id IS NULL))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'more would be sent back of payout % than was paid', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_fits_its_payout', TABLE = 'allocations';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER refunds_fit_payouts AFTER INSERT ON allocations
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refunds_must_fit_payouts();
