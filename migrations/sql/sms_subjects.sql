-- What a message tells of: a payout, an order that is paid, a repayment of a loan by the version it made, or a date on which a
-- loan is due. Rows of before tell of payouts, and stay as they are.

ALTER TABLE sms_messages
    ALTER COLUMN payout_id DROP NOT NULL,
    ADD COLUMN order_id bigint,
    ADD COLUMN loan_id bigint,
    ADD COLUMN loan_version integer,
    ADD COLUMN due_on date,
    ADD CONSTRAINT sms_order_exists FOREIGN KEY (ledger_id, order_id) REFERENCES orders,
    ADD CONSTRAINT sms_loan_exists FOREIGN KEY (ledger_id, loan_id) REFERENCES loans,
    ADD CONSTRAINT sms_loan_changed FOREIGN KEY (ledger_id, loan_id, loan_version) REFERENCES loan_events,
    ADD CONSTRAINT sms_is_about_one_thing CHECK (num_nonnulls(payout_id, order_id, loan_id) = 1),
    ADD CONSTRAINT sms_event_fits_its_subject CHECK (
        (order_id IS NOT NULL) = (event = 'order.paid') AND (loan_version IS NOT NULL) = (event = 'loan.repaid')
        AND (due_on IS NOT NULL) = (event = 'loan.due') AND (loan_id IS NOT NULL) = (event IN ('loan.repaid', 'loan.due')));

-- Each is told once; a payout's by the constraint it has.
CREATE UNIQUE INDEX sms_tells_an_order_once ON sms_messages (ledger_id, order_id) WHERE order_id IS NOT NULL;
CREATE UNIQUE INDEX sms_tells_a_repayment_once ON sms_messages (ledger_id, loan_id, loan_version)
    WHERE loan_version IS NOT NULL;
CREATE UNIQUE INDEX sms_tells_a_due_date_once ON sms_messages (ledger_id, loan_id, due_on) WHERE due_on IS NOT NULL;

-- Who paid an order is whose prompt for it was paid.
CREATE INDEX prompts_by_order ON prompts (ledger_id, order_id) WHERE order_id IS NOT NULL;

CREATE OR REPLACE FUNCTION sms_must_begin_queued() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT m.id INTO stray
    FROM added AS m
    LEFT JOIN public.sms_events AS v ON v.ledger_id = m.ledger_id AND v.sms_id = m.id AND v.version = 1
    WHERE (m.version, m.state, v.state, v.event) IS DISTINCT FROM (1, 'QUEUED', 'QUEUED', 'queued')
       OR num_nonnulls(m.provider_message_id, m.failure_code) <> 0
       OR NOT CASE
           WHEN m.payout_id IS NOT NULL THEN EXISTS (
               SELECT FROM public.payouts AS p
               WHERE p.ledger_id = m.ledger_id AND p.id = m.payout_id AND p.party_id = m.party_id)
           WHEN m.order_id IS NOT NULL THEN EXISTS (
               SELECT FROM public.orders AS o JOIN public.prompts AS q ON q.ledger_id = o.ledger_id AND q.order_id = o.id
               WHERE o.ledger_id = m.ledger_id AND o.id = m.order_id AND o.state = 'PAID' AND q.state = 'PAID'
                 AND q.party_id = m.party_id)
           ELSE EXISTS (
               SELECT FROM public.loans AS l WHERE l.ledger_id = m.ledger_id AND l.id = m.loan_id AND l.party_id = m.party_id)
               AND (m.loan_version IS NULL OR EXISTS (
                   SELECT FROM public.loan_events AS e
                   WHERE e.ledger_id = m.ledger_id AND e.loan_id = m.loan_id AND e.version = m.loan_version
                     AND e.event IN ('repaid', 'paid_off')))
          END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'message % begins otherwise than queued, without its event, or to somebody else', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sms_follows_its_event', TABLE = 'sms_messages';
    END IF;
    RETURN NULL;
END $$;
