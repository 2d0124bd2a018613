-- What a run's breaks came to is asked for by run.

CREATE INDEX adjustments_by_run ON adjustments (ledger_id, run_id, id);
