-- Entries sealed into a chain per ledger, behind posting, in sets; each set has its checkpoint, signed with a key that the database
-- never sees. Seals name every column of an entry by its digest; what they say is checked outside, here only that there is one chain.

-- What commits late is found by its transaction, not by its id. By nothing else, so that no other plan takes this index, and entries of one
-- transaction share a key: a few bytes each.
CREATE INDEX journal_entries_by_transaction ON journal_entries (xid);

CREATE TABLE entry_seals (
    position bigint NOT NULL CONSTRAINT entry_seals_position_is_positive CHECK (position > 0),
    entry_id bigint NOT NULL,
    ledger_id integer NOT NULL,
    digest bytea NOT NULL CONSTRAINT entry_seals_digest_is_whole CHECK (length(digest) = 32),
    chain bytea NOT NULL,
    signature bytea NOT NULL CONSTRAINT entry_seals_signature_is_whole CHECK (length(signature) = 64),
    marks bytea NOT NULL,
    PRIMARY KEY (ledger_id, position),
    CONSTRAINT entry_seals_seal_once UNIQUE (ledger_id, entry_id)
);

CREATE TABLE seal_checkpoints (
    ledger_id integer NOT NULL REFERENCES ledgers,
    number bigint NOT NULL CONSTRAINT seal_checkpoints_number_is_positive CHECK (number > 0),
    from_position bigint NOT NULL,
    until_position bigint NOT NULL,
    root bytea NOT NULL CONSTRAINT seal_checkpoints_root_is_whole CHECK (length(root) = 32),
    chain bytea NOT NULL,
    is_complete boolean NOT NULL,
    signed_at timestamptz NOT NULL,
    key text NOT NULL,
    signature bytea NOT NULL CONSTRAINT seal_checkpoints_signature_is_whole CHECK (length(signature) = 64),
    PRIMARY KEY (ledger_id, number),
    CONSTRAINT seal_checkpoints_end_once UNIQUE (ledger_id, until_position),
    CONSTRAINT seal_checkpoints_are_of_something CHECK (from_position <= until_position)
);

CALL make_append_only('entry_seals', 'seal_checkpoints');

-- One chain without a gap: each seal follows the one before, over an entry that there is, up to the end of a checkpoint.
-- No foreign key to the entries: it would lock, and so write, every one of them again.
-- Probes are ranges of one value in the order of the right index, so that no plan made for a small table walks another one.
CREATE FUNCTION entry_seals_must_follow() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT s.position INTO stray
    FROM added AS s
    LEFT JOIN LATERAL (
        SELECT one.chain FROM public.entry_seals AS one
        WHERE one.ledger_id = s.ledger_id AND one.position BETWEEN s.position - 1 AND s.position - 1
        ORDER BY one.position LIMIT 1) AS before ON true
    LEFT JOIN LATERAL (
        SELECT e.id FROM public.journal_entries AS e WHERE e.ledger_id = s.ledger_id AND e.id BETWEEN s.entry_id AND s.entry_id
        ORDER BY e.id LIMIT 1) AS sealed ON true
    LEFT JOIN LATERAL (
        SELECT c.from_position FROM public.seal_checkpoints AS c
        WHERE c.ledger_id = s.ledger_id AND c.until_position >= s.position ORDER BY c.until_position LIMIT 1) AS over ON true
    LEFT JOIN public.ledgers AS l ON l.id = s.ledger_id AND s.position = 1
    WHERE s.chain IS DISTINCT FROM sha256(
            coalesce(before.chain, sha256(convert_to('daftari chain 1' || chr(10) || l.code, 'UTF8')))
            || int8send(s.position) || int8send(s.entry_id) || s.digest || s.signature || s.marks)
        OR sealed.id IS NULL OR over.from_position IS NULL OR over.from_position > s.position
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'seal % does not follow the chain, or seals no entry, or has no checkpoint', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'seals_form_one_chain', TABLE = 'entry_seals';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entry_seals_follow AFTER INSERT ON entry_seals
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION entry_seals_must_follow();

-- Checkpoints leave out no seal, and end where the chain is as they say.
CREATE FUNCTION seal_checkpoints_must_follow() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT c.number INTO stray
    FROM added AS c
    LEFT JOIN public.seal_checkpoints AS before ON before.ledger_id = c.ledger_id AND before.number = c.number - 1
    LEFT JOIN public.entry_seals AS s ON s.ledger_id = c.ledger_id AND s.position = c.until_position
    WHERE c.from_position IS DISTINCT FROM CASE WHEN c.number = 1 THEN 1 ELSE before.until_position + 1 END
        OR c.chain IS DISTINCT FROM s.chain
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'checkpoint % does not follow the one before, or is not over the chain', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'checkpoints_follow_seals', TABLE = 'seal_checkpoints';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER seal_checkpoints_follow AFTER INSERT ON seal_checkpoints
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION seal_checkpoints_must_follow();
