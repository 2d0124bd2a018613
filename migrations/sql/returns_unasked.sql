-- Returns that the provider made unasked, returns known too late, the id that a return is asked about by, and cases about one.

ALTER TABLE returns ADD COLUMN originator text;
ALTER TABLE returns ADD COLUMN unasked boolean NOT NULL DEFAULT false;
ALTER TABLE returns DROP CONSTRAINT returns_returned_have_a_receipt;
-- Of what the provider did of its own accord its receipt may be unknown.
ALTER TABLE returns ADD CONSTRAINT returns_returned_have_a_receipt
    CHECK ((state = 'RETURNED') = (return_receipt IS NOT NULL) OR (unasked AND state = 'RETURNED'));
GRANT UPDATE (originator) ON returns TO daftari_app;

ALTER TABLE reviews ADD COLUMN return_id bigint;
ALTER TABLE reviews ADD CONSTRAINT reviews_return_exists FOREIGN KEY (ledger_id, return_id) REFERENCES returns;
CREATE INDEX reviews_by_return ON reviews (ledger_id, return_id) WHERE return_id IS NOT NULL;

INSERT INTO return_edges VALUES ('returned', 'FAILED', 'RETURNED', 'collection.taken_back');

-- What became of a receipt may be asked.
ALTER TABLE instructions ADD COLUMN receipt_id bigint;
ALTER TABLE instructions ADD CONSTRAINT instructions_receipt_exists FOREIGN KEY (ledger_id, receipt_id) REFERENCES receipts;
ALTER TABLE instructions ADD CONSTRAINT instructions_are_unique_per_receipt UNIQUE (ledger_id, receipt_id, kind);
ALTER TABLE instructions DROP CONSTRAINT instructions_are_about_one_thing;
ALTER TABLE instructions ADD CONSTRAINT instructions_are_about_one_thing
    CHECK (num_nonnulls(payout_id, prompt_id, return_id, receipt_id) = 1);
