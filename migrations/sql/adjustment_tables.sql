-- What people make of breaks: an entry that books the difference, a receipt for money that a statement alone shows, or that lines and
-- entries belong together as they are. One person proposes, another approves; nothing is edited, and nothing is explained twice.

ALTER TABLE reconciliation_decisions DROP CONSTRAINT reconciliation_decisions_state_is_known;
ALTER TABLE reconciliation_decisions ADD CONSTRAINT reconciliation_decisions_state_is_known CHECK (state IN (
    'matched', 'no_movement', 'awaited', 'accepted', 'resolves', 'over', 'under', 'duplicate', 'missing_here', 'missing_there',
    'status_conflict', 'fee_mismatch', 'other_sub_account'));
DROP INDEX reconciliation_decisions_breaks;
CREATE INDEX reconciliation_decisions_breaks ON reconciliation_decisions (ledger_id, run_id, number)
    WHERE state NOT IN ('matched', 'no_movement', 'awaited', 'accepted');

-- What of the difference before a run's days was explained by then.
ALTER TABLE reconciliation_runs ADD COLUMN carried bigint NOT NULL DEFAULT 0;

-- The numbers are those of the run's decisions; lines, entries and difference are theirs together.
CREATE TABLE adjustments (
    ledger_id integer NOT NULL,
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    run_id bigint NOT NULL,
    way text NOT NULL CONSTRAINT adjustments_way_is_known CHECK (way IN ('entry', 'receipt', 'match')),
    numbers integer[] NOT NULL CONSTRAINT adjustments_are_about_something CHECK (cardinality(numbers) > 0),
    line_ids bigint[] NOT NULL,
    entry_ids bigint[] NOT NULL,
    difference bigint NOT NULL,
    receipt text NOT NULL,
    happened_at timestamptz NOT NULL,
    reason text NOT NULL CONSTRAINT adjustments_have_a_reason CHECK (length(reason) BETWEEN 1 AND 500),
    proposed_by text NOT NULL CONSTRAINT adjustments_are_proposed_by_somebody CHECK (length(proposed_by) BETWEEN 1 AND 100),
    proposed_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts,
    FOREIGN KEY (ledger_id, run_id) REFERENCES reconciliation_runs
);
CREATE INDEX adjustments_by_account ON adjustments (ledger_id, account_id, id);

-- The entry, as it is proposed and as it will be posted.
CREATE TABLE adjustment_postings (
    ledger_id integer NOT NULL,
    adjustment_id bigint NOT NULL,
    line smallint NOT NULL CONSTRAINT adjustment_postings_line_is_positive CHECK (line > 0),
    account_id bigint NOT NULL,
    side text NOT NULL CONSTRAINT adjustment_postings_side_is_known CHECK (side IN ('D', 'C')),
    amount bigint NOT NULL CONSTRAINT adjustment_postings_amount_is_positive CHECK (amount > 0),
    PRIMARY KEY (ledger_id, adjustment_id, line),
    FOREIGN KEY (ledger_id, adjustment_id) REFERENCES adjustments,
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts
);

-- At most one per adjustment; an approval names the entry that it posted, if any.
CREATE TABLE adjustment_decisions (
    ledger_id integer NOT NULL,
    adjustment_id bigint NOT NULL,
    approved boolean NOT NULL,
    entry_id bigint,
    reason text NOT NULL,
    actor text NOT NULL CONSTRAINT adjustment_decisions_have_an_actor CHECK (length(actor) BETWEEN 1 AND 100),
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, adjustment_id),
    FOREIGN KEY (ledger_id, adjustment_id) REFERENCES adjustments,
    FOREIGN KEY (ledger_id, entry_id) REFERENCES journal_entries,
    CONSTRAINT adjustment_decisions_have_an_entry_each UNIQUE (ledger_id, entry_id),
    CONSTRAINT adjustment_decisions_rejected_say_why CHECK (approved OR (reason <> '' AND entry_id IS NULL))
);

-- What approved adjustments explain: each line and each entry of an account once.
CREATE TABLE adjusted_items (
    ledger_id integer NOT NULL,
    account_id bigint NOT NULL,
    what text NOT NULL CONSTRAINT adjusted_items_are_known CHECK (what IN ('line', 'entry')),
    item_id bigint NOT NULL,
    adjustment_id bigint NOT NULL,
    PRIMARY KEY (ledger_id, account_id, what, item_id),
    FOREIGN KEY (ledger_id, adjustment_id) REFERENCES adjustments
);
CREATE INDEX adjusted_items_by_adjustment ON adjusted_items (ledger_id, adjustment_id);

CALL make_append_only('adjustments', 'adjustment_postings', 'adjustment_decisions', 'adjusted_items');

-- An adjustment is about decisions of its run, and explains exactly what they leave open.
CREATE FUNCTION adjustments_must_be_about_their_run() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT a.id INTO stray
    FROM added AS a
    JOIN public.reconciliation_runs AS r ON r.ledger_id = a.ledger_id AND r.id = a.run_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS decisions, sum(d.difference) AS difference
        FROM public.reconciliation_decisions AS d
        WHERE d.ledger_id = a.ledger_id AND d.run_id = a.run_id AND d.number = ANY (a.numbers)) AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(l.id ORDER BY l.id), '{}') AS ids
        FROM public.reconciliation_decisions AS d CROSS JOIN LATERAL unnest(d.line_ids) AS l (id)
        WHERE d.ledger_id = a.ledger_id AND d.run_id = a.run_id AND d.number = ANY (a.numbers)) AS lines
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(e.id ORDER BY e.id), '{}') AS ids
        FROM public.reconciliation_decisions AS d CROSS JOIN LATERAL unnest(d.entry_ids) AS e (id)
        WHERE d.ledger_id = a.ledger_id AND d.run_id = a.run_id AND d.number = ANY (a.numbers)) AS entries
    WHERE (a.account_id, cardinality(a.numbers)::bigint, a.difference::numeric, a.line_ids, a.entry_ids)
        IS DISTINCT FROM (r.account_id, s.decisions, s.difference, lines.ids, entries.ids)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'adjustment % is not about what its run decided', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'adjustment_is_about_its_run', TABLE = 'adjustments';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER adjustments_are_about_their_run AFTER INSERT ON adjustments
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION adjustments_must_be_about_their_run();

-- Approved by another person than proposed it, for every line and entry it is about, and the books hold what was proposed: the
-- entry line by line, moving the account by the difference; the receipt as the line shows it; or nothing.
CREATE FUNCTION adjustment_decisions_must_fit() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT d.adjustment_id INTO stray
    FROM added AS d
    JOIN public.adjustments AS a ON a.ledger_id = d.ledger_id AND a.id = d.adjustment_id
    WHERE d.approved AND (
        d.actor = a.proposed_by
        OR cardinality(a.line_ids) + cardinality(a.entry_ids) <> (
            SELECT count(*) FROM public.adjusted_items AS i
            WHERE i.ledger_id = d.ledger_id AND i.adjustment_id = d.adjustment_id AND i.account_id = a.account_id
              AND i.item_id = ANY (CASE i.what WHEN 'line' THEN a.line_ids ELSE a.entry_ids END))
        OR (d.entry_id IS NULL) <> (a.way = 'match')
        OR (a.way = 'entry' AND (
            NOT EXISTS (
                SELECT FROM public.journal_entries AS e
                WHERE e.ledger_id = d.ledger_id AND e.id = d.entry_id AND e.kind = 'reconciliation.adjusted')
            OR EXISTS (
                SELECT FROM (SELECT * FROM public.postings AS p WHERE p.ledger_id = d.ledger_id AND p.entry_id = d.entry_id) AS p
                FULL JOIN (SELECT * FROM public.adjustment_postings AS m
                    WHERE m.ledger_id = d.ledger_id AND m.adjustment_id = d.adjustment_id) AS m ON m.line = p.line
                WHERE (p.account_id, p.side, p.amount) IS DISTINCT FROM (m.account_id, m.side, m.amount))
            OR a.difference IS DISTINCT FROM (
                SELECT sum(CASE p.side WHEN 'D' THEN p.amount ELSE -p.amount END) FROM public.postings AS p
                WHERE p.ledger_id = d.ledger_id AND p.entry_id = d.entry_id AND p.account_id = a.account_id)))
        OR (a.way = 'receipt' AND NOT EXISTS (
            SELECT FROM public.receipt_events AS v
            JOIN public.receipts AS r ON r.ledger_id = v.ledger_id AND r.id = v.receipt_id
            JOIN public.statement_lines AS l ON l.ledger_id = r.ledger_id AND l.account_id = a.account_id
                AND l.id = a.line_ids[1] AND l.receipt = r.receipt AND l.amount = r.amount
            WHERE v.ledger_id = d.ledger_id AND v.entry_id = d.entry_id AND v.event = 'received')))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'adjustment % is not approved by another person, or not in the books as it was proposed', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'adjustment_is_approved_by_another', TABLE = 'adjustment_decisions';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER adjustment_decisions_fit AFTER INSERT ON adjustment_decisions
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION adjustment_decisions_must_fit();
