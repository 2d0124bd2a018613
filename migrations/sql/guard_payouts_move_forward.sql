-- A payout's intent never changes, its version counts every change, and its state moves only along the drawn edges.
-- The same edges stand in ledger/payouts/payout.py; a test compares the two lists.

CREATE TABLE payout_edges (
    source text NOT NULL,
    target text NOT NULL,
    PRIMARY KEY (source, target)
);
INSERT INTO payout_edges VALUES
    ('RESERVED', 'SUBMITTING'), ('RESERVED', 'CANCELLED'), ('RESERVED', 'SUBMITTED'), ('RESERVED', 'UNKNOWN'),
    ('RESERVED', 'SETTLED'), ('RESERVED', 'RELEASED'),
    ('SUBMITTING', 'RESERVED'), ('SUBMITTING', 'SUBMITTED'), ('SUBMITTING', 'UNKNOWN'), ('SUBMITTING', 'SETTLED'),
    ('SUBMITTING', 'RELEASED'),
    ('SUBMITTED', 'UNKNOWN'), ('SUBMITTED', 'SETTLED'), ('SUBMITTED', 'RELEASED'),
    ('UNKNOWN', 'SETTLED'), ('UNKNOWN', 'RELEASED'),
    ('RELEASED', 'CONFLICTED'), ('CANCELLED', 'CONFLICTED'), ('CONFLICTED', 'SETTLED');
CALL make_append_only('payout_edges');
REVOKE INSERT ON payout_edges FROM daftari_app;

CREATE FUNCTION payouts_must_move_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.payout_edges WHERE source = OLD.state AND target = NEW.state) THEN
        RAISE EXCEPTION 'a payout does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_moves_along_an_edge', TABLE = 'payouts';
    END IF;
    IF NEW.version <> OLD.version + 1
       OR (NEW.ledger_id, NEW.id, NEW.partner_id, NEW.partner_reference, NEW.party_id, NEW.currency, NEW.amount, NEW.fee,
           NEW.purpose, NEW.remarks, NEW.rail, NEW.shortcode, NEW.provider_reference, NEW.reserve_entry_id, NEW.created_at)
          IS DISTINCT FROM
          (OLD.ledger_id, OLD.id, OLD.partner_id, OLD.partner_reference, OLD.party_id, OLD.currency, OLD.amount, OLD.fee,
           OLD.purpose, OLD.remarks, OLD.rail, OLD.shortcode, OLD.provider_reference, OLD.reserve_entry_id, OLD.created_at)
       OR (OLD.receipt IS NOT NULL AND NEW.receipt IS DISTINCT FROM OLD.receipt) THEN
        RAISE EXCEPTION 'what a payout was asked to do never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_intent_is_fixed', TABLE = 'payouts';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER payouts_move_forward BEFORE UPDATE ON payouts
    FOR EACH ROW EXECUTE FUNCTION payouts_must_move_forward();

-- The edges have one beginning.
CREATE FUNCTION payouts_must_begin_reserved() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a payout begins RESERVED, not %', NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_moves_along_an_edge', TABLE = 'payouts';
END $$;

CREATE TRIGGER payouts_begin_reserved BEFORE INSERT ON payouts
    FOR EACH ROW WHEN (NEW.state <> 'RESERVED' OR NEW.version <> 1) EXECUTE FUNCTION payouts_must_begin_reserved();

-- An attempt is finished once, an inbox message is judged once, and neither changes what was stored first.
CREATE FUNCTION attempts_must_finish_once() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL
       OR (NEW.ledger_id, NEW.instruction_id, NEW.number, NEW.token_hash, NEW.started_at)
          IS DISTINCT FROM (OLD.ledger_id, OLD.instruction_id, OLD.number, OLD.token_hash, OLD.started_at) THEN
        RAISE EXCEPTION 'attempts are history: one is finished once and not changed afterwards'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'attempt_is_finished_once', TABLE = 'attempts';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER attempts_finish_once BEFORE UPDATE ON attempts
    FOR EACH ROW EXECUTE FUNCTION attempts_must_finish_once();

CREATE FUNCTION inbox_must_keep_messages() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF OLD.judged_at IS NOT NULL
       OR (NEW.ledger_id, NEW.id, NEW.provider, NEW.kind, NEW.token_hash, NEW.raw, NEW.remote_address, NEW.received_at)
          IS DISTINCT FROM
          (OLD.ledger_id, OLD.id, OLD.provider, OLD.kind, OLD.token_hash, OLD.raw, OLD.remote_address, OLD.received_at) THEN
        RAISE EXCEPTION 'a received message is kept as it came and judged once'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'inbox_message_is_kept', TABLE = 'inbox';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER inbox_keeps_messages BEFORE UPDATE ON inbox
    FOR EACH ROW EXECUTE FUNCTION inbox_must_keep_messages();
