-- A claim of deliveries reads a few index entries of each endpoint, however many wait there.

-- behind: an earlier version of the payout was still to be told when a claim looked. No claim looks again before that ends.
ALTER TABLE webhook_deliveries ADD COLUMN behind boolean NOT NULL DEFAULT false;
GRANT UPDATE (behind) ON webhook_deliveries TO daftari_app;

DROP INDEX webhook_deliveries_pending;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (ledger_id, endpoint_id, due_at, id)
    WHERE state = 'PENDING' AND NOT behind;
-- What failed before its endpoint recovered.
CREATE INDEX webhook_deliveries_tried ON webhook_deliveries (ledger_id, endpoint_id, tried_at)
    WHERE state = 'PENDING' AND NOT behind AND tried_at IS NOT NULL;
-- The tries under way.
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (ledger_id, endpoint_id, leased_until)
    WHERE state = 'PENDING' AND leased_until IS NOT NULL;

-- Nothing waits behind what has ended, whoever ends it.
CREATE FUNCTION webhook_deliveries_let_the_next_go() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE public.webhook_deliveries SET behind = false
    WHERE ledger_id = NEW.ledger_id AND endpoint_id = NEW.endpoint_id AND payout_id = NEW.payout_id AND behind;
    RETURN NULL;
END $$;

CREATE TRIGGER webhook_deliveries_let_next_go AFTER UPDATE OF state ON webhook_deliveries
    FOR EACH ROW WHEN (OLD.state = 'PENDING' AND NEW.state <> 'PENDING')
    EXECUTE FUNCTION webhook_deliveries_let_the_next_go();
