"""What PostgreSQL holds true of payouts against anyone: intent, order of states, history. Attacked by plain SQL."""

from __future__ import annotations

import psycopg
import pytest

from ledger.database import conninfo
from ledger.payouts.payout import TRANSITIONS, Move, State
from tests.fix_database import Database
from tests.ledger.payouts.roads import road_to
from tests.ledger.payouts.shop import Shop

EDGES = {
    (state, move.target) for moves in TRANSITIONS.values() for state, move in moves.items() if isinstance(move, Move)
}


def attack(database: Database, statement: str, *parameters: object, role: str = "app") -> str:
    """The SQLSTATE and constraint by which a statement is refused; nothing is kept."""
    url = {"app": database.app, "owner": database.owner}[role]
    with psycopg.connect(conninfo(url)) as session, pytest.raises(psycopg.Error) as caught:
        session.execute(statement.encode(), parameters)
    return f"{caught.value.sqlstate} {caught.value.diag.constraint_name or ''}".strip()


_MOVE = """
UPDATE payouts SET state = %s, version = version + 1, receipt = coalesce(receipt, 'UI1'), completed_at = now()
WHERE ledger_id = %s AND id = %s
"""


async def test_a_payout_moves_only_along_the_drawn_edges_and_never_without_its_event_and_entry(
    shop: Shop, database: Database
) -> None:
    for source in State:
        payout_id = await shop.request()
        await shop.record(*road_to(source, payout_id))
        for target in State:
            place = (target.value, shop.ledger.id, payout_id)
            drawn = (source, target) in EDGES
            guard = "payout_follows_its_entry" if drawn else "payout_moves_along_an_edge"
            assert attack(database, _MOVE, *place) == f"23514 {guard}", (source, target)


async def test_what_a_payout_was_asked_to_do_never_changes_not_even_for_the_owner(
    shop: Shop, database: Database
) -> None:
    await shop.request()
    columns = ["amount = amount + 100", "fee = 1", "currency = 'USD'", "provider_reference = 'x'", "shortcode = '1'"]
    columns += ["partner_reference = 'x'", "rail = 'x'", "purpose = 'salary'", "remarks = 'x'", "version = version + 2"]

    for column in columns:
        statement = f"UPDATE payouts SET state = 'SUBMITTING', version = version + 1, {column} WHERE ledger_id = %s"
        if column.startswith("version"):
            statement = f"UPDATE payouts SET state = 'SUBMITTING', {column} WHERE ledger_id = %s"
        refused = attack(database, statement, shop.ledger.id, role="owner")
        assert refused == "23514 payout_intent_is_fixed", column


async def test_the_application_may_not_touch_what_is_fixed(shop: Shop, database: Database) -> None:
    await shop.request()

    for statement in (
        "UPDATE payouts SET amount = 1 WHERE ledger_id = %s",
        "UPDATE payouts SET party_id = 1 WHERE ledger_id = %s",
        "UPDATE parties SET payee_masked = '2547****0000' WHERE ledger_id = %s",
        "UPDATE instructions SET payout_id = 1 WHERE ledger_id = %s",
        "UPDATE attempts SET token_hash = token_hash WHERE ledger_id = %s",
        "UPDATE inbox SET raw = raw WHERE ledger_id = %s",
        "DELETE FROM payouts WHERE ledger_id = %s",
        "DELETE FROM instructions WHERE ledger_id = %s",
        "DELETE FROM inbox WHERE ledger_id = %s",
        "DELETE FROM reviews WHERE ledger_id = %s",
        "UPDATE payout_events SET detail = 'x' WHERE ledger_id = %s",
        "UPDATE provider_references SET payout_id = 1 WHERE ledger_id = %s",
        "DELETE FROM provider_references WHERE ledger_id = %s",
        "UPDATE provider_tariffs SET charge = 0 WHERE ledger_id = %s",
    ):
        assert attack(database, statement, shop.ledger.id) == "42501", statement
    assert attack(database, "INSERT INTO payout_edges VALUES ('SETTLED', 'RESERVED', '{}')") == "42501"


async def test_history_is_kept_even_from_the_owner(shop: Shop, database: Database) -> None:
    await shop.request()

    for table in ("payout_events", "provider_references", "provider_tariffs", "payout_edges"):
        assert attack(database, f"DELETE FROM {table}", role="owner").startswith("23001"), table
        assert attack(database, f"TRUNCATE {table} CASCADE", role="owner").startswith("23001"), table
    for table in ("payouts", "instructions", "attempts", "inbox", "parties", "partners"):
        assert attack(database, f"DELETE FROM {table}", role="owner").startswith("23001"), table


async def test_a_settled_payout_has_a_receipt_and_keeps_it(shop: Shop, database: Database) -> None:
    payout_id = await shop.request()
    bare = "UPDATE payouts SET state = 'SETTLED', version = version + 1 WHERE ledger_id = %s AND id = %s"
    assert attack(database, bare, shop.ledger.id, payout_id) == "23514 payouts_settled_have_a_receipt"

    await shop.record(*road_to(State.RELEASED, payout_id), *road_to(State.CONFLICTED, payout_id)[2:])

    other = "UPDATE payouts SET receipt = 'UI2' WHERE ledger_id = %s AND id = %s"
    assert attack(database, other, shop.ledger.id, payout_id).startswith("23514")


async def test_a_payout_without_its_reserve_entry_cannot_be_written(shop: Shop, database: Database) -> None:
    payout_id = await shop.request()
    copied = """
    INSERT INTO payouts SELECT (jsonb_populate_record(p, jsonb_build_object(
        'id', p.id + 1, 'reserve_entry_id', 1, 'partner_reference', 'x', 'provider_reference', 'x'))).*
    FROM payouts AS p WHERE ledger_id = %s AND id = %s
    """

    refused = attack(database, copied, shop.ledger.id, payout_id)

    assert refused == "23503 payouts_ledger_id_reserve_entry_id_fkey"
