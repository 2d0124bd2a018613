-- Whose money a payout is belongs to what it was asked to do. The function as before, with that column.
CREATE OR REPLACE FUNCTION payouts_must_move_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.payout_edges WHERE source = OLD.state AND target = NEW.state) THEN
        RAISE EXCEPTION 'a payout does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_moves_along_an_edge', TABLE = 'payouts';
    END IF;
    IF NEW.version <> OLD.version + 1
       OR (NEW.ledger_id, NEW.id, NEW.partner_id, NEW.partner_reference, NEW.party_id, NEW.currency, NEW.amount, NEW.fee,
           NEW.purpose, NEW.remarks, NEW.rail, NEW.shortcode, NEW.provider_reference, NEW.reserve_entry_id, NEW.funding,
           NEW.created_at)
          IS DISTINCT FROM
          (OLD.ledger_id, OLD.id, OLD.partner_id, OLD.partner_reference, OLD.party_id, OLD.currency, OLD.amount, OLD.fee,
           OLD.purpose, OLD.remarks, OLD.rail, OLD.shortcode, OLD.provider_reference, OLD.reserve_entry_id, OLD.funding,
           OLD.created_at)
       OR (OLD.receipt IS NOT NULL AND NEW.receipt IS DISTINCT FROM OLD.receipt) THEN
        RAISE EXCEPTION 'what a payout was asked to do never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_intent_is_fixed', TABLE = 'payouts';
    END IF;
    RETURN NEW;
END $$;
