"""PostgreSQL keeps payouts, attempts and received messages to what was asked and what came, against the owner too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import sql

from ledger.ids import encode
from ledger.payouts.payout import State
from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.payout_scene import (
    AMOUNT,
    NEW,
    OTHER,
    PAYOUT,
    RESERVES,
    TOKEN,
    WITH_A_FEE,
    Scene,
    insert,
    subject_of,
)
from tests.guards.stage import BANK, FIRST, NOW, SECOND, WALLET, Connection, Stage, Values, refusal

RESTRICT, DENIED = "23001", "42501"
EDGE, INTENT = "payout_moves_along_an_edge", "payout_intent_is_fixed"
FOLLOWS, TOLD = "payout_follows_its_entry", "payout_event_tells_a_change"
ATTEMPT, MESSAGE = "attempt_is_finished_once", "inbox_message_is_kept"

STATES = tuple(state.value for state in State)


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
    scene = Scene(stage)
    for payout_id in RESERVES:
        scene.reserve(app, payout_id)
    for payout_id in (PAYOUT, OTHER):
        scene.begin(app, scene.payout(payout_id))
    receipt = {"provider": "mpesa", "kind": "receipt", "value": "RCPT1", "payout_id": PAYOUT, "created_at": NOW}
    insert(app, "provider_references", own | receipt)
    insert(app, "instructions", own | {"id": 1, "kind": "submit", "payout_id": PAYOUT, "due_at": NOW})
    insert(app, "attempts", own | {"instruction_id": 1, "number": 1, "token_hash": TOKEN, "started_at": NOW})
    message = {
        "id": 1,
        "provider": "mpesa",
        "kind": "result",
        "token_hash": TOKEN,
        "raw": TOKEN,
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
        if (source, target) in edges:
            twin = Scene(scene.stage.twin(), scene.next_entry)
            with owner.transaction(force_rollback=True):
                twin.move(owner, target)
        else:
            with refusal(owner, CHECK, EDGE):
                scene.step(owner, target, None)


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
        scene.begin(app, scene.payout(NEW, **change))


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
def test_a_receipt_stays(owner: Connection, scene: Scene, receipt: str | None) -> None:
    owner.execute("ALTER TABLE payouts DISABLE TRIGGER payouts_follow_entries")
    scene.change(owner, state="SUBMITTED", version=2, receipt="RCPT1")

    with refusal(owner, CHECK, INTENT):
        scene.change(owner, state="UNKNOWN", version=3, receipt=receipt)


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
        scene.begin(app, scene.payout(NEW) | change)


def test_an_event_belongs_to_the_transaction_that_wrote_it(app: Connection, scene: Scene) -> None:
    event = {"ledger_id": scene.ledger_id, "payout_id": PAYOUT, "version": 2, "state": "SETTLED", "event": "settled"}

    with refusal(app, DENIED, None):
        insert(app, "payout_events", event | {"recorded_at": NOW, "xid": "3"})


@pytest.mark.parametrize(("version", "state"), [(2, "SETTLED"), (2, "RESERVED"), (9, "RESERVED")])
def test_no_event_tells_of_a_change_that_was_not_made(
    app: Connection, owner: Connection, scene: Scene, version: int, state: str
) -> None:
    event = {"ledger_id": scene.ledger_id, "payout_id": PAYOUT, "version": version, "state": state, "event": "x"}

    for connection in (app, owner):
        with refusal(connection, CHECK, TOLD):
            insert(connection, "payout_events", event | {"recorded_at": NOW})


def test_a_change_and_its_event_name_the_same_state(app: Connection, scene: Scene) -> None:
    with refusal(app, CHECK, FOLLOWS):
        scene.step(app, "SUBMITTING", None, told="SUBMITTED")


def test_no_state_changes_without_its_event(app: Connection, owner: Connection, scene: Scene) -> None:
    for connection in (app, owner):
        with refusal(connection, CHECK, FOLLOWS):
            scene.change(connection, state="SUBMITTING", version=2)


def test_money_moves_with_a_payout_or_the_payout_does_not_move(app: Connection, scene: Scene) -> None:
    """No entry, another kind, another payout's, another amount, one that was there before."""
    wrong = [
        None,
        scene.entry(app, "payout.released"),
        scene.entry(app, "payout.settled", payout_id=OTHER),
        scene.entry(app, "payout.settled", amount=AMOUNT - 1),
        FIRST,
        RESERVES[PAYOUT],
    ]

    for entry in wrong:
        with refusal(app, CHECK, FOLLOWS):
            scene.step(app, "SETTLED", entry)


def test_where_no_money_moves_no_entry_is_claimed(app: Connection, scene: Scene) -> None:
    with refusal(app, CHECK, FOLLOWS):
        scene.step(app, "SUBMITTING", scene.entry(app, "payout.settled"))


def test_what_is_booked_under_a_receipt_counts_for_the_payout_that_the_receipt_belongs_to(
    app: Connection, scene: Scene
) -> None:
    scene.move(app, "RELEASED")
    stray = scene.entry(app, "payout.late_success")
    scene.stage.transfer(
        9000, BANK, WALLET, AMOUNT, kind="payout.late_success", subject_kind="payout_receipt",
        subject_id="mpesa/RCPT2", reference="RCPT2",
    ).post(app)  # fmt: skip

    with refusal(app, CHECK, FOLLOWS):
        scene.step(app, "CONFLICTED", 9000)
    scene.step(app, "CONFLICTED", stray)


@pytest.mark.parametrize(
    ("amount", "told"), [(AMOUNT - 1, True), (AMOUNT, False)], ids=["another amount", "without an event"]
)
def test_a_payout_begins_with_its_event_and_with_its_own_money_reserved(
    app: Connection, scene: Scene, amount: int, told: bool
) -> None:
    with refusal(app, CHECK, FOLLOWS):
        scene.begin(app, scene.payout(NEW, amount=amount), told=told)


@pytest.mark.parametrize("entry", [FIRST, 2400])
def test_no_other_entry_stands_for_a_reserve(app: Connection, scene: Scene, entry: int) -> None:
    """One of no payout, and one of another payout that nobody asked for."""
    scene.stage.transfer(2400, BANK, WALLET, AMOUNT, **subject_of("payout.reserved", 77)).post(app)

    with refusal(app, CHECK, FOLLOWS):
        scene.begin(app, scene.payout(NEW, reserve_entry_id=entry))


@pytest.mark.parametrize("number", [0, 1, 31, 32, 882524075067389247, 2**63 - 1])
def test_the_database_writes_a_payouts_id_as_we_do(app: Connection, number: int) -> None:
    row = app.execute("SELECT payout_public_id(%s::bigint)", (number,)).fetchone()

    assert row == (encode("pay", number),)


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
    ("payouts_move_forward", "payouts", lambda owner, scene: scene.step(owner, "SUBMITTING", None, how=WITH_A_FEE)),
    ("payouts_begin_reserved", "payouts", lambda owner, scene: scene.begin(owner, scene.payout(NEW, version=9))),
    ("payouts_follow_entries", "payouts", lambda owner, scene: scene.step(owner, "SETTLED", None)),
    ("payouts_are_reserved", "payouts", lambda owner, scene: scene.begin(owner, scene.payout(NEW), told=False)),
    (
        "payout_events_tell_a_change",
        "payout_events",
        lambda owner, scene: insert(
            owner,
            "payout_events",
            {
                "ledger_id": scene.ledger_id,
                "payout_id": PAYOUT,
                "version": 9,
                "state": "SETTLED",
                "event": "x",
                "recorded_at": NOW,
            },
        ),
    ),
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
        stage.transfer(5000, BANK, WALLET, 5).post(app)
        scene.move(app, "SUBMITTED")
        scene.step(app, "CANCELLED", None)

    assert stage.everything(app) == before
