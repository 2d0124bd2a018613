-- A case knows the entry whose money waits for it in suspense; such money is charged, clawed back, or was never gone.

ALTER TABLE reviews ADD COLUMN held_entry_id bigint;
ALTER TABLE reviews ADD CONSTRAINT reviews_hold_an_entry FOREIGN KEY (ledger_id, held_entry_id) REFERENCES journal_entries;
CREATE UNIQUE INDEX reviews_one_per_held_entry ON reviews (ledger_id, held_entry_id) WHERE held_entry_id IS NOT NULL;
ALTER TABLE reviews DROP CONSTRAINT reviews_queue_is_named;
ALTER TABLE reviews ADD CONSTRAINT reviews_queue_is_named CHECK (queue IN
    ('submit-unknown', 'provider-conflict', 'not-sent', 'callback-orphan', 'amount-mismatch', 'statement-unmatched',
     'ledger-unmatched', 'unledgered-movement', 'reversal-race', 'poison-message', 'webhook-dead', 'limit-hold',
     'kyc-party-changed'));

ALTER TABLE review_resolutions DROP CONSTRAINT review_resolutions_verb_is_known;
ALTER TABLE review_resolutions ADD CONSTRAINT review_resolutions_verb_is_known
    CHECK (verb IN ('settle', 'release', 'charge', 'claw-back', 'refute', 'dismiss', 'answered'));
ALTER TABLE review_resolutions DROP CONSTRAINT review_resolutions_that_move_money_post;
ALTER TABLE review_resolutions ADD CONSTRAINT review_resolutions_that_move_money_post CHECK
    ((verb IN ('settle', 'release', 'charge', 'claw-back', 'refute')) = (entry_id IS NOT NULL));
