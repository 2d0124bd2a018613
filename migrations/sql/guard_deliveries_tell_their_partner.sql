-- No partner hears of what is another's: a delivery goes to an endpoint of the partner whose payout, order, loan or prompt it
-- tells of. Each is looked up by a range of one value in the order of its key, in every plan.
CREATE FUNCTION webhook_deliveries_must_tell_their_partner() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT d.id INTO stray
    FROM added AS d
    LEFT JOIN LATERAL (
        SELECT e.partner_id FROM public.webhook_endpoints AS e
        WHERE e.ledger_id = d.ledger_id AND e.id BETWEEN d.endpoint_id AND d.endpoint_id ORDER BY e.id LIMIT 1
    ) AS told ON true
    LEFT JOIN LATERAL (
        (SELECT p.partner_id FROM public.payouts AS p
         WHERE p.ledger_id = d.ledger_id AND p.id BETWEEN d.payout_id AND d.payout_id ORDER BY p.id LIMIT 1)
        UNION ALL
        (SELECT o.partner_id FROM public.orders AS o
         WHERE o.ledger_id = d.ledger_id AND o.id BETWEEN d.order_id AND d.order_id ORDER BY o.id LIMIT 1)
        UNION ALL
        (SELECT m.partner_id FROM public.loans AS l
         JOIN public.loan_products AS m ON m.ledger_id = l.ledger_id AND m.id = l.product_id
         WHERE l.ledger_id = d.ledger_id AND l.id BETWEEN d.loan_id AND d.loan_id ORDER BY l.id LIMIT 1)
        UNION ALL
        (SELECT coalesce(q.partner_id, o.partner_id) FROM public.prompts AS q
         LEFT JOIN public.orders AS o ON o.ledger_id = q.ledger_id AND o.id = q.order_id
         WHERE q.ledger_id = d.ledger_id AND q.id BETWEEN d.prompt_id AND d.prompt_id ORDER BY q.id LIMIT 1)
    ) AS owner ON true
    WHERE d.version IS NOT NULL AND told.partner_id IS DISTINCT FROM owner.partner_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'delivery % tells one partner of what is another''s', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'webhook_delivery_tells_its_partner',
                  TABLE = 'webhook_deliveries';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER webhook_deliveries_tell_their_partner AFTER INSERT ON webhook_deliveries
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION webhook_deliveries_must_tell_their_partner();
