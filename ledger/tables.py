"""The whole schema on one page, for queries in SQLAlchemy Core: each table's key, then its other columns.

The DDL itself is migrations/sql; a test compares the two.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData()

MOMENT = DateTime(timezone=True)
TEXTS = ARRAY(Text)


Kind: TypeAlias = TypeEngine[Any] | type[TypeEngine[Any]]


def _table(name: str, key: dict[str, Kind], /, **columns: Kind) -> Table:
    keys = [Column(column, kind, primary_key=True) for column, kind in key.items()]
    return Table(name, metadata, *keys, *(Column(column, kind) for column, kind in columns.items()))


# fmt: off
currencies = _table("currencies", {"code": Text},
    exponent=SmallInteger)

ledgers = _table("ledgers", {"id": Integer},
    code=Text, name=Text, base_currency=Text, time_zone=Text, created_at=MOMENT)

accounts = _table("accounts", {"ledger_id": Integer, "id": BigInteger},
    path=Text, number=Text, name=Text, **{"class": Text}, normal_side=Text, currency=Text, role=Text, provider=Text,
    wallet_ref=Text, owner_kind=Text, owner_ref=Text, opened_at=MOMENT)

account_balances = _table("account_balances", {"ledger_id": Integer, "account_id": BigInteger},
    debits=BigInteger, credits=BigInteger, version=BigInteger, last_entry_id=BigInteger, floor=BigInteger,
    ceiling=BigInteger, closed_at=MOMENT)

journal_entries = _table("journal_entries", {"ledger_id": Integer, "id": BigInteger},
    kind=Text, subject_kind=Text, subject_id=Text, occurrence=BigInteger, effective_at=MOMENT, recorded_at=MOMENT,
    business_date=Date, posting_count=SmallInteger, reverses_id=BigInteger, source=Text, actor=Text, reference=Text,
    narrative=Text, facts=JSONB, xid=Text)

postings = _table("postings", {"ledger_id": Integer, "entry_id": BigInteger, "line": SmallInteger},
    account_id=BigInteger, currency=Text, side=Text, amount=BigInteger, account_version=BigInteger,
    balance_after=BigInteger)

account_days = _table("account_days", {"ledger_id": Integer, "account_id": BigInteger, "business_date": Date},
    debits=BigInteger, credits=BigInteger)

idempotency_keys = _table("idempotency_keys", {"ledger_id": Integer, "client_id": BigInteger, "key": Text},
    method=Text, request_hash=LargeBinary, result_id=BigInteger, created_at=MOMENT)

reversal_links = _table("reversal_links",
    {"ledger_id": Integer, "original_entry_id": BigInteger, "original_line": SmallInteger, "ordinal": Integer},
    reversing_entry_id=BigInteger, reversing_line=SmallInteger, amount=BigInteger, reversed_after=BigInteger)

partners = _table("partners", {"ledger_id": Integer, "id": BigInteger},
    code=Text, name=Text, currency=Text, payout_fee=BigInteger, created_at=MOMENT, suspended_at=MOMENT)

api_keys = _table("api_keys", {"id": BigInteger},
    client_id=BigInteger, ledger_id=Integer, partner_id=BigInteger, name=Text, secret_hash=LargeBinary,
    permissions=TEXTS, created_at=MOMENT, expires_at=MOMENT, revoked_at=MOMENT)

parties = _table("parties", {"ledger_id": Integer, "id": BigInteger},
    payee_index=LargeBinary, payee_ciphertext=LargeBinary, payee_masked=Text, created_at=MOMENT)

provider_tariffs = _table("provider_tariffs",
    {"ledger_id": Integer, "provider": Text, "service": Text, "currency": Text, "valid_from": Date,
     "from_amount": BigInteger},
    to_amount=BigInteger, charge=BigInteger)

entry_seals = _table("entry_seals", {"ledger_id": Integer, "position": BigInteger},
    entry_id=BigInteger, digest=LargeBinary, chain=LargeBinary, signature=LargeBinary, marks=LargeBinary)

seal_checkpoints = _table("seal_checkpoints", {"ledger_id": Integer, "number": BigInteger},
    from_position=BigInteger, until_position=BigInteger, root=LargeBinary, chain=LargeBinary, is_complete=Boolean,
    signed_at=MOMENT, key=Text, signature=LargeBinary)

payouts = _table("payouts", {"ledger_id": Integer, "id": BigInteger},
    partner_id=BigInteger, partner_reference=Text, party_id=BigInteger, currency=Text, amount=BigInteger,
    fee=BigInteger, provider_charge=BigInteger, purpose=Text, remarks=Text, rail=Text, shortcode=Text,
    provider_reference=Text, reserve_entry_id=BigInteger, state=Text, version=Integer, receipt=Text,
    failure_code=Text, failure_text=Text, created_at=MOMENT, updated_at=MOMENT, completed_at=MOMENT, funding=Text)

payout_events = _table("payout_events", {"ledger_id": Integer, "payout_id": BigInteger, "version": Integer},
    state=Text, event=Text, entry_id=BigInteger, detail=Text, recorded_at=MOMENT, xid=Text)

provider_references = _table("provider_references",
    {"ledger_id": Integer, "provider": Text, "kind": Text, "value": Text},
    payout_id=BigInteger, created_at=MOMENT)

instructions = _table("instructions", {"ledger_id": Integer, "id": BigInteger},
    kind=Text, payout_id=BigInteger, due_at=MOMENT, attempts=Integer, lease_token=BigInteger, done_at=MOMENT,
    prompt_id=BigInteger, return_id=BigInteger, platform=Text, hinted=Boolean, receipt_id=BigInteger,
    sms_id=BigInteger)

attempts = _table("attempts", {"ledger_id": Integer, "instruction_id": BigInteger, "number": Integer},
    token_hash=LargeBinary, started_at=MOMENT, finished_at=MOMENT, answer=Text, detail=Text)

inbox = _table("inbox", {"ledger_id": Integer, "id": BigInteger},
    provider=Text, kind=Text, token_hash=LargeBinary, raw=LargeBinary, remote_address=Text, received_at=MOMENT,
    tries=Integer, due_at=MOMENT, judged_at=MOMENT, verdict=Text, detail=Text, payout_id=BigInteger)

reviews = _table("reviews", {"ledger_id": Integer, "id": BigInteger},
    queue=Text, payout_id=BigInteger, inbox_id=BigInteger, reason=Text, opened_at=MOMENT, held_entry_id=BigInteger,
    receipt_id=BigInteger, return_id=BigInteger)

review_resolutions = _table("review_resolutions", {"ledger_id": Integer, "review_id": BigInteger},
    verb=Text, evidence=Text, actor=Text, entry_id=BigInteger, resolved_at=MOMENT)

float_assertions = _table("float_assertions", {"ledger_id": Integer, "id": BigInteger},
    provider=Text, shortcode=Text, sub_account=Text, currency=Text, available=BigInteger, asserted_at=MOMENT,
    source=Text, payout_id=BigInteger)

payout_limits = _table("payout_limits",
    {"ledger_id": Integer, "partner_id": BigInteger, "scope": Text, "span": Text, "id": BigInteger},
    amount_max=BigInteger, count_max=BigInteger, set_by=Text, set_at=MOMENT)

payout_usage = _table("payout_usage",
    {"ledger_id": Integer, "partner_id": BigInteger, "payee": LargeBinary, "span": Text, "starts_at": MOMENT},
    amount=BigInteger, count=BigInteger)

rail_stops = _table("rail_stops", {"ledger_id": Integer, "rail": Text, "id": BigInteger},
    reason=Text, stopped_by=Text, stopped_at=MOMENT, resumed_by=Text, resumed_at=MOMENT)

vault_secrets = _table("vault_secrets", {"ledger_id": Integer, "name": Text, "version": Integer},
    sealed=LargeBinary, wrapped_key=LargeBinary, key_fingerprint=Text, fingerprint=Text, written_by=Text,
    written_at=MOMENT)

vault_retired_keys = _table("vault_retired_keys", {"key_fingerprint": Text}, retired_at=MOMENT)

vault_openings = _table("vault_openings", {"ledger_id": Integer, "id": BigInteger},
    name=Text, version=Integer, purpose=Text, opened_at=MOMENT)

provider_tokens = _table("provider_tokens", {"app": Text},
    sealed=LargeBinary, usable_until=MOMENT)

balance_queries = _table("balance_queries", {"ledger_id": Integer, "id": BigInteger},
    provider=Text, shortcode=Text, token_hash=LargeBinary, asked_at=MOMENT)

collection_shortcodes = _table("collection_shortcodes", {"ledger_id": Integer, "provider": Text, "shortcode": Text},
    currency=Text, landing=Text, accepts_unanswered=Boolean, refuses_unknown=Boolean, created_at=MOMENT)

collection_paths = _table("collection_paths", {"ledger_id": Integer, "token_hash": LargeBinary},
    provider=Text, shortcode=Text, kind=Text, created_at=MOMENT)

collection_calls = _table("collection_calls", {"ledger_id": Integer, "id": BigInteger},
    provider=Text, shortcode=Text, purpose=Text, token_hash=LargeBinary, made_at=MOMENT)

collection_listings = _table("collection_listings", {"ledger_id": Integer, "id": BigInteger},
    provider=Text, shortcode=Text, until=MOMENT, listed_at=MOMENT)

receipts = _table("receipts", {"ledger_id": Integer, "id": BigInteger},
    provider=Text, shortcode=Text, receipt=Text, currency=Text, amount=BigInteger, payer_form=Text, payer_shown=Text,
    reference_index=LargeBinary, reference_shown=Text, sealed=LargeBinary, completed_at=MOMENT, unallocated=BigInteger,
    suspended=BigInteger, allocated=BigInteger, returning_now=BigInteger, returned=BigInteger, version=Integer,
    created_at=MOMENT, updated_at=MOMENT)

receipt_events = _table("receipt_events", {"ledger_id": Integer, "receipt_id": BigInteger, "version": Integer},
    event=Text, entry_id=BigInteger, amount=BigInteger, detail=Text, actor=Text, recorded_at=MOMENT)

receipt_evidence = _table("receipt_evidence", {"ledger_id": Integer, "receipt_id": BigInteger, "channel": Text},
    inbox_id=BigInteger, told_at=MOMENT)

collection_references = _table("collection_references", {"ledger_id": Integer, "id": BigInteger},
    reference_index=LargeBinary, shown=Text, target_kind=Text, target_id=Text, created_at=MOMENT, retired_at=MOMENT)

allocations = _table("allocations", {"ledger_id": Integer, "id": BigInteger},
    receipt_id=BigInteger, from_suspense=Boolean, target_kind=Text, target_id=Text, amount=BigInteger,
    entry_id=BigInteger, actor=Text, created_at=MOMENT, undone_entry_id=BigInteger)

orders = _table("orders", {"ledger_id": Integer, "id": BigInteger},
    partner_id=BigInteger, reference=Text, currency=Text, amount=BigInteger, expires_at=MOMENT, state=Text,
    version=Integer, created_at=MOMENT, updated_at=MOMENT)

order_events = _table("order_events", {"ledger_id": Integer, "order_id": BigInteger, "version": Integer},
    state=Text, event=Text, receipt_id=BigInteger, paid=BigInteger, recorded_at=MOMENT)

prompts = _table("prompts", {"ledger_id": Integer, "id": BigInteger},
    partner_id=BigInteger, order_id=BigInteger, rail=Text, shortcode=Text, party_id=BigInteger, payer_index=LargeBinary,
    payer_shown=Text, currency=Text, amount=BigInteger, reference=Text, reference_index=LargeBinary, description=Text,
    expires_at=MOMENT, state=Text, version=Integer, checkout_index=LargeBinary, checkout_sealed=LargeBinary,
    told_paid_at=MOMENT, receipt_id=BigInteger, failure_code=Text, failure_text=Text, created_at=MOMENT,
    updated_at=MOMENT)

prompt_events = _table("prompt_events", {"ledger_id": Integer, "prompt_id": BigInteger, "version": Integer},
    state=Text, event=Text, detail=Text, actor=Text, recorded_at=MOMENT)

returns = _table("returns", {"ledger_id": Integer, "id": BigInteger},
    receipt_id=BigInteger, rail=Text, shortcode=Text, currency=Text, amount=BigInteger, reason=Text,
    reserve_entry_id=BigInteger, state=Text, version=Integer, conversation=Text, return_receipt=Text, failure_code=Text,
    failure_text=Text, created_at=MOMENT, updated_at=MOMENT, originator=Text, unasked=Boolean)

return_events = _table("return_events", {"ledger_id": Integer, "return_id": BigInteger, "version": Integer},
    state=Text, event=Text, entry_id=BigInteger, detail=Text, actor=Text, recorded_at=MOMENT)

payout_refunds = _table("payout_refunds", {"ledger_id": Integer, "id": BigInteger},
    payout_id=BigInteger, provider=Text, shortcode=Text, receipt=Text, currency=Text, amount=BigInteger,
    completed_at=MOMENT, evidence=Text, requested_by=Text, created_at=MOMENT)

refund_decisions = _table("refund_decisions", {"ledger_id": Integer, "refund_id": BigInteger},
    receipt_id=BigInteger, reason=Text, actor=Text, decided_at=MOMENT)

loan_products = _table("loan_products", {"ledger_id": Integer, "id": BigInteger},
    code=Text, version=Integer, name=Text, partner_id=BigInteger, mode=Text, currency=Text, terms=JSONB,
    weekend=ARRAY(SmallInteger), holidays=ARRAY(Date), second_person=Boolean, created_by=Text, created_at=MOMENT)

loans = _table("loans", {"ledger_id": Integer, "id": BigInteger},
    product_id=BigInteger, borrower=Text, party_id=BigInteger, lender=Text, currency=Text, gross=BigInteger,
    net=BigInteger, fee=BigInteger, reference=Text, second_person=Boolean, requested_by=Text, approved_by=Text,
    state=Text, version=Integer, payout_id=BigInteger, starts_on=Date, accrued_before=Date, worked_before=Date,
    penalties_charged=BigInteger, created_at=MOMENT, updated_at=MOMENT)

loan_events = _table("loan_events", {"ledger_id": Integer, "loan_id": BigInteger, "version": Integer},
    state=Text, event=Text, entry_id=BigInteger, amount=BigInteger, payout_id=BigInteger, receipt_id=BigInteger,
    detail=Text, actor=Text, recorded_at=MOMENT)

campaigns = _table("campaigns", {"ledger_id": Integer, "id": BigInteger},
    code=Text, name=Text, per_msisdn_max=Integer, per_msisdn_day_max=Integer, created_by=Text, created_at=MOMENT)

promo_batches = _table("promo_batches", {"ledger_id": Integer, "id": BigInteger},
    code=Text, campaign_id=BigInteger, partner_id=BigInteger, currency=Text, amount=BigInteger, count=Integer,
    funding=Text, shortcode=Text, assignee=Text, expires_at=MOMENT, second_person=Boolean, created_by=Text,
    activated_by=Text, activated_at=MOMENT, exported_at=MOMENT, state=Text, version=Integer, issued=Integer,
    live=Integer, redeemed=Integer, failed=Integer, created_at=MOMENT, updated_at=MOMENT)

promo_batch_events = _table(
    "promo_batch_events", {"ledger_id": Integer, "batch_id": BigInteger, "version": Integer},
    state=Text, event=Text, codes=Integer, entry_id=BigInteger, amount=BigInteger, detail=Text, actor=Text,
    recorded_at=MOMENT)

promo_batch_moves = _table("promo_batch_moves", {"event": Text, "source": Text, "target": Text},
    kinds=TEXTS)

promo_accounts = _table("promo_accounts", {"ledger_id": Integer, "account_id": BigInteger},
    batch_id=BigInteger, part=Text)

promo_codes = _table("promo_codes", {"ledger_id": Integer, "hash": LargeBinary},
    batch_id=BigInteger, number=Integer, state=Text)

promo_sheets = _table("promo_sheets", {"ledger_id": Integer, "batch_id": BigInteger, "first_number": Integer},
    codes=Integer, sealed=LargeBinary)

promo_redemptions = _table("promo_redemptions", {"ledger_id": Integer, "id": BigInteger},
    batch_id=BigInteger, number=Integer, campaign_id=BigInteger, party_id=BigInteger, day=Date, nth=Integer,
    nth_of_day=Integer, session=Text, state=Text, version=Integer, payout_id=BigInteger, tries=Integer,
    retry_at=MOMENT, created_at=MOMENT, updated_at=MOMENT)

promo_redemption_events = _table(
    "promo_redemption_events", {"ledger_id": Integer, "redemption_id": BigInteger, "version": Integer},
    state=Text, event=Text, payout_id=BigInteger, entry_id=BigInteger, actor=Text, recorded_at=MOMENT)

promo_redemption_moves = _table("promo_redemption_moves", {"event": Text, "source": Text, "target": Text},
    payouts=TEXTS)

promo_throttles = _table("promo_throttles", {"ledger_id": Integer, "scope": Text, "key": LargeBinary},
    started_at=MOMENT, wrong=Integer, recent=ARRAY(LargeBinary))

statement_files = _table("statement_files", {"ledger_id": Integer, "id": BigInteger},
    account_id=BigInteger, name=Text, sha256=LargeBinary, bytes=BigInteger, actor=Text, received_at=MOMENT)

statement_chunks = _table("statement_chunks",
    {"ledger_id": Integer, "file_id": BigInteger, "number": Integer},
    sealed=LargeBinary)

statement_imports = _table("statement_imports", {"ledger_id": Integer, "id": BigInteger},
    file_id=BigInteger, verdict=Text, reason=Text, lines=Integer, added=Integer, from_at=MOMENT, until_at=MOMENT,
    opening=BigInteger, closing=BigInteger, actor=Text, imported_at=MOMENT)

statement_lines = _table("statement_lines", {"ledger_id": Integer, "account_id": BigInteger, "id": BigInteger},
    file_id=BigInteger, digest=LargeBinary, ordinal=Integer, position=Integer, receipt=Text, completed_at=MOMENT,
    kind=Text, status=Text, amount=BigInteger, balance=BigInteger, details=Text, originator=Text, party=Text,
    reference=Text, linked_receipt=Text)

reconciliation_runs = _table("reconciliation_runs", {"ledger_id": Integer, "id": BigInteger},
    account_id=BigInteger, from_date=Date, until_date=Date, told_until=MOMENT, statement_opening=BigInteger,
    statement_closing=BigInteger, books_opening=BigInteger, books_closing=BigInteger, lines=Integer, decisions=Integer,
    breaks=Integer, difference=BigInteger, unexplained=BigInteger, resolved=Integer, actor=Text, recorded_at=MOMENT,
    carried=BigInteger)

reconciliation_decisions = _table(
    "reconciliation_decisions", {"ledger_id": Integer, "run_id": BigInteger, "number": Integer},
    state=Text, rule=Text, reason=Text, happened_at=MOMENT, receipt=Text, difference=BigInteger,
    line_ids=ARRAY(BigInteger), entry_ids=ARRAY(BigInteger), payout_id=BigInteger)

adjustments = _table("adjustments", {"ledger_id": Integer, "id": BigInteger},
    account_id=BigInteger, run_id=BigInteger, way=Text, numbers=ARRAY(Integer), line_ids=ARRAY(BigInteger),
    entry_ids=ARRAY(BigInteger), difference=BigInteger, receipt=Text, happened_at=MOMENT, reason=Text,
    proposed_by=Text, proposed_at=MOMENT)

adjustment_postings = _table("adjustment_postings",
    {"ledger_id": Integer, "adjustment_id": BigInteger, "line": SmallInteger},
    account_id=BigInteger, side=Text, amount=BigInteger)

adjustment_decisions = _table("adjustment_decisions", {"ledger_id": Integer, "adjustment_id": BigInteger},
    approved=Boolean, entry_id=BigInteger, reason=Text, actor=Text, decided_at=MOMENT)

adjusted_items = _table("adjusted_items",
    {"ledger_id": Integer, "account_id": BigInteger, "what": Text, "item_id": BigInteger},
    adjustment_id=BigInteger)

closings = _table("closings", {"ledger_id": Integer, "id": BigInteger},
    step=Text, first_date=Date, last_date=Date, open_items=Integer, reason=Text, actor=Text, recorded_at=MOMENT)

closing_accounts = _table("closing_accounts",
    {"ledger_id": Integer, "closing_id": BigInteger, "account_id": BigInteger},
    run_id=BigInteger, statement_closing=BigInteger, books_closing=BigInteger, explained=BigInteger, open=BigInteger,
    items=Integer)

webhook_endpoints = _table("webhook_endpoints", {"ledger_id": Integer, "id": BigInteger},
    partner_id=BigInteger, url=Text, request_id=Text, disabled_why=Text, created_at=MOMENT, failing_since=MOMENT,
    probe_at=MOMENT, recovered_at=MOMENT, disabled_at=MOMENT)

webhook_secrets = _table("webhook_secrets", {"ledger_id": Integer, "id": BigInteger},
    endpoint_id=BigInteger, request_id=Text, sealed=LargeBinary, created_at=MOMENT, retires_at=MOMENT)

sms_settings = _table("sms_settings", {"ledger_id": Integer},
    provider=Text, fallback=Text, sender=Text, brand=Text, language=Text, events=TEXTS, stop_covers=Text,
    token_hash=LargeBinary, actor=Text, updated_at=MOMENT)

sms_messages = _table("sms_messages", {"ledger_id": Integer, "id": BigInteger},
    event=Text, payout_id=BigInteger, party_id=BigInteger, language=Text, body=Text, segments=Integer, sender=Text,
    provider=Text, state=Text, version=Integer, provider_message_id=Text, failure_code=Text, created_at=MOMENT,
    updated_at=MOMENT, order_id=BigInteger, loan_id=BigInteger, loan_version=Integer, due_on=Date)

sms_events = _table("sms_events", {"ledger_id": Integer, "sms_id": BigInteger, "version": Integer},
    state=Text, event=Text, detail=Text, cost_currency=Text, cost_micros=BigInteger, actor=Text, recorded_at=MOMENT)

sms_edges = _table("sms_edges", {"event": Text, "source": Text, "target": Text})

sms_costs = _table("sms_costs", {"ledger_id": Integer, "provider": Text, "currency": Text},
    told_micros=BigInteger, unit_micros=BigInteger, posted_minor_units=BigInteger)

sms_opt_outs = _table("sms_opt_outs", {"ledger_id": Integer, "phone": LargeBinary},
    source=Text, opted_out_at=MOMENT, lifted_at=MOMENT)

alerts = _table("alerts", {"ledger_id": Integer, "id": BigInteger},
    kind=Text, subject=Text, summary=Text, opened_at=MOMENT, resolved_at=MOMENT, notices=Integer, tries=Integer,
    due_at=MOMENT)

webhook_deliveries = _table("webhook_deliveries", {"ledger_id": Integer, "id": BigInteger},
    endpoint_id=BigInteger, payout_id=BigInteger, order_id=BigInteger, loan_id=BigInteger, prompt_id=BigInteger,
    version=Integer, payload=LargeBinary, tries=Integer, lease_token=BigInteger, event=Text, state=Text, answer=Text,
    created_at=MOMENT, due_at=MOMENT, tried_at=MOMENT, leased_until=MOMENT, behind=Boolean)
# fmt: on
