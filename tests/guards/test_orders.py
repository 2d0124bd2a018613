"""PostgreSQL keeps orders to their edges, their intent and their money; and which trigger it is that refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import sql

from ledger.collections.order import EDGES, State
from tests.guards.attacks import CHECK
from tests.guards.collection_scene import AMOUNT, NEW, ORDER, PART, Step, Till
from tests.guards.payout_scene import insert, update
from tests.guards.stage import FIRST, NOW, Connection, Stage, Values, refusal

DENIED = "42501"
EDGE, FOLLOWS = "order_moves_along_an_edge", "order_follows_its_allocations"
TOLD = "order_event_tells_a_change"
TO_ORDER: Values = {"target_kind": "order", "target_id": str(ORDER)}


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    roles: dict[str, Connection] = {"app": app, "owner": owner}
    return roles[request.param]


@pytest.fixture
def till(app: Connection, stage: Stage) -> Till:
    """Laid out by the application's role, and committed."""
    laid_out = Till(stage)
    laid_out.lay_out(app)
    app.commit()
    return laid_out


def go(connection: Connection, till: Till, target: State) -> None:
    """Moves the order on as it should be: paid with its money, reversed without."""
    if target is State.PAID:
        till.allocate(connection, amount=AMOUNT, **TO_ORDER)
    elif target is State.REVERSED:
        till.moved(connection, till.undone(connection))
    till.turn(connection, target.value, paid=AMOUNT if target is State.PAID else 0)


WAYS: dict[State, list[State]] = {
    State.OPEN: [],
    State.PAID: [State.PAID],
    State.EXPIRED: [State.EXPIRED],
    State.CANCELLED: [State.CANCELLED],
    State.REVERSED: [State.PAID, State.REVERSED],
}


@pytest.mark.parametrize("source", State, ids=str)
def test_an_order_moves_along_the_edges_that_the_product_draws_alone(
    owner: Connection, till: Till, source: State
) -> None:
    for state in WAYS[source]:
        go(owner, till, state)

    for target in State:
        if (source, target) in EDGES:
            with owner.transaction(force_rollback=True):
                go(owner, till.twin(), target)
        elif target is source:
            with owner.transaction(force_rollback=True):
                till.turn(owner, target.value, paid=AMOUNT if source is State.PAID else 0)
        else:
            with refusal(owner, CHECK, EDGE):
                till.turn(owner, target.value)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 9}, {"partner_id": 2}, {"reference": "B1"}, {"currency": "USD"}, {"amount": 1},
        {"expires_at": "2027-01-01"}, {"created_at": "2026-11-19"}, {"version": 3}, {"version": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_an_order_asks_for_never_changes(app: Connection, owner: Connection, till: Till, change: Values) -> None:
    step = {"state": "EXPIRED", "version": 2, **change}

    with refusal(owner, CHECK, EDGE):
        till.change(owner, "orders", **step)
    with refusal(app, *((CHECK, EDGE) if "version" in change else (DENIED, None))):
        till.change(app, "orders", **step)


@pytest.mark.parametrize("change", [{"state": "PAID"}, {"state": "EXPIRED"}, {"version": 2}], ids=str)
def test_an_order_begins_open_and_at_its_first_version(anyone: Connection, till: Till, change: Values) -> None:
    with refusal(anyone, CHECK, FOLLOWS):
        till.begin_order(anyone, till.order(NEW, **change), **change)


@pytest.mark.parametrize(
    ("event", "constraint"),
    [({"event": None}, FOLLOWS), ({"event": "paid"}, FOLLOWS), ({"state": "PAID"}, TOLD), ({"paid": 1}, TOLD)],
    ids=str,
)
def test_an_order_begins_with_its_event_and_unpaid(
    anyone: Connection, till: Till, event: Values, constraint: str
) -> None:
    with refusal(anyone, CHECK, constraint):
        till.begin_order(anyone, till.order(NEW), **event)


def test_no_order_changes_without_its_event(anyone: Connection, till: Till) -> None:
    with refusal(anyone, CHECK, FOLLOWS):
        till.turn(anyone, "EXPIRED", told="")
    with refusal(anyone, CHECK, FOLLOWS):
        till.turn(anyone, "EXPIRED", told="OPEN")


@pytest.mark.parametrize(("version", "state"), [(2, "PAID"), (2, "OPEN"), (9, "OPEN")])
def test_no_event_tells_of_a_change_that_was_not_made(anyone: Connection, till: Till, version: int, state: str) -> None:
    with refusal(anyone, CHECK, TOLD):
        insert(anyone, "order_events", told(till) | {"version": version, "state": state})


def test_an_order_is_paid_by_money_alone(anyone: Connection, till: Till) -> None:
    """Not by less than it asks for, and not by what was given to somebody else."""
    till.allocate(anyone, amount=AMOUNT - PART, **TO_ORDER)
    till.allocate(anyone)

    with refusal(anyone, CHECK, FOLLOWS):
        till.turn(anyone, "PAID", paid=AMOUNT - PART)
    for state, claimed in (("PAID", AMOUNT), ("OPEN", 0), ("EXPIRED", PART)):
        with refusal(anyone, CHECK, TOLD):
            till.turn(anyone, state, paid=claimed)
    till.turn(anyone, "OPEN", paid=AMOUNT - PART)


def test_an_order_ends_without_money_only_when_none_of_it_is_left(anyone: Connection, till: Till) -> None:
    till.allocate(anyone, amount=AMOUNT - PART, **TO_ORDER)
    with refusal(anyone, CHECK, FOLLOWS):
        till.turn(anyone, "CANCELLED", paid=AMOUNT - PART)
    till.allocate(anyone, **TO_ORDER)
    till.turn(anyone, "PAID", paid=AMOUNT)

    with refusal(anyone, CHECK, FOLLOWS):
        till.turn(anyone, "REVERSED", paid=AMOUNT)
    till.moved(anyone, till.undone(anyone))
    with refusal(anyone, CHECK, FOLLOWS):
        till.turn(anyone, "REVERSED", paid=AMOUNT - PART)
    till.turn(anyone, "PAID", paid=AMOUNT - PART)


def told(till: Till) -> Values:
    """An event of the order of which nothing is true but that it is there."""
    own = {"ledger_id": till.ledger_id, "order_id": ORDER}
    return own | {"version": 9, "state": "PAID", "event": "x", "paid": AMOUNT, "recorded_at": NOW}


def parked_by_another_entry(owner: Connection, till: Till) -> None:
    till.step("parked", "unallocated", "suspended", FIRST, amount=PART).post(owner)


def event_of_no_move(owner: Connection, till: Till) -> None:
    step = till.step("parked", "unallocated", "suspended", FIRST, amount=PART)
    Step(events=[step.events[0] | {"version": 9}]).post(owner)


def allocated_to_nobody(owner: Connection, till: Till) -> None:
    step = till.fitting(owner, "allocated", "unallocated", "allocated")
    Step(step.receipts, step.events).post(owner)


def allocation_of_no_move(owner: Connection, till: Till) -> None:
    Step(allocations=[till.allocation(FIRST)]).post(owner)


def undone_by_any_entry(owner: Connection, till: Till) -> None:
    Step(undone=[till.allocate(owner) | {"undone_entry_id": FIRST}]).post(owner)


def allocated_to_another(owner: Connection, till: Till) -> None:
    where = {"ledger_id": till.ledger_id, "id": till.allocate(owner)["id"]}
    update(owner, "allocations", where, target_id="liab.thief")


def sent_back_of_no_payout(owner: Connection, till: Till) -> None:
    till.allocate(owner, target_kind="payout", target_id="1")


CONTROLS: list[tuple[str, str, Callable[[Connection, Till], None]]] = [
    ("receipts_are_booked", "receipts", lambda owner, till: till.begin(owner, till.receipt(NEW), event=None)),
    ("receipts_follow_entries", "receipts", parked_by_another_entry),
    ("receipt_events_tell_a_move", "receipt_events", event_of_no_move),
    ("receipt_events_have_allocations", "receipt_events", allocated_to_nobody),
    ("allocations_have_entries_when_made", "allocations", allocation_of_no_move),
    ("allocations_have_entries_when_undone", "allocations", undone_by_any_entry),
    ("allocations_stay", "allocations", allocated_to_another),
    ("refunds_fit_payouts", "allocations", sent_back_of_no_payout),
    (
        "collection_references_stay",
        "collection_references",
        lambda owner, till: till.change(owner, "collection_references", target_id="liab.thief"),
    ),
    ("orders_move_forward", "orders", lambda owner, till: till.turn(owner, "REVERSED")),
    ("orders_begin_open", "orders", lambda owner, till: till.begin_order(owner, till.order(NEW), event=None)),
    ("orders_follow_allocations", "orders", lambda owner, till: till.turn(owner, "PAID")),
    ("order_events_tell_a_change", "order_events", lambda owner, till: insert(owner, "order_events", told(till))),
]


@pytest.mark.parametrize(("trigger", "table", "attack"), CONTROLS, ids=[trigger for trigger, _, _ in CONTROLS])
def test_it_is_the_named_trigger_that_refuses(
    owner: Connection, stage: Stage, till: Till, trigger: str, table: str, attack: Callable[[Connection, Till], None]
) -> None:
    """With the trigger dropped the attack succeeds: so the tests above, and those of receipts, can fail."""
    twin = till.twin()
    before = stage.everything(owner)
    with refusal(owner, "23001" if trigger.endswith("_stay") else CHECK, WHAT_IT_SAYS[trigger]):
        attack(owner, Till(stage.twin()))
    owner.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger), sql.Identifier(table)))

    attack(owner, twin)

    assert stage.everything(owner) != before


WHAT_IT_SAYS = {
    "receipts_are_booked": "receipt_follows_its_entry",
    "receipts_follow_entries": "receipt_follows_its_entry",
    "receipt_events_tell_a_move": "receipt_event_tells_a_move",
    "receipt_events_have_allocations": "allocation_has_its_entry",
    "allocations_have_entries_when_made": "allocation_has_its_entry",
    "allocations_have_entries_when_undone": "allocation_has_its_entry",
    "allocations_stay": "allocation_is_undone_once",
    "refunds_fit_payouts": "refund_fits_its_payout",
    "collection_references_stay": "collection_reference_is_retired_once",
    "orders_move_forward": EDGE,
    "orders_begin_open": FOLLOWS,
    "orders_follow_allocations": FOLLOWS,
    "order_events_tell_a_change": TOLD,
}


def test_every_guard_of_receipts_and_orders_was_dropped_once(owner: Connection) -> None:
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgfoid::regproc::text NOT LIKE 'refuse_%%' "
        "AND tgrelid = ANY (ARRAY['receipts', 'receipt_events', 'allocations', 'collection_references', 'orders', "
        "'order_events']::regclass[])"
    )

    assert {row[0] for row in owner.execute(query)} == {trigger for trigger, _, _ in CONTROLS}
