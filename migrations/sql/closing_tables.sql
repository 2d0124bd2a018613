-- Business dates that are closed. One person begins a close, and from then on nobody may ask for an entry with such a date, but what
-- the books learn late still takes it; another signs, and from then on no entry has it. A close begins where the one before ended.

CREATE TABLE closings (
    ledger_id integer NOT NULL REFERENCES ledgers,
    id bigint NOT NULL,
    step text NOT NULL CONSTRAINT closings_step_is_known CHECK (step IN ('begun', 'reopened', 'signed')),
    first_date date,
    last_date date NOT NULL,
    open_items integer NOT NULL CONSTRAINT closings_open_items_not_negative CHECK (open_items >= 0),
    reason text NOT NULL,
    actor text NOT NULL CONSTRAINT closings_have_an_actor CHECK (length(actor) BETWEEN 1 AND 100),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT closings_cover_days CHECK (first_date <= last_date),
    CONSTRAINT closings_reopen_for_a_reason CHECK (step <> 'reopened' OR reason <> ''),
    CONSTRAINT closings_leave_open_what_the_signer_accepts CHECK (step <> 'signed' OR open_items = 0 OR reason <> '')
);
CREATE UNIQUE INDEX closings_signed ON closings (ledger_id, last_date) WHERE step = 'signed';

-- What was signed of each account that a provider keeps, too; amounts as its statement writes them.
CREATE TABLE closing_accounts (
    ledger_id integer NOT NULL,
    closing_id bigint NOT NULL,
    account_id bigint NOT NULL,
    run_id bigint,
    statement_closing bigint,
    books_closing bigint NOT NULL,
    explained bigint NOT NULL,
    open bigint NOT NULL,
    items integer NOT NULL,
    PRIMARY KEY (ledger_id, closing_id, account_id),
    FOREIGN KEY (ledger_id, closing_id) REFERENCES closings,
    FOREIGN KEY (ledger_id, account_id) REFERENCES accounts,
    FOREIGN KEY (ledger_id, run_id) REFERENCES reconciliation_runs,
    CONSTRAINT closing_accounts_add_up CHECK (
        statement_closing IS NULL OR statement_closing - books_closing = explained + open),
    CONSTRAINT closing_accounts_list_what_is_open CHECK (open = 0 OR items > 0)
);

CALL make_append_only('closings', 'closing_accounts');

-- One step after another. Signing waits for every posting under way and holds up those that come: each posting holds the same
-- lock, shared, until its transaction ends.
CREATE FUNCTION closings_must_follow() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    before public.closings;
    closed date;
    today date;
BEGIN
    PERFORM pg_advisory_xact_lock(20260002, NEW.ledger_id);
    IF NEW.step = 'signed' THEN
        PERFORM pg_advisory_xact_lock(20260001, NEW.ledger_id);
    END IF;
    SELECT * INTO before FROM public.closings AS c WHERE c.ledger_id = NEW.ledger_id ORDER BY c.id DESC LIMIT 1;
    SELECT max(c.last_date) INTO closed FROM public.closings AS c WHERE c.ledger_id = NEW.ledger_id AND c.step = 'signed';
    -- By whichever clock is behind: what is signed stays, and so nobody signs the future.
    SELECT least((NEW.recorded_at AT TIME ZONE l.time_zone)::date, (clock_timestamp() AT TIME ZONE l.time_zone)::date + 1)
      INTO today FROM public.ledgers AS l WHERE l.id = NEW.ledger_id;
    IF NEW.id <= before.id OR NEW.first_date IS DISTINCT FROM closed + 1 OR NEW.last_date >= today
        OR (before.step IS NOT DISTINCT FROM 'begun') = (NEW.step = 'begun')
        OR (NEW.step <> 'begun' AND NEW.last_date IS DISTINCT FROM before.last_date) THEN
        RAISE EXCEPTION 'closing % does not follow the one before', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'closings_follow_each_other', TABLE = 'closings';
    END IF;
    IF NEW.step = 'signed' AND NEW.actor = before.actor THEN
        RAISE EXCEPTION 'closing % is signed by whoever began it', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'closing_is_signed_by_another', TABLE = 'closings';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER closings_follow BEFORE INSERT ON closings FOR EACH ROW EXECUTE FUNCTION closings_must_follow();

-- What is signed of an account is what the books hold, and cannot change any more.
CREATE FUNCTION closing_accounts_must_be_the_books() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT a.account_id INTO stray
    FROM added AS a
    JOIN public.closings AS c ON c.ledger_id = a.ledger_id AND c.id = a.closing_id
    WHERE c.step <> 'signed' OR a.books_closing IS DISTINCT FROM (
        SELECT coalesce(sum(d.debits - d.credits), 0) FROM public.account_days AS d
        WHERE d.ledger_id = a.ledger_id AND d.account_id = a.account_id AND d.business_date <= c.last_date)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % is not signed as the books have it', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'closing_accounts_are_the_books', TABLE = 'closing_accounts';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER closing_accounts_are_the_books AFTER INSERT ON closing_accounts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION closing_accounts_must_be_the_books();

-- As before, and no entry has a business date that is signed. The lock first: what is signed meanwhile is seen behind it. Whoever was
-- overtaken runs its transaction again, and dates its entries anew.
CREATE OR REPLACE FUNCTION journal_entries_must_have_postings() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    offender bigint;
BEGIN
    SELECT header.id INTO offender
      FROM new_entries AS header
      LEFT JOIN LATERAL (
           SELECT line.entry_id FROM public.postings AS line
            WHERE line.ledger_id = header.ledger_id AND line.entry_id = header.id
              AND line.line BETWEEN header.posting_count AND header.posting_count
            ORDER BY line.line LIMIT 1) AS last ON true
     WHERE last.entry_id IS NULL OR header.xid <> pg_current_xact_id()
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % arrives without its postings, or claims another transaction', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_is_whole_and_balanced', TABLE = 'journal_entries';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(20260001, posted.ledger_id)
       FROM (SELECT DISTINCT header.ledger_id FROM new_entries AS header) AS posted;
    SELECT posted.ledger_id INTO offender
      FROM (SELECT header.ledger_id, min(header.business_date) AS earliest
              FROM new_entries AS header GROUP BY header.ledger_id) AS posted
     CROSS JOIN LATERAL (
           SELECT signed.last_date FROM public.closings AS signed
            WHERE signed.ledger_id = posted.ledger_id AND signed.step = 'signed'
            ORDER BY signed.last_date DESC LIMIT 1) AS closed
     WHERE posted.earliest <= closed.last_date
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an entry of ledger % has a business date that is closed', offender
            USING ERRCODE = 'serialization_failure', CONSTRAINT = 'entry_is_dated_in_an_open_period', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;
