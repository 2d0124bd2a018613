"""PostgreSQL keeps receipts and allocations to the entries that move their money, against the owner too."""

from __future__ import annotations

import pytest

from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.collection_scene import AMOUNT, ENTRIES, NEW, OTHER, PART, RECEIPT, WAYS, Step, Till
from tests.guards.payout_scene import insert, update
from tests.guards.stage import FIRST, NOW, Connection, Stage, Values, refusal

RESTRICT, DENIED, REFERENCED = "23001", "42501", "23503"
FOLLOWS, TOLD = "receipt_follows_its_entry", "receipt_event_tells_a_move"
ALLOCATED, UNDONE = "allocation_has_its_entry", "allocation_is_undone_once"
RETIRED, ENTRY_KEY = "collection_reference_is_retired_once", "receipt_events_ledger_id_entry_id_fkey"
SHORTCODE_KEY, EVENT_KEY = "receipts_ledger_id_provider_shortcode_fkey", "receipt_events_ledger_id_receipt_id_fkey"


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


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "collection.parked"},
        {"kind": "opening"},
        {"subject_id": "mpesa/RCPT9", "reference": "RCPT9"},
        {"subject_id": "airtel/RCPT3"},
        {"subject_kind": "payout"},
        {"amount": AMOUNT - 1},
    ],
    ids=str,
)
def test_a_receipt_begins_with_the_entry_that_books_it(anyone: Connection, till: Till, change: Values) -> None:
    till.book(anyone, NEW, **change)

    with refusal(anyone, CHECK, FOLLOWS):
        till.begin(anyone, till.receipt(NEW))


@pytest.mark.parametrize("event", [{"event": None}, {"event": "parked"}, {"amount": AMOUNT - 1}], ids=str)
def test_a_receipt_begins_with_the_event_that_tells_of_it(anyone: Connection, till: Till, event: Values) -> None:
    till.book(anyone, NEW)

    with refusal(anyone, CHECK, FOLLOWS):
        till.begin(anyone, till.receipt(NEW), **event)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"version": 2}, TOLD),
        ({"unallocated": 0, "suspended": AMOUNT}, FOLLOWS),
        ({"unallocated": 0, "allocated": AMOUNT}, FOLLOWS),
        ({"currency": "USD"}, FOLLOWS),
        ({"unallocated": AMOUNT - 1}, "receipts_parts_make_the_whole"),
        ({"unallocated": AMOUNT + 1, "suspended": -1}, "receipts_suspended_not_negative"),
        ({"amount": 0, "unallocated": 0}, "receipts_amount_is_positive"),
        ({"payer_shown": "254712345678"}, "receipts_payer_is_hidden"),
        ({"payer_shown": "is 712345678."}, "receipts_payer_is_hidden"),
        ({"reference_shown": "254712345678"}, "receipts_reference_is_hidden"),
        ({"payer_form": "told"}, "receipts_payer_form_is_known"),
        ({"receipt": ""}, "receipts_receipt_is_short"),
    ],
    ids=str,
)
def test_a_receipt_begins_whole_unallocated_and_hidden(
    anyone: Connection, till: Till, change: Values, constraint: str
) -> None:
    till.book(anyone, NEW)

    with refusal(anyone, CHECK, constraint):
        till.begin(anyone, till.receipt(NEW, **change))


def test_no_receipt_is_booked_twice_and_no_entry_books_two(anyone: Connection, till: Till) -> None:
    till.book(anyone, NEW)

    with refusal(anyone, UNIQUE, "receipts_are_booked_once"):
        till.begin(anyone, till.receipt(NEW, receipt="RCPT1"))
    with refusal(anyone, UNIQUE, "receipt_events_have_an_entry_each"):
        till.begin(anyone, till.receipt(NEW, receipt="RCPT1", provider="airtel"), entry_id=ENTRIES[RECEIPT])


def test_an_entry_of_another_ledger_books_nothing(anyone: Connection, till: Till) -> None:
    till.book(anyone, NEW)
    own: Values = {"ledger_id": till.stage.foreign_id}
    till.open_shortcode(anyone, till.stage.foreign_id)

    with refusal(anyone, REFERENCED, ENTRY_KEY):
        till.begin(anyone, till.receipt(NEW, **own), **own)


@pytest.mark.parametrize("source", WAYS)
def test_money_moves_along_the_drawn_moves_alone(owner: Connection, till: Till, source: str) -> None:
    """Every event from every place to every other, with an event, an entry and an allocation that fit."""
    drawn = set(owner.execute("SELECT event, source, target FROM receipt_moves"))
    till.reach(owner, source)

    for event in sorted({event for event, _, _ in drawn}):
        for target in WAYS:
            with owner.transaction(force_rollback=True):
                step = till.twin().fitting(owner, event, source, target)
                if (event, source, target) in drawn:
                    step.post(owner)
                else:
                    with refusal(owner, CHECK, FOLLOWS):
                        step.post(owner)


def test_money_moves_with_its_own_entry_or_not_at_all(anyone: Connection, till: Till) -> None:
    """Another kind, another receipt's, another provider's, another amount, one that was there before, none."""
    other_provider: Values = {"subject_id": "airtel/RCPT1"}
    wrong = [
        (till.entry(anyone, "collection.allocated", amount=PART), CHECK, FOLLOWS),
        (till.entry(anyone, "collection.parked", receipt_id=OTHER, amount=PART), CHECK, FOLLOWS),
        (till.entry(anyone, "collection.parked", amount=PART, **other_provider), CHECK, FOLLOWS),
        (till.entry(anyone, "collection.parked", amount=PART - 1), CHECK, FOLLOWS),
        (FIRST, CHECK, FOLLOWS),
        (ENTRIES[RECEIPT], UNIQUE, "receipt_events_have_an_entry_each"),
        (None, "23502", None),
        (99, REFERENCED, ENTRY_KEY),
    ]

    for entry, sqlstate, constraint in wrong:
        with refusal(anyone, sqlstate, constraint):
            till.step("parked", "unallocated", "suspended", entry, amount=PART).post(anyone)


def test_no_entry_moves_money_twice(anyone: Connection, till: Till) -> None:
    step = till.moved(anyone, till.fitting(anyone, "parked", "unallocated", "suspended"))

    with refusal(anyone, UNIQUE, "receipt_events_have_an_entry_each"):
        till.step("parked", "unallocated", "suspended", step.events[0]["entry_id"], amount=PART).post(anyone)


@pytest.mark.parametrize(
    ("change", "sqlstate", "constraint"),
    [
        ({"version": 9}, CHECK, TOLD),
        ({"version": 1}, UNIQUE, "receipt_events_pkey"),
        ({"event": "returned"}, CHECK, FOLLOWS),
        ({"event": "stolen"}, CHECK, FOLLOWS),
        ({"amount": PART + 1}, CHECK, FOLLOWS),
        ({"amount": -PART}, CHECK, FOLLOWS),
        ({"receipt_id": OTHER}, CHECK, TOLD),
    ],
    ids=str,
)
def test_money_moves_with_the_event_that_tells_of_it(
    anyone: Connection, till: Till, change: Values, sqlstate: str, constraint: str
) -> None:
    step = till.fitting(anyone, "parked", "unallocated", "suspended")
    step.events[0] |= change

    with refusal(anyone, sqlstate, constraint):
        step.post(anyone)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"version": 3}, TOLD),
        ({"version": 1}, TOLD),
        ({"returned": PART, "suspended": 0}, FOLLOWS),
        ({"unallocated": AMOUNT}, "receipts_parts_make_the_whole"),
        ({"unallocated": -1, "suspended": AMOUNT + 1}, "receipts_unallocated_not_negative"),
    ],
    ids=str,
)
def test_a_receipt_holds_what_its_event_says(anyone: Connection, till: Till, change: Values, constraint: str) -> None:
    step = till.fitting(anyone, "parked", "unallocated", "suspended")
    step.receipts[0] |= change

    with refusal(anyone, CHECK, constraint):
        step.post(anyone)


def test_money_does_not_move_without_an_event_nor_an_event_without_money(anyone: Connection, till: Till) -> None:
    step = till.fitting(anyone, "parked", "unallocated", "suspended")

    with refusal(anyone, CHECK, FOLLOWS):
        Step(step.receipts).post(anyone)
    for version in (2, 9):
        with refusal(anyone, CHECK, TOLD):
            Step(events=[step.events[0] | {"version": version}]).post(anyone)


@pytest.mark.parametrize(
    "change",
    [
        {"id": NEW}, {"provider": "airtel"}, {"shortcode": "1"}, {"receipt": "RCPT9"}, {"currency": "USD"},
        {"amount": AMOUNT + 1, "returned": 1}, {"payer_form": "masked"}, {"payer_shown": "x"}, {"sealed": b"x"},
        {"reference_index": bytes(32)}, {"reference_shown": "x"}, {"completed_at": "2026-11-19"},
        {"created_at": "2026-11-19"},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_receipt_is_never_changes(app: Connection, owner: Connection, till: Till, change: Values) -> None:
    """Not even beside a move that is drawn."""
    step = till.fitting(owner, "parked", "unallocated", "suspended")
    moved = {"unallocated": AMOUNT - PART, "suspended": PART, "version": 2}

    keys = {"provider": SHORTCODE_KEY, "shortcode": SHORTCODE_KEY, "id": EVENT_KEY}
    broken = [keys[column] for column in change if column in keys]
    with refusal(owner, *((REFERENCED, broken[0]) if broken else (CHECK, FOLLOWS))):
        till.change(owner, "receipts", **moved | change)
    with refusal(app, DENIED, None):
        till.change(app, "receipts", **moved | change)
    with refusal(owner, CHECK, FOLLOWS):
        till.change(owner, "receipts", **{**step.receipts[0], "sealed": b"x"})


def test_an_allocation_is_made_by_the_move_that_allocates(anyone: Connection, till: Till) -> None:
    """None without its move, of another amount or receipt, by an entry of another move, twice by one."""
    step = till.fitting(anyone, "allocated", "unallocated", "allocated")
    (row,) = step.allocations

    for change in ({"amount": PART - 1}, {"receipt_id": OTHER}, {"entry_id": FIRST}, {"entry_id": ENTRIES[RECEIPT]}):
        with refusal(anyone, CHECK, ALLOCATED):
            Step(step.receipts, step.events, [row | change]).post(anyone)
    with refusal(anyone, CHECK, ALLOCATED):
        Step(step.receipts, step.events).post(anyone)
    with refusal(anyone, CHECK, ALLOCATED):
        Step(allocations=[row]).post(anyone)
    with refusal(anyone, UNIQUE, "allocations_have_an_entry_each"):
        Step(step.receipts, step.events, [row, row | {"id": 1}]).post(anyone)
    step.post(anyone)


def test_no_allocation_is_made_up_behind_a_later_move(anyone: Connection, till: Till) -> None:
    """What one move of a transaction leaves out, another one does not cover."""
    allocated = till.fitting(anyone, "allocated", "unallocated", "allocated")

    with refusal(anyone, CHECK, ALLOCATED):
        till.twin().moved(anyone, Step(allocated.receipts, allocated.events))
        till.moved(anyone, till.fitting(anyone, "parked", "unallocated", "suspended"))


def test_an_allocation_is_undone_by_the_entry_that_reverses_it(anyone: Connection, till: Till) -> None:
    first, _ = till.allocate(anyone), till.allocate(anyone)
    of_the_first = till.undoing(anyone, first["entry_id"], amount=PART)
    unlinked = till.entry(anyone, "collection.undone", amount=PART)
    parked = till.entry(anyone, "collection.parked", amount=PART)

    for entry in (of_the_first, unlinked, parked):
        with refusal(anyone, CHECK, ALLOCATED):
            till.undone(anyone, entry=entry).post(anyone)
    with refusal(anyone, CHECK, ALLOCATED):
        step = till.undone(anyone, entry=of_the_first)
        Step(step.receipts, step.events).post(anyone)


def test_an_allocation_is_undone_once_and_with_its_move(anyone: Connection, till: Till) -> None:
    till.allocate(anyone)
    step = till.undone(anyone)

    with refusal(anyone, CHECK, ALLOCATED):
        Step(undone=step.undone).post(anyone)
    till.moved(anyone, step)

    for entry in (None, FIRST, step.events[0]["entry_id"]):
        with refusal(anyone, RESTRICT, UNDONE):
            Step(undone=[step.undone[0] | {"undone_entry_id": entry}]).post(anyone)


@pytest.mark.parametrize(
    "change",
    [
        {"target_id": "liab.thief"}, {"target_kind": "loan"}, {"amount": 1}, {"receipt_id": OTHER}, {"id": 1},
        {"entry_id": FIRST}, {"from_suspense": True}, {"actor": "x"}, {"created_at": "2026-11-19"},
    ],
    ids=str,
)  # fmt: skip
def test_an_allocation_stays_as_it_was_made(app: Connection, owner: Connection, till: Till, change: Values) -> None:
    where = {"ledger_id": till.ledger_id, "id": till.allocate(app)["id"]}
    app.commit()

    with refusal(owner, RESTRICT, UNDONE):
        update(owner, "allocations", where, **change)
    with refusal(app, DENIED, None):
        update(app, "allocations", where, **change)


@pytest.mark.parametrize(
    "change",
    [{"target_id": "liab.thief"}, {"target_kind": "loan"}, {"reference_index": bytes(31) + b"x"}, {"shown": "x"}],
    ids=str,
)
def test_a_reference_means_one_target_until_it_is_retired_for_good(
    app: Connection, owner: Connection, till: Till, change: Values
) -> None:
    with refusal(owner, RESTRICT, RETIRED):
        till.change(owner, "collection_references", **change)
    with refusal(app, DENIED, None):
        till.change(app, "collection_references", **change)
    till.change(app, "collection_references", retired_at=NOW)
    with refusal(app, RESTRICT, RETIRED):
        till.change(app, "collection_references", retired_at=None)


@pytest.mark.parametrize(
    ("change", "sqlstate", "constraint"),
    [
        ({"id": 2}, UNIQUE, "collection_references_live"),
        ({"id": 2, "reference_index": bytes(31)}, CHECK, "collection_references_index_is_whole"),
        ({"id": 2, "shown": "x 254712345678"}, CHECK, "collection_references_are_hidden"),
        ({"id": 2, "target_kind": "payout"}, CHECK, "collection_references_target_is_known"),
    ],
    ids=str,
)
def test_a_reference_is_one_targets_and_hidden(
    anyone: Connection, till: Till, change: Values, sqlstate: str, constraint: str
) -> None:
    with refusal(anyone, sqlstate, constraint):
        insert(anyone, "collection_references", {"ledger_id": till.ledger_id} | till.reference(**change))


@pytest.mark.parametrize("amount", [PART, AMOUNT])
def test_nothing_is_sent_back_of_a_payout_that_was_not_paid(anyone: Connection, till: Till, amount: int) -> None:
    step = till.fitting(anyone, "allocated", "unallocated", "allocated", amount=amount)
    step.allocations[0] |= {"target_kind": "payout", "target_id": "1"}

    with refusal(anyone, CHECK, "refund_fits_its_payout"):
        step.post(anyone)
