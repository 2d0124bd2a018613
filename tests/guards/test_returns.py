"""PostgreSQL keeps returns to their edges, their intent, and the entries that move their money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from ledger.collections.returning import EDGES, Event, State
from tests.guards.attacks import CHECK
from tests.guards.collection_scene import OTHER, PART, PROVIDER, RECEIPT, SHORTCODE, Till
from tests.guards.payout_scene import insert, update
from tests.guards.stage import FIRST, NOW, Connection, Stage, Values, refusal

DENIED = "42501"
RETURN, NEW = 1, 2
FOLLOWS, TOLD = "return_follows_its_entry", "return_event_tells_a_change"
TAKEN_BACK = "collection.taken_back"
KINDS = {Event.RETURNED: "collection.returned", Event.FAILED: "collection.return_failed"}

_BEGIN = """
WITH added AS (INSERT INTO returns SELECT * FROM jsonb_populate_record(NULL::returns, %(row)s))
INSERT INTO return_events SELECT * FROM jsonb_populate_recordset(NULL::return_events, %(events)s)
"""
_CHANGE = """
WITH changed AS (
    UPDATE returns SET state = %(state)s, version = version + %(steps)s,
        return_receipt = CASE WHEN %(state)s = 'RETURNED' THEN 'RTN1' ELSE return_receipt END
    WHERE ledger_id = %(ledger)s AND id = %(id)s RETURNING *
)
INSERT INTO return_events (ledger_id, return_id, version, state, event, entry_id, actor, recorded_at)
SELECT ledger_id, id, version, state, %(event)s, %(entry)s, 'tests', now() FROM changed WHERE %(event)s <> ''
"""


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    roles: dict[str, Connection] = {"app": app, "owner": owner}
    return roles[request.param]


@pytest.fixture
def till(app: Connection, stage: Stage) -> Till:
    """With a return that was asked for, and committed."""
    laid_out = Till(stage)
    laid_out.lay_out(app)
    begin(app, laid_out, row(laid_out, RETURN, reserve(app, laid_out)))
    app.commit()
    return laid_out


def reserve(connection: Connection, till: Till, **changes: Any) -> int:
    """The entry that reserves a return's money."""
    return till.entry(connection, "collection.return_reserved", amount=PART, **changes)


def row(till: Till, return_id: int, entry: int, **changes: Any) -> Values:
    """The row of a return as it begins."""
    return {
        "ledger_id": till.ledger_id, "id": return_id, "receipt_id": RECEIPT, "rail": PROVIDER, "shortcode": SHORTCODE,
        "currency": "KES", "amount": PART, "reason": "wrong goods", "reserve_entry_id": entry, "state": "REQUESTED",
        "unasked": False, "version": 1, "created_at": NOW, "updated_at": NOW, **changes,
    }  # fmt: skip


def begin(connection: Connection, till: Till, values: Values, **event: Any) -> None:
    """Inserts a return with its first event, or, with `event` None, without."""
    told = {
        "ledger_id": till.ledger_id, "return_id": values["id"], "version": 1, "state": "REQUESTED",
        "event": "requested", "entry_id": values["reserve_entry_id"], "actor": "tests", "recorded_at": NOW, **event,
    }  # fmt: skip
    connection.execute(_BEGIN, {"row": Jsonb(values), "events": Jsonb([told] if told["event"] else [])})


def go(
    connection: Connection, till: Till, event: str, state: State, *, entry: int | None = None, steps: int = 1
) -> None:
    """Changes the return, with the event; "" writes none."""
    values = {"ledger": till.ledger_id, "id": RETURN, "state": state.value, "event": event, "steps": steps}
    connection.execute(_CHANGE, values | {"entry": entry})


def moved(connection: Connection, till: Till, event: Event, state: State, *, source: State = State.REQUESTED) -> None:
    """The same, with the entry that fits."""
    kind = kind_of(event, source)
    entry = till.entry(connection, kind, amount=PART) if kind is not None else None
    go(connection, till, event.value, state, entry=entry)


def kind_of(event: Event, source: State) -> str | None:
    """Of the entry that goes with an event: known too late, the money is gone from where it was put meanwhile."""
    return TAKEN_BACK if (event, source) == (Event.RETURNED, State.FAILED) else KINDS.get(event)


STARTED = (Event.STARTED, State.SUBMITTING)
WAYS: dict[State, list[tuple[Event, State]]] = {
    State.REQUESTED: [],
    State.SUBMITTING: [STARTED],
    State.SUBMITTED: [STARTED, (Event.TAKEN_IN, State.SUBMITTED)],
    State.UNKNOWN: [STARTED, (Event.LOST, State.UNKNOWN)],
    State.RETURNED: [(Event.RETURNED, State.RETURNED)],
    State.FAILED: [(Event.FAILED, State.FAILED)],
}


@pytest.mark.parametrize("source", [one for one in State if one is not State.RETURNED], ids=str)
def test_a_return_moves_along_the_edges_that_the_product_draws_alone(
    owner: Connection, till: Till, source: State
) -> None:
    for event, target in WAYS[source]:
        moved(owner, till, event, target)

    for event in Event:
        for target in State:
            if (event, source, target) in EDGES:
                with owner.transaction(force_rollback=True):
                    moved(owner, till.twin(), event, target, source=source)
            else:
                with refusal(owner, CHECK, FOLLOWS):
                    moved(owner, till.twin(), event, target, source=source)


def test_the_database_draws_the_same_edges(owner: Connection) -> None:
    found = owner.execute("SELECT event, source, target, kind FROM return_edges").fetchall()

    assert {(Event(event), State(source), State(target)) for event, source, target, _ in found} == EDGES
    assert all(kind == kind_of(Event(event), State(source)) for event, source, _, kind in found)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("collection.return_failed", {}),
        ("collection.returned", {"amount": PART - 1}),
        ("collection.returned", {"receipt_id": OTHER}),
        ("opening", {}),
    ],
    ids=str,
)
def test_a_return_ends_with_the_entry_that_moves_its_money(
    anyone: Connection, till: Till, kind: str, changes: dict[str, Any]
) -> None:
    entry = till.entry(anyone, kind, **({"amount": PART} | changes))

    for wrong in (entry, None, FIRST):
        with refusal(anyone, CHECK, FOLLOWS):
            go(anyone, till, "returned", State.RETURNED, entry=wrong)


@pytest.mark.parametrize("change", [{"amount": PART - 1}, {"receipt_id": OTHER}], ids=str)
def test_a_return_begins_with_the_entry_that_reserves_its_money(anyone: Connection, till: Till, change: Values) -> None:
    with refusal(anyone, CHECK, FOLLOWS):
        begin(anyone, till, row(till, NEW, reserve(anyone, till), **change))


def unasked(till: Till, entry: int, **changes: Any) -> Values:
    """The row of what the provider took back."""
    return row(till, NEW, entry, state="RETURNED", unasked=True, **changes)


TOLD_OF = {"state": "RETURNED", "event": "taken_back"}


@pytest.mark.parametrize("receipt", [None, "RTN9"])
def test_what_the_provider_took_back_begins_returned(owner: Connection, till: Till, receipt: str | None) -> None:
    with owner.transaction(force_rollback=True):
        entry = till.entry(owner, TAKEN_BACK, amount=PART)

        begin(owner, till, unasked(till, entry, return_receipt=receipt), **TOLD_OF)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("collection.return_reserved", {}),
        (TAKEN_BACK, {"unasked": False, "return_receipt": "RTN9"}),
        (TAKEN_BACK, {"amount": PART - 1}),
        (TAKEN_BACK, {"receipt_id": OTHER}),
        (TAKEN_BACK, {"originator": "asked"}),
        (TAKEN_BACK, {"conversation": "told"}),
    ],
    ids=str,
)
def test_nothing_begins_returned_but_by_the_entry_that_says_it_is_gone(
    anyone: Connection, till: Till, kind: str, changes: Values
) -> None:
    entry = till.entry(anyone, kind, amount=PART)

    with refusal(anyone, CHECK, FOLLOWS):
        begin(anyone, till, unasked(till, entry) | changes, **TOLD_OF)


@pytest.mark.parametrize(
    ("event", "constraint"),
    [({"event": None}, FOLLOWS), ({"entry_id": None}, FOLLOWS), ({"state": "RETURNED"}, TOLD), ({"version": 2}, TOLD)],
    ids=str,
)
def test_a_return_begins_with_its_event(anyone: Connection, till: Till, event: Values, constraint: str) -> None:
    with refusal(anyone, CHECK, constraint):
        begin(anyone, till, row(till, NEW, reserve(anyone, till)), **event)


@pytest.mark.parametrize(
    "change",
    [{"receipt_id": OTHER}, {"amount": 1}, {"rail": "x"}, {"reason": "x"}, {"reserve_entry_id": 1}, {"unasked": True}],
    ids=str,
)
def test_what_a_return_is_to_do_never_changes(app: Connection, owner: Connection, till: Till, change: Values) -> None:
    where = {"ledger_id": till.ledger_id, "id": RETURN}

    with refusal(owner, CHECK, FOLLOWS):
        update(owner, "returns", where, **change)
    with refusal(app, DENIED, None):
        update(app, "returns", where, **change)


def event_of_no_change(connection: Connection, till: Till) -> None:
    own = {"ledger_id": till.ledger_id, "return_id": RETURN, "version": 9, "state": "RETURNED", "event": "returned"}
    insert(connection, "return_events", own | {"actor": "tests", "recorded_at": NOW})


CONTROLS: list[tuple[str, str, str, Callable[[Connection, Till], None]]] = [
    ("returns_follow_entries", "returns", FOLLOWS, lambda owner, till: go(owner, till, "", State.FAILED)),
    (
        "returns_begin_reserved",
        "returns",
        FOLLOWS,
        lambda owner, till: begin(owner, till, row(till, NEW, FIRST), event=None),
    ),
    ("return_events_tell_a_change", "return_events", TOLD, event_of_no_change),
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


def test_every_guard_of_returns_was_dropped_once(owner: Connection) -> None:
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgfoid::regproc::text NOT LIKE 'refuse_%%' "
        "AND tgrelid = ANY (ARRAY['returns', 'return_events']::regclass[])"
    )

    assert {row[0] for row in owner.execute(query)} == {trigger for trigger, _, _, _ in CONTROLS}
