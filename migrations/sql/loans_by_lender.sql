-- A lender's loans are found as a borrower's are.
CREATE INDEX loans_by_lender ON loans (ledger_id, lender, id) WHERE lender IS NOT NULL;
