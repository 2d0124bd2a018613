-- A loan changes along the drawn moves, each with an event of its version and, where money moves, an entry of a fitting kind about
-- this loan. It is paid out by a payout that was asked for it, exists once that is settled, and holds nothing when it is closed.
-- The same moves stand in ledger/loans/loan.py; a test compares the two.

CREATE TABLE loan_moves (
    event text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    kinds text[] NOT NULL,  -- of the entry that goes with it; none where no money of the loan moves
    PRIMARY KEY (event, source, target)
);
INSERT INTO loan_moves VALUES
    ('approved', 'REQUESTED', 'APPROVED', '{}'),
    ('approved', 'DISBURSEMENT_FAILED', 'APPROVED', '{}'),
    ('rejected', 'REQUESTED', 'REJECTED', '{}'),
    ('cancelled', 'REQUESTED', 'CANCELLED', '{}'),
    ('cancelled', 'APPROVED', 'CANCELLED', '{}'),
    ('cancelled', 'DISBURSEMENT_FAILED', 'CANCELLED', '{}'),
    ('disbursement_started', 'APPROVED', 'DISBURSING', '{}'),
    ('disbursed', 'APPROVED', 'ACTIVE', '{loan.disbursed}'),
    ('disbursed', 'CANCELLED', 'ACTIVE', '{loan.disbursed}'),
    ('disbursed', 'DISBURSING', 'ACTIVE', '{loan.disbursed}'),
    ('disbursed', 'DISBURSEMENT_FAILED', 'ACTIVE', '{loan.disbursed}'),
    ('disbursed', 'ACTIVE', 'ACTIVE', '{loan.disbursed_twice}'),
    ('disbursed', 'CLOSED', 'CLOSED', '{loan.disbursed_twice}'),
    ('disbursed', 'WRITTEN_OFF', 'WRITTEN_OFF', '{loan.disbursed_twice}'),
    ('disbursement_failed', 'DISBURSING', 'DISBURSEMENT_FAILED', '{}'),
    ('accrued', 'ACTIVE', 'ACTIVE', '{loan.interest_accrued,loan.fee_amortised,loan.penalty_charged}'),
    ('charged', 'ACTIVE', 'ACTIVE', '{loan.fee_charged}'),
    ('repaid', 'ACTIVE', 'ACTIVE', '{collection.allocated,loan.repaid}'),
    ('repaid', 'CLOSED', 'CLOSED', '{collection.allocated,loan.repaid}'),
    ('repaid', 'WRITTEN_OFF', 'WRITTEN_OFF', '{collection.allocated,loan.repaid}'),
    ('paid_off', 'ACTIVE', 'CLOSED', '{collection.allocated,loan.repaid}'),
    ('paid_off', 'CLOSED', 'CLOSED', '{collection.allocated,loan.repaid}'),
    ('paid_off', 'WRITTEN_OFF', 'WRITTEN_OFF', '{collection.allocated,loan.repaid}'),
    ('repayment_returned', 'ACTIVE', 'ACTIVE', '{collection.undone}'),
    ('repayment_returned', 'CLOSED', 'ACTIVE', '{collection.undone}'),
    ('repayment_returned', 'WRITTEN_OFF', 'WRITTEN_OFF', '{collection.undone}'),
    ('overpayment_returned', 'ACTIVE', 'ACTIVE', '{collection.undone}'),
    ('overpayment_returned', 'CLOSED', 'CLOSED', '{collection.undone}'),
    ('overpayment_returned', 'WRITTEN_OFF', 'WRITTEN_OFF', '{collection.undone}'),
    ('written_off', 'ACTIVE', 'WRITTEN_OFF', '{loan.written_off}');
CALL make_append_only('loan_moves');
REVOKE INSERT ON loan_moves FROM daftari_app;

-- "loan_..." as ledger/ids.py writes it; a test compares the two.
CREATE FUNCTION loan_public_id(id bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp
RETURN 'loan_' || substr(public.payout_public_id(id), 5);

-- About the loan, of a kind, with a line over the amount. What an allocation posts is about its receipt.
CREATE FUNCTION loan_entry_fits(wanted_ledger integer, loan bigint, entry bigint, receipt bigint, wanted_kinds text[],
    wanted_amount bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM public.journal_entries AS e
    WHERE e.ledger_id = wanted_ledger AND e.id = entry AND e.kind = ANY (wanted_kinds)
      AND CASE e.subject_kind
          WHEN 'loan' THEN e.subject_id = public.loan_public_id(loan)
          WHEN 'collection' THEN EXISTS (
              SELECT FROM public.allocations AS a
              WHERE a.ledger_id = wanted_ledger AND a.receipt_id = receipt AND a.target_kind = 'loan'
                AND a.target_id = loan::text AND entry IN (a.entry_id, a.undone_entry_id))
          ELSE e.facts ->> 'loan' = public.loan_public_id(loan) END
      AND EXISTS (SELECT FROM public.postings AS p
          WHERE p.ledger_id = wanted_ledger AND p.entry_id = e.id AND p.amount = wanted_amount)
);

-- Whose money pays a loan out.
CREATE FUNCTION loan_funding(lender text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp
RETURN coalesce('liab.wallet.' || lender, 'asset.loans.disbursing');

-- What was charged as penalties by the work of the days from one (not included) to another (included).
CREATE FUNCTION loan_penalties(wanted_ledger integer, loan bigint, after_day date, to_day date) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN (
    SELECT coalesce(sum(p.amount), 0)::bigint
    FROM public.journal_entries AS e
    JOIN public.postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id AND p.side = 'D'
    WHERE e.ledger_id = wanted_ledger AND e.subject_kind = 'loan_day' AND e.kind = 'loan.penalty_charged'
      AND e.subject_id > public.loan_public_id(loan) || '/' || after_day::text
      AND e.subject_id <= public.loan_public_id(loan) || '/' || to_day::text
);

-- Of the loan's own accounts, those that hold something.
CREATE FUNCTION loan_holds(wanted_ledger integer, loan bigint, wanted_currency text, parts text[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM unnest(parts) AS part
    JOIN public.accounts AS a ON a.ledger_id = wanted_ledger AND a.path = part || '.' || lower(public.loan_public_id(loan))
        AND a.currency = wanted_currency
    JOIN public.account_balances AS b ON b.ledger_id = wanted_ledger AND b.account_id = a.id
    WHERE b.debits <> b.credits
);

CREATE FUNCTION loans_must_move_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.version <> OLD.version + 1
       OR (NEW.ledger_id, NEW.id, NEW.product_id, NEW.borrower, NEW.party_id, NEW.lender, NEW.currency, NEW.gross, NEW.net, NEW.fee,
           NEW.reference, NEW.second_person, NEW.requested_by, NEW.created_at)
          IS DISTINCT FROM
          (OLD.ledger_id, OLD.id, OLD.product_id, OLD.borrower, OLD.party_id, OLD.lender, OLD.currency, OLD.gross, OLD.net, OLD.fee,
           OLD.reference, OLD.second_person, OLD.requested_by, OLD.created_at)
       OR (OLD.starts_on IS NOT NULL AND (NEW.starts_on, NEW.payout_id) IS DISTINCT FROM (OLD.starts_on, OLD.payout_id))
       OR NEW.accrued_before < OLD.accrued_before OR NEW.worked_before < OLD.worked_before
       OR NEW.penalties_charged < OLD.penalties_charged THEN
        RAISE EXCEPTION 'what was agreed of a loan never changes, and no day is taken back'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'loan_intent_is_fixed', TABLE = 'loans';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER loans_move_forward BEFORE UPDATE ON loans
    FOR EACH ROW EXECUTE FUNCTION loans_must_move_forward();

CREATE FUNCTION loans_must_begin_requested() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT l.id INTO stray
    FROM added AS l
    LEFT JOIN public.loan_products AS p ON p.ledger_id = l.ledger_id AND p.id = l.product_id
    LEFT JOIN public.loan_events AS v ON v.ledger_id = l.ledger_id AND v.loan_id = l.id AND v.version = 1
    WHERE (l.version, l.state, v.state, v.event, v.entry_id) IS DISTINCT FROM (1, 'REQUESTED', 'REQUESTED', 'requested', NULL)
       OR (l.currency, l.lender IS NOT NULL, l.second_person) IS DISTINCT FROM (p.currency, p.mode = 'agent', p.second_person)
       OR l.approved_by IS NOT NULL OR l.payout_id IS NOT NULL OR l.penalties_charged <> 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'loan % does not begin requested, under its product, with its event', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'loan_follows_its_entry', TABLE = 'loans';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER loans_begin_requested AFTER INSERT ON loans
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION loans_must_begin_requested();

CREATE FUNCTION loans_must_follow_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT l.id INTO stray
    FROM changed AS l
    LEFT JOIN former AS f ON f.ledger_id = l.ledger_id AND f.id = l.id
    LEFT JOIN public.loan_events AS v ON v.ledger_id = l.ledger_id AND v.loan_id = l.id AND v.version = l.version
    LEFT JOIN public.loan_moves AS m ON m.event = v.event AND m.source = f.state AND m.target = l.state
    WHERE v.state IS DISTINCT FROM l.state OR m.event IS NULL
       OR CASE WHEN m.kinds = '{}' OR (v.event = 'accrued' AND v.entry_id IS NULL) THEN v.entry_id IS NOT NULL
          ELSE NOT public.loan_entry_fits(l.ledger_id, l.id, v.entry_id, v.receipt_id, m.kinds, v.amount) END
       -- Days and penalties move with the work of days alone, the approval and the payout with theirs.
       OR l.penalties_charged - f.penalties_charged IS DISTINCT FROM CASE WHEN v.event = 'accrued'
          THEN public.loan_penalties(l.ledger_id, l.id, f.worked_before, l.worked_before) ELSE 0 END
       OR (v.event NOT IN ('accrued', 'disbursed')
           AND (l.accrued_before, l.worked_before) IS DISTINCT FROM (f.accrued_before, f.worked_before))
       OR (v.event <> 'approved' AND l.approved_by IS DISTINCT FROM f.approved_by)
       OR (v.event NOT IN ('disbursement_started', 'disbursed') AND l.payout_id IS DISTINCT FROM f.payout_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'loan % changes without its event, or without the entry that this change posts', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'loan_follows_its_entry', TABLE = 'loans';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER loans_follow_entries AFTER UPDATE ON loans
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION loans_must_follow_entries();

CREATE FUNCTION loans_must_rest_on_payouts() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT l.id INTO stray
    FROM changed AS l
    JOIN former AS f ON f.ledger_id = l.ledger_id AND f.id = l.id AND f.state <> l.state
    LEFT JOIN public.payouts AS p ON p.ledger_id = l.ledger_id AND p.id = l.payout_id
    WHERE (l.state = 'DISBURSING'
           AND (p.state, p.amount, p.currency, p.party_id, p.funding)
               IS DISTINCT FROM ('RESERVED', l.net, l.currency, l.party_id, public.loan_funding(l.lender)))
       OR (l.state = 'ACTIVE' AND f.starts_on IS NULL AND (p.state IS DISTINCT FROM 'SETTLED' OR NOT EXISTS (
           SELECT FROM public.loan_events AS v WHERE v.ledger_id = l.ledger_id AND v.payout_id = l.payout_id
             AND v.event = 'disbursement_started' AND v.loan_id = l.id)))
       OR (l.state = 'CLOSED' AND public.loan_holds(l.ledger_id, l.id, l.currency, ARRAY[
           'asset.loans.principal', 'asset.loans.interest_receivable', 'asset.loans.fees_receivable',
           'asset.loans.penalty_receivable', 'liab.deferred_loan_fee', 'memo.p2p_loans.principal', 'memo.p2p_loans.interest',
           'memo.p2p_loans.fees', 'memo.p2p_loans.penalty', 'memo.written_off']))
       OR (l.state = 'WRITTEN_OFF' AND public.loan_holds(l.ledger_id, l.id, l.currency, ARRAY[
           'asset.loans.principal', 'asset.loans.interest_receivable', 'asset.loans.fees_receivable',
           'asset.loans.penalty_receivable', 'liab.deferred_loan_fee', 'memo.p2p_loans.principal', 'memo.p2p_loans.interest',
           'memo.p2p_loans.fees', 'memo.p2p_loans.penalty']))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'loan % has no payout that fits its state, or ends with something still on its accounts', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'loan_rests_on_its_payout', TABLE = 'loans';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER loans_rest_on_payouts AFTER UPDATE ON loans
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION loans_must_rest_on_payouts();

CREATE FUNCTION loan_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.loan_id INTO stray
    FROM added AS v
    LEFT JOIN public.loans AS l ON l.ledger_id = v.ledger_id AND l.id = v.loan_id
    WHERE (v.version, v.state) IS DISTINCT FROM (l.version, l.state)
       OR (v.event = 'disbursement_started' AND v.payout_id IS DISTINCT FROM l.payout_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of loan % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'loan_event_tells_a_change', TABLE = 'loan_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER loan_events_tell_a_change AFTER INSERT ON loan_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION loan_events_must_tell_a_change();
