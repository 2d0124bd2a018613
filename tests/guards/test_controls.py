"""PostgreSQL keeps limits, switches, the vault and resolutions to their rules, whoever writes them."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest
from psycopg import sql

from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.stage import NOW, Connection, Stage, Values, refusal

FOREIGN, NOT_NULL, DENIED = "23503", "23502", "42501"
PARTNER, CASE = 5, 7
TOKEN = bytes(32)

LIMIT: Values = {"partner_id": PARTNER, "scope": "partner", "span": "day", "id": 1, "amount_max": 5, "set_by": "a",
                 "set_at": NOW}  # fmt: skip
USAGE: Values = {"partner_id": PARTNER, "payee": b"", "span": "day", "starts_at": NOW, "amount": 1, "count": 1}
STOP: Values = {"rail": "daraja", "id": 1, "reason": "down", "stopped_by": "a", "stopped_at": NOW}
SECRET: Values = {"name": "daraja/1/x", "version": 1, "sealed": b"s", "wrapped_key": b"w", "key_fingerprint": "k",
                  "fingerprint": "f", "written_by": "a", "written_at": NOW}  # fmt: skip
RESOLUTION: Values = {"review_id": CASE, "verb": "dismiss", "evidence": "seen", "actor": "a", "resolved_at": NOW}
ASSERTION: Values = {"id": 1, "provider": "daraja", "shortcode": "600584", "sub_account": "utility", "currency": "KES",
                     "available": -5, "asserted_at": NOW, "source": "query"}  # fmt: skip
QUESTION: Values = {"id": 1, "provider": "daraja", "shortcode": "600584", "token_hash": TOKEN, "asked_at": NOW}
ROWS: dict[LiteralString, Values] = {
    "payout_limits": LIMIT, "payout_usage": USAGE, "rail_stops": STOP, "vault_secrets": SECRET,
    "review_resolutions": RESOLUTION, "float_assertions": ASSERTION, "balance_queries": QUESTION,
}  # fmt: skip


def insert(connection: Connection, table: LiteralString, values: Values) -> None:
    """One row."""
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    marks = sql.SQL(", ").join([sql.Placeholder()] * len(values))
    query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, marks)
    connection.execute(query, list(values.values()))


@pytest.fixture
def ground(app: Connection, stage: Stage) -> int:
    """A ledger with a partner and a case; its id. Uncommitted, with everything the tests add."""
    partner = {"id": PARTNER, "code": "shop", "name": "Shop", "currency": "KES", "payout_fee": 0, "created_at": NOW}
    insert(app, "partners", {"ledger_id": stage.ledger_id} | partner)
    case = {"id": CASE, "queue": "callback-orphan", "reason": "no attempt", "opened_at": NOW}
    insert(app, "reviews", {"ledger_id": stage.ledger_id} | case)
    return stage.ledger_id


@pytest.mark.parametrize("table", ROWS)
def test_a_row_as_it_is_meant_is_taken(app: Connection, ground: int, table: LiteralString) -> None:
    insert(app, table, {"ledger_id": ground} | ROWS[table])


ATTACKS: list[tuple[LiteralString, dict[str, Any], str, str | None]] = [
    ("payout_limits", {"scope": "world"}, CHECK, "payout_limits_scope_is_known"),
    ("payout_limits", {"span": "week"}, CHECK, "payout_limits_span_is_known"),
    ("payout_limits", {"amount_max": -1}, CHECK, "payout_limits_amount_not_negative"),
    ("payout_limits", {"count_max": -1}, CHECK, "payout_limits_count_not_negative"),
    ("payout_usage", {"amount": -1}, CHECK, "payout_usage_amount_not_negative"),
    ("payout_usage", {"count": -1}, CHECK, "payout_usage_count_not_negative"),
    ("rail_stops", {"reason": ""}, CHECK, "rail_stops_have_a_reason"),
    ("rail_stops", {"resumed_by": "b"}, CHECK, "rail_stops_resume_is_whole"),
    ("rail_stops", {"resumed_at": NOW}, CHECK, "rail_stops_resume_is_whole"),
    ("vault_secrets", {"name": "UPPER"}, CHECK, "vault_secrets_name_is_plain"),
    ("vault_secrets", {"version": 0}, CHECK, "vault_secrets_version_is_positive"),
    ("vault_secrets", {"sealed": None}, NOT_NULL, None),
    ("review_resolutions", {"verb": "forget"}, CHECK, "review_resolutions_verb_is_known"),
    ("review_resolutions", {"evidence": ""}, CHECK, "review_resolutions_have_evidence"),
    ("review_resolutions", {"verb": "settle"}, CHECK, "review_resolutions_that_move_money_post"),
    ("review_resolutions", {"entry_id": 1000}, CHECK, "review_resolutions_that_move_money_post"),
    ("float_assertions", {"source": "rumour"}, CHECK, "float_assertions_source_is_known"),
    ("balance_queries", {"token_hash": b"short"}, CHECK, "balance_queries_token_hash_is_whole"),
]


@pytest.mark.parametrize(("table", "change", "state", "constraint"), ATTACKS)
def test_a_row_with_one_thing_wrong_is_refused(
    app: Connection, ground: int, table: LiteralString, change: dict[str, Any], state: str, constraint: str | None
) -> None:
    with refusal(app, state, constraint):
        insert(app, table, {"ledger_id": ground} | ROWS[table] | change)


TWICE: list[tuple[LiteralString, dict[str, Any], str]] = [
    ("rail_stops", {"id": 2}, "rail_stops_one_at_a_time"),
    ("vault_secrets", {}, "vault_secrets_pkey"),
    ("review_resolutions", {"verb": "answered"}, "review_resolutions_pkey"),
    ("balance_queries", {"id": 2}, "balance_queries_token_is_unique"),
    ("payout_usage", {"amount": 2}, "payout_usage_pkey"),
]


@pytest.mark.parametrize(("table", "change", "constraint"), TWICE)
def test_what_there_is_one_of_there_is_no_second_of(
    app: Connection, ground: int, table: LiteralString, change: dict[str, Any], constraint: str
) -> None:
    insert(app, table, {"ledger_id": ground} | ROWS[table])

    with refusal(app, UNIQUE, constraint):
        insert(app, table, {"ledger_id": ground} | ROWS[table] | change)


@pytest.mark.parametrize("table", ["payout_limits", "payout_usage", "review_resolutions"])
def test_a_row_stands_on_a_partner_or_case_of_its_own_ledger(
    app: Connection, stage: Stage, ground: int, table: LiteralString
) -> None:
    query = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'"
    names = {str(row[0]) for row in app.execute(query, (table,))}

    assert len(names) == 1
    with refusal(app, FOREIGN, names.pop()):
        insert(app, table, {"ledger_id": stage.foreign_id} | ROWS[table])


def test_a_stopped_rail_can_be_stopped_again_once_it_was_resumed(app: Connection, ground: int) -> None:
    insert(app, "rail_stops", {"ledger_id": ground} | STOP)
    app.execute("UPDATE rail_stops SET resumed_by = 'b', resumed_at = %s WHERE ledger_id = %s", (NOW, ground))

    insert(app, "rail_stops", {"ledger_id": ground} | STOP | {"id": 2})


@pytest.mark.parametrize("column", ["sealed", "fingerprint", "name", "version", "ledger_id"])
def test_nothing_of_a_secret_is_replaced_but_the_wrapping_of_its_key(
    app: Connection, ground: int, column: LiteralString
) -> None:
    insert(app, "vault_secrets", {"ledger_id": ground} | SECRET)
    change = sql.SQL("UPDATE vault_secrets SET {0} = {0} WHERE ledger_id = %s")

    app.execute(change.format(sql.Identifier("wrapped_key")), (ground,))
    with refusal(app, DENIED, None):
        app.execute(change.format(sql.Identifier(column)), (ground,))
