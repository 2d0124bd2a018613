"""What each role may do to each table, as it is meant: the list that the database's own is compared with.

A new table takes its place here, or the comparison fails.
"""

from __future__ import annotations

# INSERT and SELECT for the application, SELECT for the reader, and nothing is ever changed, not even by the owner.
APPEND_ONLY = frozenset(
    {
        "accounts", "adjusted_items", "adjustment_decisions", "adjustment_postings", "adjustments", "balance_queries",
        "campaigns", "closing_accounts", "closings",
        "collection_calls", "collection_listings", "collection_paths",
        "collection_shortcodes", "currencies", "entry_seals",
        "float_assertions", "idempotency_keys", "journal_entries", "ledgers", "loan_events", "loan_moves",
        "loan_products", "order_events", "payout_edges", "payout_events", "payout_limits", "payout_refunds",
        "postings", "promo_accounts",
        "promo_batch_events", "promo_batch_moves", "promo_redemption_events", "promo_redemption_moves", "promo_sheets",
        "prompt_edges", "prompt_events", "provider_references", "provider_tariffs", "receipt_events",
        "receipt_evidence", "receipt_moves", "reconciliation_decisions",
        "reconciliation_runs", "refund_decisions", "return_edges", "return_events", "reversal_links",
        "review_resolutions",
        "reviews", "seal_checkpoints", "sms_edges", "sms_events", "statement_chunks", "statement_files",
        "statement_imports",
        "statement_lines", "vault_openings", "vault_retired_keys",
    }
)  # fmt: skip

# The same, but the application changes these columns. Rows are never deleted, not even by the owner.
KEPT = {
    "account_balances": "ceiling closed_at credits debits floor last_entry_id version",
    "account_days": "credits debits",
    "alerts": "due_at notices resolved_at summary tries",
    "allocations": "undone_entry_id",
    "api_keys": "revoked_at",
    "attempts": "answer detail finished_at",
    "collection_references": "retired_at",
    "inbox": "detail due_at judged_at payout_id tries verdict",
    "instructions": "attempts done_at due_at hinted lease_token platform",
    "loans": "accrued_before approved_by payout_id penalties_charged starts_on state updated_at version worked_before",
    "orders": "state updated_at version",
    "parties": "",
    "partners": "suspended_at",
    "payout_usage": "amount count",
    "payouts": "completed_at failure_code failure_text provider_charge receipt state updated_at version",
    "promo_batches": "activated_at activated_by exported_at failed issued live redeemed state updated_at version",
    "promo_codes": "state",
    "promo_redemptions": "payout_id retry_at state tries updated_at version",
    "promo_throttles": "recent started_at wrong",
    "prompts": "checkout_index checkout_sealed failure_code failure_text receipt_id state told_paid_at updated_at "
    "version",
    "provider_tokens": "app sealed usable_until",
    "receipts": "allocated returned returning_now suspended unallocated updated_at version",
    "rail_stops": "resumed_at resumed_by",
    "returns": "conversation failure_code failure_text originator return_receipt state updated_at version",
    "sms_costs": "posted_minor_units told_micros",
    "sms_messages": "failure_code provider provider_message_id sender state updated_at version",
    "sms_opt_outs": "lifted_at opted_out_at source",
    "sms_settings": "actor brand events fallback language provider sender stop_covers token_hash updated_at",
    "vault_secrets": "key_fingerprint wrapped_key",
    "webhook_deliveries": "answer behind due_at lease_token leased_until state tried_at tries",
    "webhook_endpoints": "disabled_at disabled_why failing_since probe_at recovered_at",
    "webhook_secrets": "retires_at",
}

# Made by migrations alone: the application only reads them.
SEALED = frozenset(
    {
        "alembic_version", "currencies", "loan_moves", "payout_edges", "promo_batch_moves", "promo_redemption_moves",
        "prompt_edges", "receipt_moves", "return_edges", "sms_edges",
    }
)  # fmt: skip
# Inserted without this column, which the database fills in.
NOT_GIVEN = {"payout_events": {"xid"}}
# What the reader sees of tables that hold secrets; of every other it sees all.
READER_SEES = {
    "promo_sheets": "",
    "provider_tokens": "",
    "statement_chunks": "",
    "vault_secrets": "fingerprint ledger_id name version written_at written_by",
}
# Alembic's own; no guard of ours stands on it.
UNGUARDED = frozenset({"alembic_version"})


def intended(role: str, table: str, columns: frozenset[str]) -> dict[str, frozenset[str]]:
    """The columns a role may SELECT, INSERT and UPDATE of a table that has these; nothing else is anybody's."""
    if role == "daftari_app":
        may = {
            "SELECT": columns,
            "INSERT": frozenset() if table in SEALED else columns - NOT_GIVEN.get(table, set()),
            "UPDATE": frozenset(KEPT.get(table, "").split()),
        }
    elif role == "daftari_reader":
        may = {"SELECT": frozenset(READER_SEES[table].split()) if table in READER_SEES else columns}
    elif role == "daftari_migrator":
        may = {"SELECT": columns if table == "alembic_version" else frozenset()}
    else:
        may = {}
    return {privilege: allowed for privilege, allowed in may.items() if allowed}
