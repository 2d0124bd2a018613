-- A run's decisions are written as they are made; its own row, which says what they add up to, comes last in the transaction.

ALTER TABLE reconciliation_decisions
    ALTER CONSTRAINT reconciliation_decisions_ledger_id_run_id_fkey DEFERRABLE INITIALLY DEFERRED;
