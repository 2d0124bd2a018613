"""PostgreSQL keeps payouts, attempts and received messages to what was asked and what came, against the owner too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString

import pytest
from psycopg import sql

from ledger.payouts.payout import State
from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.stage import BANK, FIRST, NOW, SECOND, WALLET, Connection, Stage, Values, refusal

RESTRICT, DENIED = "23001", "42501"
EDGE, INTENT = "payout_moves_along_an_edge", "payout_intent_is_fixed"
ATTEMPT, MESSAGE = "attempt_is_finished_once", "inbox_message_is_kept"
TOKEN = bytes(32)

PAYOUT, OTHER, NEW = 1, 2, 3  # the new one is not there yet
RESERVES = {PAYOUT: FIRST, OTHER: SECOND, NEW: 2500}
STATES = tuple(state.value for state in State)


def insert(connection: Connection, table: LiteralString, values: Values) -> None:
    """One row."""
    columns, marks = (
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join([sql.Placeholder()] * len(values)),
    )
    query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), columns, marks)
    connection.execute(query, list(values.values()))


def update(connection: Connection, table: LiteralString, where: Values, **values: Any) -> None:
    """One row, changed."""
    pairs = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in values.items()]
    found = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in where.items()]
    query = sql.SQL("UPDATE {} SET {} WHERE {}").format(
        sql.Identifier(table), sql.SQL(", ").join(pairs), sql.SQL(" AND ").join(found)
    )
    assert connection.execute(query).rowcount == 1


@dataclass(frozen=True, slots=True)
class Scene:
    """A partner, a payee, two reserved payouts, an instruction with an attempt under way, and a message to judge."""

    ledger_id: int

    def payout(self, payout_id: int, **changes: Any) -> Values:
        """The row of a payout as it begins."""
        return {
            "ledger_id": self.ledger_id, "id": payout_id, "partner_id": 1, "partner_reference": f"ref-{payout_id}",
            "party_id": 1, "currency": "KES", "amount": 500, "fee": 0, "purpose": "business", "remarks": "x",
            "rail": "mpesa", "shortcode": "600100", "provider_reference": f"dft-{payout_id}",
            "reserve_entry_id": RESERVES[payout_id], "state": "RESERVED", "version": 1, "created_at": NOW,
            "updated_at": NOW, **changes,
        }  # fmt: skip

    def change(self, connection: Connection, **values: Any) -> None:
        """Updates the first payout as given."""
        update(connection, "payouts", {"ledger_id": self.ledger_id, "id": PAYOUT}, **values)

    def move(self, connection: Connection, *states: str) -> None:
        """Takes the payout along these states as the application does."""
        for state in states:
            row = connection.execute(
                "SELECT version FROM payouts WHERE ledger_id = %s AND id = %s", (self.ledger_id, PAYOUT)
            ).fetchone()
            assert row is not None
            settled = {"receipt": "RCPT1", "completed_at": NOW} if state == "SETTLED" else {}
            self.change(connection, state=state, version=row[0] + 1, **settled)

    def attempt(self, connection: Connection, **values: Any) -> None:
        """Updates the attempt."""
        update(connection, "attempts", {"ledger_id": self.ledger_id, "instruction_id": 1, "number": 1}, **values)

    def message(self, connection: Connection, **values: Any) -> None:
        """Updates the message."""
        update(connection, "inbox", {"ledger_id": self.ledger_id, "id": 1}, **values)


@pytest.fixture
def scene(app: Connection, stage: Stage) -> Scene:
    """Laid out by the application's role."""
    own = {"ledger_id": stage.ledger_id}
    insert(app, "partners", own | {"id": 1, "code": "acme", "name": "Acme", "currency": "KES", "created_at": NOW})
    party = {
        "id": 1,
        "payee_index": TOKEN,
        "payee_ciphertext": TOKEN,
        "payee_masked": "2547****5678",
        "created_at": NOW,
    }
    insert(app, "parties", own | party)
    scene = Scene(stage.ledger_id)
    stage.transfer(RESERVES[NEW], BANK, WALLET, 500).post(app)
    for payout_id in (PAYOUT, OTHER):
        insert(app, "payouts", scene.payout(payout_id))
    insert(app, "instructions", own | {"id": 1, "kind": "submit", "payout_id": PAYOUT, "due_at": NOW})
    insert(app, "attempts", own | {"instruction_id": 1, "number": 1, "token_hash": TOKEN, "started_at": NOW})
    message = {
        "id": 1,
        "provider": "mpesa",
        "kind": "result",
        "token_hash": TOKEN,
        "raw": b"{}",
        "received_at": NOW,
        "due_at": NOW,
    }
    insert(app, "inbox", own | message)
    app.commit()
    return scene


def drawn_edges(connection: Connection) -> set[tuple[str, str]]:
    """The database's own; that the product draws the same is another test's business."""
    return set(connection.execute("SELECT source, target FROM payout_edges"))


def way_to(state: str, edges: set[tuple[str, str]]) -> list[str]:
    """The states on a shortest way from RESERVED."""
    ways: dict[str, list[str]] = {"RESERVED": []}
    while state not in ways:
        ways = {target: [*ways[source], target] for source, target in sorted(edges) if source in ways} | ways
    return ways[state]


@pytest.mark.parametrize("source", STATES)
def test_a_payout_moves_along_the_drawn_edges_alone(owner: Connection, scene: Scene, source: str) -> None:
    edges = drawn_edges(owner)
    way = way_to(source, edges)
    scene.move(owner, *way)

    for target in STATES:
        change = {"state": target, "version": len(way) + 2, "receipt": "RCPT1", "completed_at": NOW}
        if (source, target) in edges:
            with owner.transaction(force_rollback=True):
                scene.change(owner, **change)
        else:
            with refusal(owner, CHECK, EDGE):
                scene.change(owner, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "SETTLED", "receipt": "RCPT1", "completed_at": NOW},
        {"state": "SUBMITTED"},
        {"version": 2},
        {"version": 0},
    ],
    ids=str,
)
def test_a_payout_begins_reserved_and_at_its_first_version(app: Connection, scene: Scene, change: Values) -> None:
    with refusal(app, CHECK, EDGE):
        insert(app, "payouts", scene.payout(NEW, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 501}, {"fee": 1}, {"currency": "USD"}, {"party_id": 2}, {"partner_id": 2},
        {"partner_reference": "other"}, {"purpose": "salary"}, {"remarks": "other"}, {"rail": "mtn"},
        {"shortcode": "600200"}, {"provider_reference": "other"}, {"reserve_entry_id": SECOND}, {"id": 3},
        {"created_at": "2026-11-19"}, {"version": 3}, {"version": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_payout_was_asked_to_do_never_changes(
    app: Connection, owner: Connection, scene: Scene, change: Values
) -> None:
    step = {"state": "SUBMITTING", "version": 2, **change}

    with refusal(owner, CHECK, INTENT):
        scene.change(owner, **step)
    with refusal(app, *((CHECK, INTENT) if "version" in change else (DENIED, None))):
        scene.change(app, **step)


@pytest.mark.parametrize("receipt", ["RCPT2", None])
def test_a_receipt_stays(app: Connection, scene: Scene, receipt: str | None) -> None:
    scene.change(app, state="SUBMITTED", version=2, receipt="RCPT1")

    with refusal(app, CHECK, INTENT):
        scene.change(app, state="UNKNOWN", version=3, receipt=receipt)


@pytest.mark.parametrize("missing", ["receipt", "completed_at"])
def test_a_settled_payout_has_a_receipt_and_a_time(app: Connection, scene: Scene, missing: str) -> None:
    settled = {"state": "SETTLED", "version": 2, "receipt": "RCPT1", "completed_at": NOW}
    settled[missing] = None

    with refusal(app, CHECK, "payouts_settled_have_a_receipt"):
        scene.change(app, **settled)


def test_a_receipt_settles_one_payout_ever(app: Connection, scene: Scene) -> None:
    receipt = {
        "ledger_id": scene.ledger_id,
        "provider": "mpesa",
        "kind": "receipt",
        "value": "RCPT1",
        "created_at": NOW,
    }
    insert(app, "provider_references", receipt | {"payout_id": PAYOUT})

    with refusal(app, UNIQUE, "provider_references_pkey"):
        insert(app, "provider_references", receipt | {"payout_id": OTHER})


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"partner_reference": f"ref-{PAYOUT}"}, "payouts_partner_reference_is_unique"),
        ({"provider_reference": f"dft-{PAYOUT}"}, "payouts_provider_reference_is_unique"),
        ({"reserve_entry_id": RESERVES[PAYOUT]}, "payouts_have_a_reserve_each"),
        ({"id": PAYOUT}, "payouts_pkey"),
    ],
    ids=str,
)
def test_no_two_payouts_share_a_name(app: Connection, scene: Scene, change: Values, constraint: str) -> None:
    with refusal(app, UNIQUE, constraint):
        insert(app, "payouts", scene.payout(NEW) | change)


def test_an_event_belongs_to_the_transaction_that_wrote_it(app: Connection, scene: Scene) -> None:
    event = {"ledger_id": scene.ledger_id, "payout_id": PAYOUT, "version": 1, "state": "RESERVED", "event": "requested"}

    with refusal(app, DENIED, None):
        insert(app, "payout_events", event | {"recorded_at": NOW, "xid": "3"})
    insert(app, "payout_events", event | {"recorded_at": NOW})


FINISHED = {"finished_at": NOW, "answer": "accepted"}
JUDGED = {"judged_at": NOW, "verdict": "settled"}


@pytest.mark.parametrize(
    "change", [{"answer": "rejected"}, {"finished_at": None, "answer": None}, {"detail": "more"}, FINISHED], ids=str
)
def test_an_attempt_is_finished_once(app: Connection, scene: Scene, change: Values) -> None:
    scene.attempt(app, **FINISHED)

    with refusal(app, RESTRICT, ATTEMPT):
        scene.attempt(app, **change)


@pytest.mark.parametrize(
    "change",
    [{"token_hash": bytes(31) + b"x"}, {"started_at": "2026-11-19"}, {"number": 2}, {"instruction_id": 2}],
    ids=str,
)
def test_an_attempt_stays_the_one_that_was_made(owner: Connection, scene: Scene, change: Values) -> None:
    with refusal(owner, RESTRICT, ATTEMPT):
        scene.attempt(owner, **change)


@pytest.mark.parametrize("change", [{"finished_at": NOW}, {"answer": "accepted"}], ids=str)
def test_an_attempt_finishes_with_an_answer(app: Connection, scene: Scene, change: Values) -> None:
    with refusal(app, CHECK, "attempts_finish_with_an_answer"):
        scene.attempt(app, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"raw": b"{forged}"}, {"provider": "mtn"}, {"kind": "timeout"}, {"token_hash": b""},
        {"remote_address": "127.0.0.1"}, {"received_at": "2026-11-19"}, {"id": 2},
    ],
    ids=str,
)  # fmt: skip
def test_a_message_is_kept_as_it_came(app: Connection, owner: Connection, scene: Scene, change: Values) -> None:
    with refusal(owner, RESTRICT, MESSAGE):
        scene.message(owner, **change)
    with refusal(app, DENIED, None):
        scene.message(app, **change)


@pytest.mark.parametrize(
    "change", [{"verdict": "ignored"}, {"judged_at": None, "verdict": None}, {"tries": 9}], ids=str
)
def test_a_message_is_judged_once(app: Connection, scene: Scene, change: Values) -> None:
    scene.message(app, tries=1, detail="not yet")
    scene.message(app, **JUDGED)

    with refusal(app, RESTRICT, MESSAGE):
        scene.message(app, **change)


CONTROLS: list[tuple[str, str, Callable[[Connection, Scene], None]]] = [
    ("payouts_move_forward", "payouts", lambda owner, scene: scene.change(owner, amount=1)),
    ("payouts_begin_reserved", "payouts", lambda owner, scene: insert(owner, "payouts", scene.payout(NEW, version=9))),
    ("attempts_finish_once", "attempts", lambda owner, scene: scene.attempt(owner, started_at="2026-11-19")),
    ("inbox_keeps_messages", "inbox", lambda owner, scene: scene.message(owner, raw=b"{forged}")),
]


@pytest.mark.parametrize(("trigger", "table", "attack"), CONTROLS, ids=[trigger for trigger, _, _ in CONTROLS])
def test_it_is_the_named_trigger_that_refuses(
    owner: Connection, stage: Stage, scene: Scene, trigger: str, table: str, attack: Callable[[Connection, Scene], None]
) -> None:
    """With the trigger dropped the attack succeeds: so the tests above can fail."""
    before = stage.everything(owner)
    owner.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger), sql.Identifier(table)))

    attack(owner, scene)

    assert stage.everything(owner) != before


def test_a_refused_change_leaves_nothing_behind(app: Connection, stage: Stage, scene: Scene) -> None:
    before = stage.everything(app)

    with refusal(app, CHECK, EDGE):
        stage.transfer(3000, BANK, WALLET, 5).post(app)
        scene.move(app, "SUBMITTED", "CANCELLED")

    assert stage.everything(app) == before
