-- The guards of payouts as before, but each checks its set by the keys of what it probes, as the journal's do since
-- guard_probes_by_key: a range of one value, in the order of the right index, in plans made for any size. An entry's fit is
-- asked in the same statement: a function per payout cost more than the look itself.

-- The same digits, without a set to aggregate.
CREATE OR REPLACE FUNCTION payout_public_id(id bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp
RETURN (
    SELECT 'pay_' || substr(digits, 1 + ((id >> 60) & 31)::int, 1) || substr(digits, 1 + ((id >> 55) & 31)::int, 1)
        || substr(digits, 1 + ((id >> 50) & 31)::int, 1) || substr(digits, 1 + ((id >> 45) & 31)::int, 1)
        || substr(digits, 1 + ((id >> 40) & 31)::int, 1) || substr(digits, 1 + ((id >> 35) & 31)::int, 1)
        || substr(digits, 1 + ((id >> 30) & 31)::int, 1) || substr(digits, 1 + ((id >> 25) & 31)::int, 1)
        || substr(digits, 1 + ((id >> 20) & 31)::int, 1) || substr(digits, 1 + ((id >> 15) & 31)::int, 1)
        || substr(digits, 1 + ((id >> 10) & 31)::int, 1) || substr(digits, 1 + ((id >> 5) & 31)::int, 1)
        || substr(digits, 1 + ((id >> 0) & 31)::int, 1)
    FROM (VALUES ('0123456789ABCDEFGHJKMNPQRSTVWXYZ')) AS alphabet (digits)
);

CREATE OR REPLACE FUNCTION payouts_must_follow_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    stray bigint;
BEGIN
    -- Old and new rows are laid side by side by grouping, for the reason given at the guard of balances.
    SELECT p.id INTO stray
    FROM (SELECT sides.ledger_id, sides.id, max(sides.state) FILTER (WHERE NOT sides.is_new) AS state_before,
                 max(sides.state) FILTER (WHERE sides.is_new) AS state, max(sides.version) FILTER (WHERE sides.is_new) AS version,
                 max(sides.rail) AS rail, max(sides.currency) AS currency, max(sides.amount) AS amount
          FROM (SELECT true AS is_new, n.ledger_id, n.id, n.state, n.version, n.rail, n.currency, n.amount FROM changed AS n
                UNION ALL
                SELECT false, f.ledger_id, f.id, f.state, f.version, f.rail, f.currency, f.amount FROM former AS f) AS sides
          GROUP BY sides.ledger_id, sides.id) AS p
    LEFT JOIN public.payout_edges AS edge ON edge.source = p.state_before AND edge.target = p.state
    LEFT JOIN LATERAL (
        SELECT e.state, e.entry_id FROM public.payout_events AS e
        WHERE e.ledger_id = p.ledger_id AND e.payout_id = p.id AND e.version BETWEEN p.version AND p.version
        ORDER BY e.version LIMIT 1) AS v ON true
    LEFT JOIN LATERAL (
        SELECT j.kind, j.subject_kind, j.subject_id, j.reference FROM public.journal_entries AS j
        WHERE j.ledger_id = p.ledger_id AND j.id BETWEEN v.entry_id AND v.entry_id ORDER BY j.id LIMIT 1) AS entry ON true
    WHERE v.state IS DISTINCT FROM p.state
       OR CASE WHEN edge.kinds = '{}' THEN v.entry_id IS NOT NULL
          ELSE NOT coalesce(entry.kind = ANY (edge.kinds), false)
            OR NOT CASE WHEN entry.subject_kind = 'payout' THEN entry.subject_id = public.payout_public_id(p.id)
               ELSE coalesce(entry.subject_kind = 'payout_receipt', false) AND EXISTS (
                   SELECT FROM public.provider_references AS r
                   WHERE r.ledger_id = p.ledger_id AND r.provider = p.rail AND r.kind = 'receipt'
                     AND r.value = entry.reference AND r.payout_id = p.id) END
            OR NOT EXISTS (SELECT FROM (
                   SELECT q.currency, q.amount FROM public.postings AS q
                   WHERE q.ledger_id = p.ledger_id AND q.entry_id = v.entry_id ORDER BY q.line OFFSET 0) AS line
               WHERE line.currency = p.currency AND line.amount = p.amount)
          END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payout % changes without its event, or without the entry that this change posts', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_follows_its_entry', TABLE = 'payouts';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION payouts_must_be_reserved() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT p.id INTO stray
    FROM added AS p
    LEFT JOIN LATERAL (
        SELECT e.entry_id FROM public.payout_events AS e
        WHERE e.ledger_id = p.ledger_id AND e.payout_id = p.id AND e.version BETWEEN p.version AND p.version
        ORDER BY e.version LIMIT 1) AS v ON true
    LEFT JOIN LATERAL (
        SELECT j.kind, j.subject_kind, j.subject_id FROM public.journal_entries AS j
        WHERE j.ledger_id = p.ledger_id AND j.id BETWEEN p.reserve_entry_id AND p.reserve_entry_id
        ORDER BY j.id LIMIT 1) AS entry ON true
    WHERE v.entry_id IS DISTINCT FROM p.reserve_entry_id
       OR (entry.kind, entry.subject_kind, entry.subject_id)
          IS DISTINCT FROM ('payout.reserved', 'payout', public.payout_public_id(p.id))
       OR NOT EXISTS (SELECT FROM (
              SELECT q.currency, q.amount FROM public.postings AS q
              WHERE q.ledger_id = p.ledger_id AND q.entry_id = p.reserve_entry_id ORDER BY q.line OFFSET 0) AS line
          WHERE line.currency = p.currency AND line.amount = p.amount)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payout % begins without its event, or without the entry that reserves its money', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_follows_its_entry', TABLE = 'payouts';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION payout_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.payout_id INTO stray
    FROM added AS v
    LEFT JOIN LATERAL (
        SELECT known.version, known.state FROM public.payouts AS known
        WHERE known.ledger_id = v.ledger_id AND known.id BETWEEN v.payout_id AND v.payout_id
        ORDER BY known.id LIMIT 1) AS p ON true
    WHERE (v.version, v.state) IS DISTINCT FROM (p.version, p.state)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of payout % tells of a change that was not made', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_event_tells_a_change', TABLE = 'payout_events';
    END IF;
    RETURN NULL;
END $$;

DROP FUNCTION payout_entry_fits;

-- The transitions among those wanted that an entry stands for already, and the partners' references already in use: by key in
-- every plan, like stored_keys().
CREATE FUNCTION known_transitions(wanted_ledger integer, wanted_kinds text[], wanted_ids text[], wanted_names text[])
RETURNS TABLE (subject_kind text, subject_id text, kind text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT wanted.subject_kind, wanted.subject_id, wanted.kind
      FROM unnest(wanted_kinds, wanted_ids, wanted_names) AS wanted (subject_kind, subject_id, kind)
     CROSS JOIN LATERAL (
           SELECT FROM public.journal_entries AS known
            WHERE known.ledger_id = wanted_ledger AND known.subject_kind = wanted.subject_kind
              AND known.subject_id = wanted.subject_id AND known.kind = wanted.kind
              AND known.occurrence BETWEEN 0 AND 0
            ORDER BY known.occurrence LIMIT 1) AS stored;
END $$;

CREATE FUNCTION used_references(wanted_ledger integer, wanted_partners bigint[], wanted_references text[])
RETURNS TABLE (partner_id bigint, partner_reference text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT wanted.partner_id, wanted.partner_reference
      FROM unnest(wanted_partners, wanted_references) AS wanted (partner_id, partner_reference)
     CROSS JOIN LATERAL (
           SELECT FROM public.payouts AS known
            WHERE known.ledger_id = wanted_ledger AND known.partner_id = wanted.partner_id
              AND known.partner_reference BETWEEN wanted.partner_reference AND wanted.partner_reference
            ORDER BY known.partner_reference LIMIT 1) AS stored;
END $$;

-- What waits behind an earlier version is little; whoever looks for it reads nothing else.
CREATE INDEX webhook_deliveries_behind ON webhook_deliveries (ledger_id, endpoint_id) WHERE behind;
ALTER FUNCTION webhook_deliveries_let_the_next_go() SET enable_seqscan = off;
