"""A partner's payouts laid out in plain SQL, and the changes an attacker or the application may try on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from ledger.ids import encode
from tests.guards.stage import BANK, NOW, WALLET, Connection, Stage, Values

PAYOUT, OTHER, NEW = 1, 2, 3  # the new one is not there yet
RESERVES = {PAYOUT: 2100, OTHER: 2200, NEW: 2300}
AMOUNT = 500
TOKEN = bytes(32)


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


# A change with the event that tells of it, in one statement as the application writes it.
_CHANGE = """
WITH changed AS (
    UPDATE payouts SET state = %(state)s, version = version + 1, receipt = coalesce(receipt, %(receipt)s),
        completed_at = coalesce(completed_at, %(completed)s)
    WHERE ledger_id = %(ledger)s AND id = %(id)s RETURNING *
)
INSERT INTO payout_events (ledger_id, payout_id, version, state, event, entry_id, recorded_at)
SELECT ledger_id, id, version, %(told)s, 'moved', %(entry)s, now() FROM changed
"""
WITH_A_FEE: LiteralString = _CHANGE.replace("SET state", "SET fee = 1, state")
_BEGIN = """
WITH added AS (INSERT INTO payouts SELECT * FROM jsonb_populate_record(NULL::payouts, %(row)s) RETURNING *)
INSERT INTO payout_events (ledger_id, payout_id, version, state, event, entry_id, recorded_at)
SELECT ledger_id, id, version, state, 'requested', reserve_entry_id, now() FROM added WHERE %(told)s
"""


def subject_of(kind: str, payout_id: int) -> Values:
    """Header fields of an entry of this kind about the payout."""
    if kind.startswith(("payout.late", "payout.clawed")):
        return {"kind": kind, "subject_kind": "payout_receipt", "subject_id": "mpesa/RCPT1", "reference": "RCPT1"}
    return {"kind": kind, "subject_kind": "payout", "subject_id": encode("pay", payout_id)}


@dataclass(slots=True)
class Scene:
    """A partner, a payee, two reserved payouts, an instruction with an attempt under way, and a message to judge."""

    stage: Stage
    next_entry: int = 3000

    @property
    def ledger_id(self) -> int:
        return self.stage.ledger_id

    def payout(self, payout_id: int, **changes: Any) -> Values:
        """The row of a payout as it begins."""
        return {
            "ledger_id": self.ledger_id, "id": payout_id, "partner_id": 1, "partner_reference": f"ref-{payout_id}",
            "party_id": 1, "currency": "KES", "amount": AMOUNT, "fee": 0, "purpose": "business", "remarks": "x",
            "rail": "mpesa", "shortcode": "600100", "provider_reference": f"dft-{payout_id}",
            "reserve_entry_id": RESERVES[payout_id], "state": "RESERVED", "version": 1, "created_at": NOW,
            "updated_at": NOW, **changes,
        }  # fmt: skip

    def begin(self, connection: Connection, row: Values, *, told: bool = True) -> None:
        """Inserts a payout with its first event."""
        connection.execute(_BEGIN, {"row": Jsonb(row), "told": told})

    def reserve(self, connection: Connection, payout_id: int, *, amount: int = AMOUNT) -> None:
        """Posts the entry that reserves the payout's money."""
        header = subject_of("payout.reserved", payout_id)
        self.stage.transfer(RESERVES[payout_id], BANK, WALLET, amount, **header).post(connection)

    def entry(self, connection: Connection, kind: str, *, payout_id: int = PAYOUT, amount: int = AMOUNT) -> int:
        """Posts an entry of the kind about a payout; its id."""
        self.next_entry += 1
        header = subject_of(kind, payout_id)
        self.stage.transfer(self.next_entry, BANK, WALLET, amount, **header).post(connection)
        return self.next_entry

    def change(self, connection: Connection, **values: Any) -> None:
        """Updates the first payout as given, and nothing else."""
        update(connection, "payouts", {"ledger_id": self.ledger_id, "id": PAYOUT}, **values)

    def step(
        self, connection: Connection, state: str, entry: int | None, *, told: str = "", how: LiteralString = _CHANGE
    ) -> None:
        """Moves the first payout on as the application does; its event names `entry` and, by default, the state."""
        settled = state == "SETTLED"
        parameters = {"ledger": self.ledger_id, "id": PAYOUT, "state": state, "told": told or state, "entry": entry}
        proof = {"receipt": "RCPT1" if settled else None, "completed": NOW if settled else None}
        assert connection.execute(how, parameters | proof).rowcount == 1

    def move(self, connection: Connection, *states: str) -> None:
        """Takes the payout along these states with the entries that go with them."""
        for state in states:
            row = connection.execute(
                "SELECT kinds FROM payout_edges JOIN payouts ON state = source "
                "WHERE target = %s AND ledger_id = %s AND id = %s",
                (state, self.ledger_id, PAYOUT),
            ).fetchone()
            assert row is not None
            self.step(connection, state, self.entry(connection, row[0][0]) if row[0] else None)

    def attempt(self, connection: Connection, **values: Any) -> None:
        """Updates the attempt."""
        update(connection, "attempts", {"ledger_id": self.ledger_id, "instruction_id": 1, "number": 1}, **values)

    def message(self, connection: Connection, **values: Any) -> None:
        """Updates the message."""
        update(connection, "inbox", {"ledger_id": self.ledger_id, "id": 1}, **values)
