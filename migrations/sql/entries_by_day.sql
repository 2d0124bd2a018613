-- Entries come in nearly the order of their business dates: a summary of each 32 pages finds those of a day (ledger/journal/span.py).
-- A B-tree would find them as well, at 32 bytes an entry instead of a sixth of one.

CREATE INDEX journal_entries_by_day ON journal_entries USING brin (business_date)
    WITH (pages_per_range = 32, autosummarize = on);
