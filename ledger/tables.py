"""The whole schema on one page, for queries in SQLAlchemy Core. The DDL itself is migrations/sql; a test compares the
two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
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

metadata = MetaData()


def _moment(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


def _moments(*names: str) -> list[Column[object]]:
    return [_moment(name) for name in names]


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text) for name in names]


def _place() -> tuple[Column[int], Column[int]]:
    """The key of most tables."""
    return Column("ledger_id", Integer, primary_key=True), Column("id", BigInteger, primary_key=True)


currencies = Table("currencies", metadata, Column("code", Text, primary_key=True), Column("exponent", SmallInteger))

ledgers = Table(
    "ledgers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("base_currency", Text),
    Column("time_zone", Text),
    _moment("created_at"),
)

accounts = Table(
    "accounts",
    metadata,
    *_place(),
    Column("path", Text),
    Column("number", Text),
    Column("name", Text),
    Column("class", Text),
    Column("normal_side", Text),
    Column("currency", Text),
    Column("role", Text),
    Column("provider", Text),
    Column("wallet_ref", Text),
    Column("owner_kind", Text),
    Column("owner_ref", Text),
    _moment("opened_at"),
)

account_balances = Table(
    "account_balances",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("account_id", BigInteger, primary_key=True),
    Column("debits", BigInteger),
    Column("credits", BigInteger),
    Column("version", BigInteger),
    Column("last_entry_id", BigInteger),
    Column("floor", BigInteger),
    Column("ceiling", BigInteger),
    _moment("closed_at"),
)

journal_entries = Table(
    "journal_entries",
    metadata,
    *_place(),
    Column("kind", Text),
    Column("subject_kind", Text),
    Column("subject_id", Text),
    Column("occurrence", BigInteger),
    _moment("effective_at"),
    _moment("recorded_at"),
    Column("business_date", Date),
    Column("posting_count", SmallInteger),
    Column("reverses_id", BigInteger),
    Column("source", Text),
    Column("actor", Text),
    Column("reference", Text),
    Column("narrative", Text),
    Column("facts", JSONB),
    Column("xid", Text),
)

postings = Table(
    "postings",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("entry_id", BigInteger, primary_key=True),
    Column("line", SmallInteger, primary_key=True),
    Column("account_id", BigInteger),
    Column("currency", Text),
    Column("side", Text),
    Column("amount", BigInteger),
    Column("account_version", BigInteger),
    Column("balance_after", BigInteger),
)

account_days = Table(
    "account_days",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("account_id", BigInteger, primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("debits", BigInteger),
    Column("credits", BigInteger),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("client_id", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("method", Text),
    Column("request_hash", LargeBinary),
    Column("result_id", BigInteger),
    _moment("created_at"),
)

reversal_links = Table(
    "reversal_links",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("original_entry_id", BigInteger, primary_key=True),
    Column("original_line", SmallInteger, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("reversing_entry_id", BigInteger),
    Column("reversing_line", SmallInteger),
    Column("amount", BigInteger),
    Column("reversed_after", BigInteger),
)

partners = Table(
    "partners",
    metadata,
    *_place(),
    Column("code", Text),
    Column("name", Text),
    Column("currency", Text),
    Column("payout_fee", BigInteger),
    _moment("created_at"),
    _moment("suspended_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("client_id", BigInteger),
    Column("ledger_id", Integer),
    Column("partner_id", BigInteger),
    Column("name", Text),
    Column("secret_hash", LargeBinary),
    Column("permissions", ARRAY(Text)),
    _moment("created_at"),
    _moment("expires_at"),
    _moment("revoked_at"),
)

parties = Table(
    "parties",
    metadata,
    *_place(),
    Column("msisdn_index", LargeBinary),
    Column("msisdn_ciphertext", LargeBinary),
    Column("msisdn_masked", Text),
    _moment("created_at"),
)

provider_tariffs = Table(
    "provider_tariffs",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("from_amount", BigInteger, primary_key=True),
    Column("to_amount", BigInteger),
    Column("charge", BigInteger),
)

payouts = Table(
    "payouts",
    metadata,
    *_place(),
    Column("partner_id", BigInteger),
    Column("partner_reference", Text),
    Column("party_id", BigInteger),
    Column("currency", Text),
    Column("amount", BigInteger),
    Column("fee", BigInteger),
    Column("provider_charge", BigInteger),
    Column("purpose", Text),
    Column("remarks", Text),
    Column("rail", Text),
    Column("shortcode", Text),
    Column("provider_reference", Text),
    Column("reserve_entry_id", BigInteger),
    Column("state", Text),
    Column("version", Integer),
    Column("receipt", Text),
    Column("failure_code", Text),
    Column("failure_text", Text),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("completed_at"),
)

payout_events = Table(
    "payout_events",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("payout_id", BigInteger, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text),
    Column("event", Text),
    Column("entry_id", BigInteger),
    Column("detail", Text),
    _moment("recorded_at"),
    Column("xid", Text),
)

provider_references = Table(
    "provider_references",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("payout_id", BigInteger),
    _moment("created_at"),
)

instructions = Table(
    "instructions",
    metadata,
    *_place(),
    Column("kind", Text),
    Column("payout_id", BigInteger),
    _moment("due_at"),
    Column("attempts", Integer),
    Column("lease_token", BigInteger),
    _moment("done_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("instruction_id", BigInteger, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("token_hash", LargeBinary),
    _moment("started_at"),
    _moment("finished_at"),
    Column("answer", Text),
    Column("detail", Text),
)

inbox = Table(
    "inbox",
    metadata,
    *_place(),
    Column("provider", Text),
    Column("kind", Text),
    Column("token_hash", LargeBinary),
    Column("raw", LargeBinary),
    Column("remote_address", Text),
    _moment("received_at"),
    Column("tries", Integer),
    _moment("due_at"),
    _moment("judged_at"),
    Column("verdict", Text),
    Column("detail", Text),
    Column("payout_id", BigInteger),
)

reviews = Table(
    "reviews",
    metadata,
    *_place(),
    Column("queue", Text),
    Column("payout_id", BigInteger),
    Column("inbox_id", BigInteger),
    Column("reason", Text),
    _moment("opened_at"),
)

review_resolutions = Table(
    "review_resolutions",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("review_id", BigInteger, primary_key=True),
    Column("verb", Text),
    Column("evidence", Text),
    Column("actor", Text),
    Column("entry_id", BigInteger),
    _moment("resolved_at"),
)

float_assertions = Table(
    "float_assertions",
    metadata,
    *_place(),
    Column("provider", Text),
    Column("shortcode", Text),
    Column("sub_account", Text),
    Column("currency", Text),
    Column("available", BigInteger),
    _moment("asserted_at"),
    Column("source", Text),
    Column("payout_id", BigInteger),
)

payout_limits = Table(
    "payout_limits",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("partner_id", BigInteger, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("span", Text, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("amount_max", BigInteger),
    Column("count_max", BigInteger),
    Column("set_by", Text),
    _moment("set_at"),
)

payout_usage = Table(
    "payout_usage",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("partner_id", BigInteger, primary_key=True),
    Column("payee", LargeBinary, primary_key=True),
    Column("span", Text, primary_key=True),
    Column("starts_at", DateTime(timezone=True), primary_key=True),
    Column("amount", BigInteger),
    Column("count", BigInteger),
)

rail_stops = Table(
    "rail_stops",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("rail", Text, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("reason", Text),
    Column("stopped_by", Text),
    _moment("stopped_at"),
    Column("resumed_by", Text),
    _moment("resumed_at"),
)

vault_secrets = Table(
    "vault_secrets",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("key_fingerprint", Text),
    Column("fingerprint", Text),
    Column("written_by", Text),
    _moment("written_at"),
)

vault_openings = Table(
    "vault_openings",
    metadata,
    *_place(),
    Column("name", Text),
    Column("version", Integer),
    Column("purpose", Text),
    _moment("opened_at"),
)

provider_tokens = Table(
    "provider_tokens",
    metadata,
    Column("app", Text, primary_key=True),
    Column("sealed", LargeBinary),
    _moment("usable_until"),
)

balance_queries = Table(
    "balance_queries",
    metadata,
    *_place(),
    Column("provider", Text),
    Column("shortcode", Text),
    Column("token_hash", LargeBinary),
    _moment("asked_at"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    *_place(),
    Column("partner_id", BigInteger),
    *_texts("url", "request_id", "disabled_why"),
    *_moments("created_at", "failing_since", "probe_at", "recovered_at", "disabled_at"),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    *_place(),
    Column("endpoint_id", BigInteger),
    Column("request_id", Text),
    Column("sealed", LargeBinary),
    *_moments("created_at", "retires_at"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    *_place(),
    Column("endpoint_id", BigInteger),
    Column("payout_id", BigInteger),
    Column("version", Integer),
    Column("payload", LargeBinary),
    Column("tries", Integer),
    Column("lease_token", BigInteger),
    *_texts("event", "state", "answer"),
    *_moments("created_at", "due_at", "tried_at", "leased_until"),
)
