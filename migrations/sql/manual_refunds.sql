-- What a payee sends back by a way that no provider tells of: one person says so, another lets it into the books, once.

ALTER TABLE receipt_evidence DROP CONSTRAINT receipt_evidence_channel_is_known;
ALTER TABLE receipt_evidence ADD CONSTRAINT receipt_evidence_channel_is_known
    CHECK (channel IN ('confirmation', 'prompt', 'pull', 'statement', 'query', 'manual'));

CREATE TABLE payout_refunds (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    payout_id bigint NOT NULL,
    provider text NOT NULL,
    shortcode text NOT NULL,
    receipt text NOT NULL CONSTRAINT payout_refunds_receipt_is_short CHECK (length(receipt) BETWEEN 1 AND 100),
    currency text NOT NULL REFERENCES currencies,
    amount bigint NOT NULL CONSTRAINT payout_refunds_amount_is_positive CHECK (amount > 0),
    completed_at timestamptz NOT NULL,
    evidence text NOT NULL CONSTRAINT payout_refunds_evidence_is_said CHECK (evidence <> ''),
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, payout_id) REFERENCES payouts,
    FOREIGN KEY (ledger_id, provider, shortcode) REFERENCES collection_shortcodes
);
CREATE INDEX payout_refunds_by_payout ON payout_refunds (ledger_id, payout_id);

-- At most one per request; an approval names the receipt that booked the money.
CREATE TABLE refund_decisions (
    ledger_id integer NOT NULL,
    refund_id bigint NOT NULL,
    receipt_id bigint,
    reason text NOT NULL,
    actor text NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, refund_id),
    FOREIGN KEY (ledger_id, refund_id) REFERENCES payout_refunds,
    FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts,
    CONSTRAINT refund_decisions_have_a_receipt_each UNIQUE (ledger_id, receipt_id)
);

CALL make_append_only('payout_refunds');
CALL make_append_only('refund_decisions');

-- By another person; and what was approved is in the books: the receipt as it was asked for, all of it given to the payout.
CREATE FUNCTION refund_decisions_must_fit() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT d.refund_id INTO stray
    FROM added AS d
    JOIN public.payout_refunds AS f ON f.ledger_id = d.ledger_id AND f.id = d.refund_id
    WHERE d.receipt_id IS NOT NULL AND (d.actor = f.requested_by OR NOT EXISTS (
        SELECT FROM public.receipts AS r
        JOIN public.allocations AS a ON a.ledger_id = r.ledger_id AND a.receipt_id = r.id
        WHERE r.ledger_id = d.ledger_id AND r.id = d.receipt_id
          AND (r.provider, r.shortcode, r.receipt, r.currency, r.amount)
              = (f.provider, f.shortcode, f.receipt, f.currency, f.amount)
          AND a.target_kind = 'payout' AND a.target_id = f.payout_id::text AND a.amount = f.amount
          AND a.undone_entry_id IS NULL))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'refund % is not decided by another person, or not in the books', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_is_decided_by_another', TABLE = 'refund_decisions';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER refund_decisions_fit AFTER INSERT ON refund_decisions
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refund_decisions_must_fit();
