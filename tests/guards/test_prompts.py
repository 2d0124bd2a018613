"""PostgreSQL keeps prompts to their edges, their intent and their receipts, and instructions to one subject each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from ledger.collections.prompt import EDGES, Event, State
from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.collection_scene import AMOUNT, OTHER, PROVIDER, RECEIPT, SHORTCODE, Till
from tests.guards.payout_scene import insert, update
from tests.guards.stage import NOW, Connection, Stage, Values, refusal

DENIED = "42501"
PROMPT, NEW = 1, 2
EVENT = ("state", "version")
FOLLOWS, INTENT, TOLD = "prompt_follows_its_event", "prompt_intent_is_fixed", "prompt_event_tells_a_change"

# One statement, as the application writes it; whatever is left out is not written.
_BEGIN = """
WITH added AS (INSERT INTO prompts SELECT * FROM jsonb_populate_record(NULL::prompts, %(row)s))
INSERT INTO prompt_events SELECT * FROM jsonb_populate_recordset(NULL::prompt_events, %(events)s)
"""
_CHANGE = """
WITH changed AS (
    UPDATE prompts SET state = %(state)s, version = version + %(steps)s, receipt_id = coalesce(receipt_id, %(receipt)s)
    WHERE ledger_id = %(ledger)s AND id = %(id)s RETURNING *
)
INSERT INTO prompt_events (ledger_id, prompt_id, version, state, event, actor, recorded_at)
SELECT ledger_id, id, version, state, %(event)s, 'tests', now() FROM changed WHERE %(event)s <> ''
"""


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    roles: dict[str, Connection] = {"app": app, "owner": owner}
    return roles[request.param]


@pytest.fixture
def till(app: Connection, stage: Stage) -> Till:
    """With a prompt that was asked for, and committed."""
    laid_out = Till(stage)
    laid_out.lay_out(app)
    party = {"payee_index": bytes(32), "payee_ciphertext": bytes(range(128, 168)), "payee_masked": "2547****5678"}
    insert(app, "parties", {"ledger_id": laid_out.ledger_id, "id": 1, "created_at": NOW} | party)
    begin(app, laid_out, prompt(laid_out, PROMPT))
    app.commit()
    return laid_out


def prompt(till: Till, prompt_id: int, **changes: Any) -> Values:
    """The row of a prompt as it begins."""
    index = "\\x" + "00" * 32
    return {
        "ledger_id": till.ledger_id, "id": prompt_id, "rail": PROVIDER, "shortcode": SHORTCODE, "party_id": 1,
        "payer_index": index, "payer_shown": "2547****5678", "currency": "KES", "amount": AMOUNT, "reference": "A1",
        "reference_index": index, "description": "", "expires_at": NOW, "state": "REQUESTED", "version": 1,
        "created_at": NOW, "updated_at": NOW, **changes,
    }  # fmt: skip


def begin(connection: Connection, till: Till, row: Values, **event: Any) -> None:
    """Inserts a prompt with its first event, or, with `event` None, without."""
    told = {
        "ledger_id": till.ledger_id, "prompt_id": row["id"], "version": 1, "state": "REQUESTED", "event": "requested",
        "actor": "tests", "recorded_at": NOW, **event,
    }  # fmt: skip
    connection.execute(_BEGIN, {"row": Jsonb(row), "events": Jsonb([told] if told["event"] else [])})


def go(
    connection: Connection, till: Till, event: str, state: State, *, receipt: int | None = None, steps: int = 1
) -> None:
    """Changes the prompt, with the event; "" writes none."""
    values = {"ledger": till.ledger_id, "id": PROMPT, "state": state.value, "event": event, "steps": steps}
    connection.execute(_CHANGE, values | {"receipt": receipt})


STARTED = (Event.STARTED, State.SUBMITTING)
WAYS: dict[State, list[tuple[Event, State]]] = {
    State.REQUESTED: [],
    State.SUBMITTING: [STARTED],
    State.WAITING: [STARTED, (Event.TAKEN_IN, State.WAITING)],
    State.UNKNOWN: [STARTED, (Event.LOST, State.UNKNOWN)],
    State.PAID: [(Event.PAID, State.PAID)],
    State.FAILED: [(Event.FAILED, State.FAILED)],
}


def reach(connection: Connection, till: Till, state: State) -> None:
    """Brings the prompt there."""
    for event, target in WAYS[state]:
        go(connection, till, event.value, target, receipt=RECEIPT if target is State.PAID else None)


@pytest.mark.parametrize("source", State, ids=str)
def test_a_prompt_moves_along_the_edges_that_the_product_draws_alone(
    owner: Connection, till: Till, source: State
) -> None:
    reach(owner, till, source)

    for event in Event:
        for target in State:
            receipt = RECEIPT if target is State.PAID else None
            if (event, source, target) in EDGES:
                with owner.transaction(force_rollback=True):
                    go(owner, till, event.value, target, receipt=receipt)
            elif source is not State.PAID or target is State.PAID:
                with refusal(owner, CHECK, FOLLOWS):
                    go(owner, till, event.value, target, receipt=receipt)


def test_the_database_draws_the_same_edges(owner: Connection) -> None:
    found = owner.execute("SELECT event, source, target FROM prompt_edges").fetchall()

    assert {(Event(event), State(source), State(target)) for event, source, target in found} == EDGES


@pytest.mark.parametrize(
    "change",
    [
        {"partner_id": 1}, {"order_id": 1}, {"shortcode": "2"}, {"party_id": 2}, {"currency": "USD"}, {"amount": 1},
        {"reference": "B1"}, {"payer_shown": "2547****9"}, {"expires_at": "2027-01-01"}, {"created_at": "2026-11-19"},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_prompt_asks_for_never_changes(app: Connection, owner: Connection, till: Till, change: Values) -> None:
    where = {"ledger_id": till.ledger_id, "id": PROMPT}

    with refusal(owner, CHECK, INTENT):
        update(owner, "prompts", where, **change)
    with refusal(app, DENIED, None):
        update(app, "prompts", where, **change)


def test_what_became_known_of_a_prompt_is_not_replaced(owner: Connection, till: Till) -> None:
    where = {"ledger_id": till.ledger_id, "id": PROMPT}
    reach(owner, till, State.PAID)

    with refusal(owner, CHECK, INTENT):
        update(owner, "prompts", where, receipt_id=OTHER)


@pytest.mark.parametrize("change", [{"state": "WAITING"}, {"version": 2}, {"failure_code": "1"}], ids=str)
def test_a_prompt_begins_requested(anyone: Connection, till: Till, change: Values) -> None:
    with refusal(anyone, CHECK, FOLLOWS):
        begin(anyone, till, prompt(till, NEW, **change), **{name: change[name] for name in change if name in EVENT})


@pytest.mark.parametrize(
    ("event", "constraint"),
    [({"event": None}, FOLLOWS), ({"event": "paid"}, FOLLOWS), ({"state": "PAID"}, TOLD), ({"version": 2}, TOLD)],
    ids=str,
)
def test_a_prompt_begins_with_its_event(anyone: Connection, till: Till, event: Values, constraint: str) -> None:
    with refusal(anyone, CHECK, constraint):
        begin(anyone, till, prompt(till, NEW), **event)


@pytest.mark.parametrize("change", [{"amount": AMOUNT - 1}, {"currency": "USD"}], ids=str)
def test_a_prompt_is_paid_by_a_receipt_over_its_amount_alone(anyone: Connection, till: Till, change: Values) -> None:
    begin(anyone, till, prompt(till, NEW, **change))
    values: Values = {"ledger": till.ledger_id, "id": NEW, "state": "PAID", "event": "paid", "steps": 1}

    with refusal(anyone, CHECK, FOLLOWS):
        anyone.execute(_CHANGE, values | {"receipt": RECEIPT})
    with refusal(anyone, CHECK, "prompts_paid_have_a_receipt"):
        anyone.execute(_CHANGE, values | {"receipt": None})


def test_a_receipt_pays_one_prompt(anyone: Connection, till: Till) -> None:
    begin(anyone, till, prompt(till, NEW))
    reach(anyone, till, State.PAID)
    values: Values = {"ledger": till.ledger_id, "id": NEW, "state": "PAID", "event": "paid", "steps": 1}

    with refusal(anyone, UNIQUE, "prompts_are_paid_by_one_receipt_each"):
        anyone.execute(_CHANGE, values | {"receipt": RECEIPT})


@pytest.mark.parametrize("steps", [0, 2])
def test_a_version_counts_every_change(anyone: Connection, till: Till, steps: int) -> None:
    with refusal(anyone, *((CHECK, FOLLOWS) if steps else (UNIQUE, "prompt_events_pkey"))):
        go(anyone, till, "started", State.SUBMITTING, steps=steps)


def event_of_no_change(connection: Connection, till: Till) -> None:
    own = {"ledger_id": till.ledger_id, "prompt_id": PROMPT, "version": 9, "state": "PAID", "event": "paid"}
    insert(connection, "prompt_events", own | {"actor": "tests", "recorded_at": NOW})


def about_another_payer(connection: Connection, till: Till) -> None:
    row = prompt(till, PROMPT)
    connection.execute(
        "WITH changed AS (UPDATE prompts SET state = 'SUBMITTING', version = 2, payer_shown = '2547****1' "
        "WHERE ledger_id = %(ledger)s AND id = %(id)s RETURNING *) "
        "INSERT INTO prompt_events (ledger_id, prompt_id, version, state, event, actor, recorded_at) "
        "SELECT ledger_id, id, version, state, 'started', 'tests', now() FROM changed",
        {"ledger": row["ledger_id"], "id": row["id"]},
    )


CONTROLS: list[tuple[str, str, str, Callable[[Connection, Till], None]]] = [
    ("prompts_follow_events", "prompts", FOLLOWS, lambda owner, till: go(owner, till, "", State.FAILED)),
    ("prompts_keep_their_intent", "prompts", INTENT, about_another_payer),
    (
        "prompts_begin_requested",
        "prompts",
        FOLLOWS,
        lambda owner, till: begin(owner, till, prompt(till, NEW), event=None),
    ),
    ("prompt_events_tell_a_change", "prompt_events", TOLD, event_of_no_change),
]


@pytest.mark.parametrize(("trigger", "table", "says", "attack"), CONTROLS, ids=[one[0] for one in CONTROLS])
def test_it_is_the_named_trigger_that_refuses(
    owner: Connection, till: Till, trigger: str, table: str, says: str, attack: Callable[[Connection, Till], None]
) -> None:
    """With the trigger dropped the attack succeeds: so the tests above can fail."""
    with refusal(owner, CHECK, says):
        attack(owner, till)

    owner.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger), sql.Identifier(table)))

    attack(owner, till)


def test_every_guard_of_prompts_was_dropped_once(owner: Connection) -> None:
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgfoid::regproc::text NOT LIKE 'refuse_%%' "
        "AND tgrelid = ANY (ARRAY['prompts', 'prompt_events']::regclass[])"
    )

    assert {row[0] for row in owner.execute(query)} == {trigger for trigger, _, _, _ in CONTROLS}


@pytest.mark.parametrize("about", [{}, {"prompt_id": PROMPT, "payout_id": 1}], ids=["nothing", "two things"])
def test_an_instruction_is_about_one_thing(anyone: Connection, till: Till, about: Values) -> None:
    row: Values = {"ledger_id": till.ledger_id, "id": 1, "kind": "prompt.submit", "due_at": NOW}

    with refusal(anyone, CHECK, "instructions_are_about_one_thing"):
        insert(anyone, "instructions", row | about)


def test_a_prompt_has_one_instruction_of_a_kind(anyone: Connection, till: Till) -> None:
    row: Values = {"ledger_id": till.ledger_id, "id": 1, "kind": "prompt.submit", "prompt_id": PROMPT, "due_at": NOW}
    insert(anyone, "instructions", row)

    with refusal(anyone, UNIQUE, "instructions_are_unique_per_prompt"):
        insert(anyone, "instructions", row | {"id": 2})
