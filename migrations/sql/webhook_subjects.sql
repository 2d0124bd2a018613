-- What a delivery tells of: a payout, an order, a loan or a prompt, each of them by a version of its own. Rows of before tell of
-- payouts, and pings of nothing; they stay as they are.
ALTER TABLE webhook_deliveries
    ADD COLUMN order_id bigint,
    ADD COLUMN loan_id bigint,
    ADD COLUMN prompt_id bigint,
    ADD CONSTRAINT webhook_deliveries_order_changed FOREIGN KEY (ledger_id, order_id, version) REFERENCES order_events,
    ADD CONSTRAINT webhook_deliveries_loan_changed FOREIGN KEY (ledger_id, loan_id, version) REFERENCES loan_events,
    ADD CONSTRAINT webhook_deliveries_prompt_changed FOREIGN KEY (ledger_id, prompt_id, version) REFERENCES prompt_events,
    ADD CONSTRAINT webhook_deliveries_are_about_one_thing
        CHECK (num_nonnulls(payout_id, order_id, loan_id, prompt_id) = num_nonnulls(version)),
    DROP CONSTRAINT webhook_deliveries_know_their_version;

-- A change is told once. Payouts have theirs; these hold nothing of them.
CREATE UNIQUE INDEX webhook_deliveries_tell_an_order_once ON webhook_deliveries (ledger_id, endpoint_id, order_id, version)
    WHERE order_id IS NOT NULL;
CREATE UNIQUE INDEX webhook_deliveries_tell_a_loan_once ON webhook_deliveries (ledger_id, endpoint_id, loan_id, version)
    WHERE loan_id IS NOT NULL;
CREATE UNIQUE INDEX webhook_deliveries_tell_a_prompt_once ON webhook_deliveries (ledger_id, endpoint_id, prompt_id, version)
    WHERE prompt_id IS NOT NULL;

-- The case of a delivery is found by its words, whatever the delivery tells of.
CREATE INDEX reviews_of_webhooks ON reviews (ledger_id, reason) WHERE queue = 'webhook-dead';

CREATE OR REPLACE FUNCTION webhook_deliveries_let_the_next_go() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF NEW.payout_id IS NOT NULL THEN
        UPDATE public.webhook_deliveries SET behind = false
        WHERE ledger_id = NEW.ledger_id AND endpoint_id = NEW.endpoint_id AND payout_id = NEW.payout_id AND behind;
    ELSIF NEW.order_id IS NOT NULL THEN
        UPDATE public.webhook_deliveries SET behind = false
        WHERE ledger_id = NEW.ledger_id AND endpoint_id = NEW.endpoint_id AND order_id = NEW.order_id AND behind;
    ELSIF NEW.loan_id IS NOT NULL THEN
        UPDATE public.webhook_deliveries SET behind = false
        WHERE ledger_id = NEW.ledger_id AND endpoint_id = NEW.endpoint_id AND loan_id = NEW.loan_id AND behind;
    ELSIF NEW.prompt_id IS NOT NULL THEN
        UPDATE public.webhook_deliveries SET behind = false
        WHERE ledger_id = NEW.ledger_id AND endpoint_id = NEW.endpoint_id AND prompt_id = NEW.prompt_id AND behind;
    END IF;
    RETURN NULL;
END $$;
