-- A payout changes with an event of that version, and where money moves, with an entry of a fitting kind, about this payout
-- and over its amount: no state without its entry, no entry of another payout in its place. An event tells of the change
-- that was made, and of no other.

DROP TABLE payout_edges;
CREATE TABLE payout_edges (
    source text NOT NULL,
    target text NOT NULL,
    kinds text[] NOT NULL,  -- of the entry that goes with it; none where no money moves
    PRIMARY KEY (source, target)
);
INSERT INTO payout_edges VALUES
    ('RESERVED', 'SUBMITTING', '{}'), ('RESERVED', 'SUBMITTED', '{}'), ('RESERVED', 'CANCELLED', '{payout.released}'),
    ('RESERVED', 'UNKNOWN', '{payout.unknown}'), ('RESERVED', 'SETTLED', '{payout.settled}'),
    ('RESERVED', 'RELEASED', '{payout.released}'),
    ('SUBMITTING', 'RESERVED', '{}'), ('SUBMITTING', 'SUBMITTED', '{}'), ('SUBMITTING', 'UNKNOWN', '{payout.unknown}'),
    ('SUBMITTING', 'SETTLED', '{payout.settled}'), ('SUBMITTING', 'RELEASED', '{payout.released}'),
    ('SUBMITTED', 'UNKNOWN', '{payout.unknown}'), ('SUBMITTED', 'SETTLED', '{payout.settled}'),
    ('SUBMITTED', 'RELEASED', '{payout.released}'),
    ('UNKNOWN', 'SETTLED', '{payout.settled}'), ('UNKNOWN', 'RELEASED', '{payout.released}'),
    ('RELEASED', 'CONFLICTED', '{payout.late_success}'), ('CANCELLED', 'CONFLICTED', '{payout.late_success}'),
    ('CONFLICTED', 'SETTLED', '{payout.late_charged,payout.clawed_back}'),
    ('CONFLICTED', 'RELEASED', '{payout.late_refuted}');
CALL make_append_only('payout_edges');
REVOKE INSERT ON payout_edges FROM daftari_app;

-- "pay_..." as ledger/ids.py writes it: 13 digits of Crockford's base 32; a test compares the two.
CREATE FUNCTION payout_public_id(id bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp
RETURN 'pay_' || (
    SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((id >> (5 * place)) & 31)::int, 1), '' ORDER BY place DESC)
    FROM generate_series(0, 12) AS place
);

CREATE FUNCTION payout_entry_fits(wanted_ledger integer, payout bigint, entry bigint, wanted_kinds text[],
    wanted_rail text, wanted_currency text, wanted_amount bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN EXISTS (
    SELECT FROM public.journal_entries AS e
    WHERE e.ledger_id = wanted_ledger AND e.id = entry AND e.kind = ANY (wanted_kinds)
      AND CASE WHEN e.subject_kind = 'payout' THEN e.subject_id = public.payout_public_id(payout)
          ELSE e.subject_kind = 'payout_receipt' AND EXISTS (
              SELECT FROM public.provider_references AS r
              WHERE r.ledger_id = wanted_ledger AND r.provider = wanted_rail AND r.kind = 'receipt'
                AND r.value = e.reference AND r.payout_id = payout) END
      AND EXISTS (SELECT FROM public.postings AS p WHERE p.ledger_id = wanted_ledger AND p.entry_id = e.id
          AND p.currency = wanted_currency AND p.amount = wanted_amount)
);

CREATE FUNCTION payouts_must_follow_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT p.id INTO stray
    FROM changed AS p
    LEFT JOIN former AS f ON f.ledger_id = p.ledger_id AND f.id = p.id
    LEFT JOIN public.payout_edges AS edge ON edge.source = f.state AND edge.target = p.state
    LEFT JOIN public.payout_events AS v ON v.ledger_id = p.ledger_id AND v.payout_id = p.id AND v.version = p.version
    WHERE v.state IS DISTINCT FROM p.state
       OR CASE WHEN edge.kinds = '{}' THEN v.entry_id IS NOT NULL
          ELSE NOT public.payout_entry_fits(p.ledger_id, p.id, v.entry_id, edge.kinds, p.rail, p.currency, p.amount) END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payout % changes without its event, or without the entry that this change posts', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_follows_its_entry', TABLE = 'payouts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER payouts_follow_entries AFTER UPDATE ON payouts
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION payouts_must_follow_entries();

CREATE FUNCTION payouts_must_be_reserved() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT p.id INTO stray
    FROM added AS p
    LEFT JOIN public.payout_events AS v ON v.ledger_id = p.ledger_id AND v.payout_id = p.id AND v.version = p.version
    WHERE v.entry_id IS DISTINCT FROM p.reserve_entry_id
       OR NOT public.payout_entry_fits(
           p.ledger_id, p.id, p.reserve_entry_id, '{payout.reserved}', p.rail, p.currency, p.amount)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payout % begins without its event, or without the entry that reserves its money', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_follows_its_entry', TABLE = 'payouts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER payouts_are_reserved AFTER INSERT ON payouts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION payouts_must_be_reserved();

CREATE FUNCTION payout_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.payout_id INTO stray
    FROM added AS v
    LEFT JOIN public.payouts AS p ON p.ledger_id = v.ledger_id AND p.id = v.payout_id
    WHERE (v.version, v.state) IS DISTINCT FROM (p.version, p.state)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of payout % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_event_tells_a_change', TABLE = 'payout_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER payout_events_tell_a_change AFTER INSERT ON payout_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION payout_events_must_tell_a_change();
