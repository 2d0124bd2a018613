-- A reversing line undoes its original on the same account, and all reversals of a line together never exceed it. Links
-- of one line are numbered without a gap, so two reversals racing for the same remainder cannot both be stored.

CREATE FUNCTION reversal_links_must_fit() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    offender bigint;
BEGIN
    SELECT link.original_entry_id INTO offender
      FROM new_links AS link
      JOIN public.postings AS original ON original.ledger_id = link.ledger_id
           AND original.entry_id = link.original_entry_id AND original.line = link.original_line
      JOIN public.postings AS reversing ON reversing.ledger_id = link.ledger_id
           AND reversing.entry_id = link.reversing_entry_id AND reversing.line = link.reversing_line
      JOIN public.journal_entries AS header ON header.ledger_id = link.ledger_id AND header.id = link.reversing_entry_id
      LEFT JOIN public.reversal_links AS before ON before.ledger_id = link.ledger_id
           AND before.original_entry_id = link.original_entry_id AND before.original_line = link.original_line
           AND before.ordinal = link.ordinal - 1
     WHERE header.reverses_id IS DISTINCT FROM link.original_entry_id
        OR reversing.account_id <> original.account_id OR reversing.side = original.side OR reversing.amount <> link.amount
        OR (link.ordinal > 1 AND before.ordinal IS NULL)
        OR link.reversed_after <> coalesce(before.reversed_after, 0) + link.amount
        OR link.reversed_after > original.amount
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a reversal of journal entry % does not fit what is left of it', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reversal_fits_original', TABLE = 'reversal_links';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER reversal_links_fit AFTER INSERT ON reversal_links
    REFERENCING NEW TABLE AS new_links FOR EACH STATEMENT EXECUTE FUNCTION reversal_links_must_fit();

-- An entry that says it reverses another is linked to it line by line before its transaction ends: without links it would
-- escape the cap. Only reversals pay for the deferred check.
CREATE FUNCTION reversals_must_be_linked() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM public.reversal_links AS link
         WHERE link.ledger_id = NEW.ledger_id AND link.reversing_entry_id = NEW.id) <> NEW.posting_count THEN
        RAISE EXCEPTION 'journal entry % reverses % but is not linked to it line by line', NEW.id, NEW.reverses_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reversal_is_linked', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER journal_entries_reversals_are_linked AFTER INSERT ON journal_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.reverses_id IS NOT NULL)
    EXECUTE FUNCTION reversals_must_be_linked();
