-- For a partner's list of its own prompts.

CREATE INDEX prompts_by_partner ON prompts (ledger_id, partner_id, id) WHERE partner_id IS NOT NULL;
