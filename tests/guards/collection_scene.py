"""Receipts and an order laid out in plain SQL, and the moves of money that anybody may try on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from tests.guards.attacks_on_reversals import link, store_links
from tests.guards.payout_scene import insert, update
from tests.guards.stage import BANK, NOW, WALLET, Connection, Stage, Values

RECEIPT, OTHER, NEW = 1, 2, 3  # the new one is not there yet
ORDER, REFERENCE = 1, 1
AMOUNT, PART = 500, 100
ENTRIES = {RECEIPT: 2100, OTHER: 2200, NEW: 2300}
PLACES = ("unallocated", "suspended", "allocated", "returning_now", "returned")
# The moves on a shortest way to each place.
WAYS: dict[str, list[tuple[str, str, str]]] = {
    "unallocated": [],
    "allocated": [],
    "suspended": [("parked", "unallocated", "suspended")],
    "returning": [("return_reserved", "unallocated", "returning")],
    "returned": [("taken_back", "unallocated", "returned")],
}
PROVIDER, SHORTCODE = "mpesa", "600100"

# One statement, so that the guards see receipts, events and allocations together. Whatever is left out is not written.
_STEP = """
WITH changed AS (
    UPDATE receipts AS r SET unallocated = u.unallocated, suspended = u.suspended, allocated = u.allocated,
        returning_now = u.returning_now, returned = u.returned, version = u.version
    FROM jsonb_populate_recordset(NULL::receipts, %(receipts)s) AS u WHERE r.ledger_id = u.ledger_id AND r.id = u.id
), told AS (
    INSERT INTO receipt_events SELECT * FROM jsonb_populate_recordset(NULL::receipt_events, %(events)s)
), undone AS (
    UPDATE allocations AS a SET undone_entry_id = u.undone_entry_id
    FROM jsonb_populate_recordset(NULL::allocations, %(undone)s) AS u WHERE a.ledger_id = u.ledger_id AND a.id = u.id
)
INSERT INTO allocations SELECT * FROM jsonb_populate_recordset(NULL::allocations, %(allocations)s)
"""
_BEGIN = """
WITH added AS (INSERT INTO receipts SELECT * FROM jsonb_populate_record(NULL::receipts, %(row)s))
INSERT INTO receipt_events SELECT * FROM jsonb_populate_recordset(NULL::receipt_events, %(events)s)
"""
_ORDER = """
WITH changed AS (
    UPDATE orders SET state = %(state)s, version = version + %(steps)s WHERE ledger_id = %(ledger)s AND id = %(id)s
    RETURNING *
)
INSERT INTO order_events (ledger_id, order_id, version, state, event, paid, recorded_at)
SELECT ledger_id, id, version, %(told)s, 'moved', %(paid)s, now() FROM changed WHERE %(told)s <> ''
"""
_NEW_ORDER = """
WITH added AS (INSERT INTO orders SELECT * FROM jsonb_populate_record(NULL::orders, %(row)s))
INSERT INTO order_events SELECT * FROM jsonb_populate_recordset(NULL::order_events, %(events)s)
"""


@dataclass(slots=True)
class Step:
    """The rows that one move of money writes, by table. Each may be changed before it is posted."""

    receipts: list[Values] = field(default_factory=list)
    events: list[Values] = field(default_factory=list)
    allocations: list[Values] = field(default_factory=list)
    undone: list[Values] = field(default_factory=list)

    def post(self, connection: Connection) -> None:
        """Writes them."""
        rows = (("receipts", self.receipts), ("events", self.events), ("undone", self.undone))
        parameters = {name: Jsonb(values) for name, values in (*rows, ("allocations", self.allocations))}
        connection.execute(_STEP, parameters)


@dataclass(slots=True)
class Till:
    """A shortcode, two booked receipts whose money nobody has, a reference, and an order that is open. Where the first
    receipt's money is, is kept here, so that the rows of a next move follow."""

    stage: Stage
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0) | {"unallocated": AMOUNT})
    version: int = 1
    next_entry: int = 3000
    given: list[Values] = field(default_factory=list)

    @property
    def ledger_id(self) -> int:
        return self.stage.ledger_id

    def twin(self) -> Till:
        """The same till for somebody else, as it stands now."""
        return Till(self.stage.twin(), dict(self.held), self.version, self.next_entry, list(self.given))

    def lay_out(self, connection: Connection) -> None:
        """Writes it all; the caller commits or rolls back."""
        own: Values = {"ledger_id": self.ledger_id}
        insert(
            connection, "partners", own | {"id": 1, "code": "acme", "name": "A", "currency": "KES", "created_at": NOW}
        )
        self.open_shortcode(connection, self.ledger_id)
        insert(connection, "collection_references", own | self.reference())
        for receipt_id in (RECEIPT, OTHER):
            self.book(connection, receipt_id)
            self.begin(connection, self.receipt(receipt_id))
        self.begin_order(connection, self.order(ORDER))

    def open_shortcode(self, connection: Connection, ledger_id: int) -> None:
        """Lets the shortcode take money in."""
        row: Values = {
            "ledger_id": ledger_id, "provider": PROVIDER, "shortcode": SHORTCODE, "currency": "KES",
            "landing": "asset.bank", "accepts_unanswered": True, "refuses_unknown": False, "created_at": NOW,
        }  # fmt: skip
        insert(connection, "collection_shortcodes", row)

    def receipt(self, receipt_id: int, **changes: Any) -> Values:
        """The row of a receipt as it begins."""
        return {
            "ledger_id": self.ledger_id, "id": receipt_id, "provider": PROVIDER, "shortcode": SHORTCODE,
            "receipt": f"RCPT{receipt_id}", "currency": "KES", "amount": AMOUNT, "payer_form": "plain",
            "payer_shown": "2547****678", "reference_shown": "", "sealed": "\\x00", "completed_at": NOW,
            **dict.fromkeys(PLACES, 0), "unallocated": AMOUNT, "version": 1, "created_at": NOW, "updated_at": NOW,
            **changes,
        }  # fmt: skip

    def book(self, connection: Connection, receipt_id: int, **changes: Any) -> int:
        """Posts the entry that books a receipt; its id."""
        header = subject_of("collection.received", receipt_id) | changes
        amount = header.pop("amount", AMOUNT)
        self.stage.transfer(ENTRIES[receipt_id], BANK, WALLET, amount, **header).post(connection)
        return ENTRIES[receipt_id]

    def begin(self, connection: Connection, row: Values, **event: Any) -> None:
        """Inserts a receipt with its first event, or, with `event` None, without."""
        told = self._event(row["id"], 1, "received", ENTRIES[row["id"]], AMOUNT) | event
        connection.execute(_BEGIN, {"row": Jsonb(row), "events": Jsonb([told] if told["event"] else [])})

    def entry(
        self, connection: Connection, kind: str, *, receipt_id: int = RECEIPT, amount: int = AMOUNT, **changes: Any
    ) -> int:
        """Posts an entry of the kind about a receipt; its id."""
        self.next_entry += 1
        header = subject_of(kind, receipt_id) | changes
        self.stage.transfer(self.next_entry, BANK, WALLET, amount, **header).post(connection)
        return self.next_entry

    def undoing(self, connection: Connection, entry_id: int, *, amount: int = AMOUNT, **changes: Any) -> int:
        """Posts the entry that undoes one of this receipt's, line for line; its id."""
        self.next_entry += 1
        legs = (BANK, "C", amount), (WALLET, "D", amount)
        header = subject_of("collection.undone", RECEIPT) | {"reverses_id": entry_id} | changes
        self.stage.entry(self.next_entry, *legs, **header).post(connection)
        links = (link(self.stage, (entry_id, line), (self.next_entry, line), amount) for line in (1, 2))
        store_links(connection, *links)
        return self.next_entry

    def step(self, event: str, source: str, target: str, entry: int | None, *, amount: int = AMOUNT) -> Step:
        """The rows that move money of the first receipt as drawn; nothing of it is written down here yet."""
        places = dict(self.held)
        places[_column(source)] -= amount
        places[_column(target)] += amount
        version = self.version + 1
        return Step(
            [self.receipt(RECEIPT, **places, version=version)],
            [self._event(RECEIPT, version, event, entry, amount)],
            [self.allocation(entry, amount=amount)] if event == "allocated" else [],
        )

    def fitting(self, connection: Connection, event: str, source: str, target: str, *, amount: int = PART) -> Step:
        """The same, with an entry that fits; what is taken back is the last allocation."""
        if event == "undone":
            return self.undone(connection, source=source, target=target)
        entry = self.entry(connection, f"collection.{event}", amount=amount)
        return self.step(event, source, target, entry, amount=amount)

    def undone(
        self, connection: Connection, *, source: str = "allocated", target: str = "unallocated", entry: int = 0
    ) -> Step:
        """The rows that take the last allocation back, by the entry that reverses its own unless one is given."""
        allocation = self.given[-1]
        entry = entry or self.undoing(connection, allocation["entry_id"], amount=allocation["amount"])
        step = self.step("undone", source, target, entry, amount=allocation["amount"])
        step.undone = [allocation | {"undone_entry_id": entry}]
        return step

    def moved(self, connection: Connection, step: Step) -> Step:
        """Writes a step and remembers where the money is now."""
        step.post(connection)
        (row,) = step.receipts
        self.held, self.version = {place: row[place] for place in PLACES}, row["version"]
        self.given += step.allocations
        return step

    def allocate(self, connection: Connection, *, amount: int = PART, **changes: Any) -> Values:
        """Allocates money of the first receipt that nobody has; the row of the allocation."""
        step = self.fitting(connection, "allocated", "unallocated", "allocated", amount=amount)
        step.allocations[0] |= changes
        return self.moved(connection, step).allocations[0]

    def reach(self, connection: Connection, place: str) -> None:
        """Brings a part of the first receipt's money there, and another to a target."""
        self.allocate(connection)
        for event, source, target in WAYS[place]:
            self.moved(connection, self.fitting(connection, event, source, target))

    def allocation(self, entry: int | None, *, amount: int = AMOUNT, **changes: Any) -> Values:
        """The row of an allocation of the first receipt, to a wallet."""
        return {
            "ledger_id": self.ledger_id, "id": entry, "receipt_id": RECEIPT, "from_suspense": False,
            "target_kind": "account", "target_id": "liab.wallet", "amount": amount, "entry_id": entry,
            "actor": "tests", "created_at": NOW, **changes,
        }  # fmt: skip

    def reference(self, **changes: Any) -> Values:
        """The row of a reference that means a wallet."""
        return {
            "id": REFERENCE, "reference_index": bytes(32), "shown": "AMINA", "target_kind": "account",
            "target_id": "liab.wallet", "created_at": NOW, **changes,
        }  # fmt: skip

    def order(self, order_id: int, **changes: Any) -> Values:
        """The row of an order as it begins."""
        return {
            "ledger_id": self.ledger_id, "id": order_id, "partner_id": 1, "reference": f"A{order_id}",
            "currency": "KES", "amount": AMOUNT, "expires_at": "2026-11-21", "state": "OPEN", "version": 1,
            "created_at": NOW, "updated_at": NOW, **changes,
        }  # fmt: skip

    def begin_order(self, connection: Connection, row: Values, **event: Any) -> None:
        """Inserts an order with its first event, or, with `event` None, without."""
        told = {
            "ledger_id": self.ledger_id, "order_id": row["id"], "version": 1, "state": "OPEN", "event": "created",
            "paid": 0, "recorded_at": NOW, **event,
        }  # fmt: skip
        connection.execute(_NEW_ORDER, {"row": Jsonb(row), "events": Jsonb([told] if told["event"] else [])})

    def turn(
        self, connection: Connection, state: str, *, paid: int = 0, told: str | None = None, steps: int = 1
    ) -> None:
        """Moves the order on as the application does; its event names, by default, the state; "" writes none."""
        parameters = {"ledger": self.ledger_id, "id": ORDER, "state": state, "steps": steps, "paid": paid}
        connection.execute(_ORDER, parameters | {"told": state if told is None else told})

    def change(self, connection: Connection, table: LiteralString, **values: Any) -> None:
        """Updates the row with id 1 of a table as given, and nothing else."""
        update(connection, table, {"ledger_id": self.ledger_id, "id": 1}, **values)

    def _event(self, receipt_id: int, version: int, event: str | None, entry: int | None, amount: int) -> Values:
        return {
            "ledger_id": self.ledger_id, "receipt_id": receipt_id, "version": version, "event": event,
            "entry_id": entry, "amount": amount, "actor": "tests", "recorded_at": NOW,
        }  # fmt: skip


def subject_of(kind: str, receipt_id: int, *, provider: str = PROVIDER) -> Values:
    """Header fields of an entry of this kind about the receipt."""
    receipt = f"RCPT{receipt_id}"
    subject = {"subject_kind": "collection", "subject_id": f"{provider}/{receipt}"}
    return subject | {"kind": kind, "reference": receipt}


def _column(place: str) -> str:
    return "returning_now" if place == "returning" else place
