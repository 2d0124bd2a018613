"""A loan laid out in plain SQL up to where its money has left, and the changes that anybody may try on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from ledger.ids import encode
from tests.guards.payout_scene import insert, subject_of
from tests.guards.stage import BANK, NOW, WALLET, Connection, Stage, Values

LOAN, OTHER, NEW = 1, 2, 3  # the new one is not there yet
PRODUCT, PARTY, PAYOUT = 1, 1, 1
PRINCIPAL = 900  # its account
NET, FEE, GROSS = 480, 20, 500
PUBLIC_ID = encode("loan", LOAN)
BORN = {"starts_on": "2026-11-20", "accrued_before": "2026-11-20", "worked_before": "2026-11-20"}

# One statement, so that the guards see the loan and its event together. Whatever is left out is not written.
_STEP = """
WITH changed AS (
    UPDATE loans AS l SET state = u.state, version = u.version, approved_by = u.approved_by, payout_id = u.payout_id,
        starts_on = u.starts_on, accrued_before = u.accrued_before, worked_before = u.worked_before,
        penalties_charged = u.penalties_charged
    FROM jsonb_populate_recordset(NULL::loans, %(loans)s) AS u WHERE l.ledger_id = u.ledger_id AND l.id = u.id
)
INSERT INTO loan_events SELECT * FROM jsonb_populate_recordset(NULL::loan_events, %(events)s)
"""
_BEGIN = """
WITH added AS (INSERT INTO loans SELECT * FROM jsonb_populate_record(NULL::loans, %(row)s))
INSERT INTO loan_events SELECT * FROM jsonb_populate_recordset(NULL::loan_events, %(events)s)
"""
_PAYOUT = """
WITH added AS (INSERT INTO payouts SELECT * FROM jsonb_populate_record(NULL::payouts, %(row)s) RETURNING *)
INSERT INTO payout_events (ledger_id, payout_id, version, state, event, entry_id, recorded_at)
SELECT ledger_id, id, version, state, 'requested', reserve_entry_id, now() FROM added
"""
_SETTLED = """
WITH changed AS (
    UPDATE payouts SET state = 'SETTLED', version = version + 1, receipt = 'RCPT1', completed_at = now()
    WHERE ledger_id = %(ledger)s AND id = %(id)s RETURNING *
)
INSERT INTO payout_events (ledger_id, payout_id, version, state, event, entry_id, recorded_at)
SELECT ledger_id, id, version, state, 'settled', %(entry)s, now() FROM changed
"""


@dataclass(slots=True)
class Bank:
    """A product, and a loan of it; `row` is the loan as it is, so that the rows of a next change follow."""

    stage: Stage
    row: Values = field(default_factory=dict)
    next_entry: int = 3000

    @property
    def ledger_id(self) -> int:
        return self.stage.ledger_id

    def twin(self) -> Bank:
        """The same for somebody else, as it stands now."""
        return Bank(self.stage.twin(), dict(self.row), self.next_entry)

    def lay_out(self, connection: Connection) -> None:
        """Writes it all; the caller commits or rolls back."""
        own: Values = {"ledger_id": self.ledger_id}
        partner = {"id": 1, "code": "acme", "name": "Acme", "currency": "KES", "created_at": NOW}
        insert(connection, "partners", own | partner)
        party = {
            "id": PARTY, "payee_index": bytes(32), "payee_ciphertext": bytes(32), "payee_masked": "2547****678",
            "created_at": NOW,
        }  # fmt: skip
        insert(connection, "parties", own | party)
        self._open(connection, PRINCIPAL, f"asset.loans.principal.{PUBLIC_ID.lower()}")
        insert(connection, "loan_products", self.product())
        self.row = self.loan(LOAN)
        self.begin(connection, self.row)

    def product(self, **changes: Any) -> Values:
        """The row of a product."""
        return {
            "ledger_id": self.ledger_id, "id": PRODUCT, "code": "ada", "version": 1, "name": "Ada", "partner_id": 1,
            "mode": "principal", "currency": "KES", "terms": "{}", "weekend": [], "holidays": [],
            "second_person": True, "created_by": "amina", "created_at": NOW, **changes,
        }  # fmt: skip

    def loan(self, loan_id: int, **changes: Any) -> Values:
        """The row of a loan as it begins."""
        return {
            "ledger_id": self.ledger_id, "id": loan_id, "product_id": PRODUCT, "borrower": "zuri", "party_id": PARTY,
            "lender": None, "currency": "KES", "gross": GROSS, "net": NET, "fee": FEE, "reference": f"L{loan_id}",
            "second_person": True, "requested_by": "amina", "approved_by": None, "state": "REQUESTED", "version": 1,
            "payout_id": None, "starts_on": None, "accrued_before": None, "worked_before": None,
            "penalties_charged": 0, "created_at": NOW, "updated_at": NOW, **changes,
        }  # fmt: skip

    def begin(self, connection: Connection, row: Values, **event: Any) -> None:
        """Inserts a loan with its first event, or, with `event` None, without."""
        told = self._event(row, "requested") | {"version": 1} | event
        connection.execute(_BEGIN, {"row": Jsonb(row), "events": Jsonb([told] if told["event"] else [])})

    def entry(self, connection: Connection, kind: str, *, amount: int = GROSS, **header: Any) -> int:
        """Posts an entry of the kind about the loan; its id."""
        self.next_entry += 1
        about: Values = {"kind": kind, "subject_kind": "loan", "subject_id": PUBLIC_ID} | header
        self.stage.transfer(self.next_entry, BANK, WALLET, amount, **about).post(connection)
        return self.next_entry

    def request_payout(self, connection: Connection, payout_id: int = PAYOUT, **changes: Any) -> int:
        """Reserves a payout of the loan; its id."""
        reserve = self.entry(connection, **subject_of("payout.reserved", payout_id), amount=changes.get("amount", NET))
        row: Values = {
            "ledger_id": self.ledger_id, "id": payout_id, "partner_id": 1, "partner_reference": f"loan-{payout_id}",
            "party_id": PARTY, "currency": "KES", "amount": NET, "fee": 0, "purpose": "business", "remarks": "x",
            "rail": "mpesa", "shortcode": "600100", "provider_reference": f"dft-{payout_id}",
            "reserve_entry_id": reserve, "state": "RESERVED", "version": 1, "created_at": NOW, "updated_at": NOW,
            "funding": "asset.loans.disbursing", **changes,
        }  # fmt: skip
        connection.execute(_PAYOUT, {"row": Jsonb(row)})
        return payout_id

    def settle_payout(self, connection: Connection, payout_id: int = PAYOUT) -> None:
        """The payout has its receipt."""
        entry = self.entry(connection, **subject_of("payout.settled", payout_id), amount=NET)
        connection.execute(_SETTLED, {"ledger": self.ledger_id, "id": payout_id, "entry": entry})

    def step(
        self, event: str, state: str, entry: int | None = None, *, amount: int | None = None, **row: Any
    ) -> Values:
        """The parameters of a change of the loan; nothing of it is written down here yet."""
        after = self.row | {"state": state, "version": self.row["version"] + 1} | row
        told = self._event(after, event) | {"entry_id": entry, "amount": amount or (GROSS if entry else None)}
        if event == "disbursement_started":
            told["payout_id"] = after["payout_id"]
        return {"loans": [after], "events": [told]}

    def post(self, connection: Connection, step: Values) -> None:
        """Writes a change and remembers how the loan is now."""
        connection.execute(_STEP, {name: Jsonb(rows) for name, rows in step.items()})
        if step["loans"]:
            self.row = step["loans"][0]

    def move(self, connection: Connection, event: str, state: str, entry: int | None = None, **row: Any) -> None:
        """Makes a change as it should be."""
        self.post(connection, self.step(event, state, entry, **row))

    def approve(self, connection: Connection) -> None:
        """By another than who requested."""
        self.move(connection, "approved", "APPROVED", approved_by="baraka")

    def start(self, connection: Connection, payout_id: int = PAYOUT) -> None:
        """Requests its payout."""
        self.request_payout(connection, payout_id)
        self.move(connection, "disbursement_started", "DISBURSING", payout_id=payout_id)

    def disburse(self, connection: Connection) -> None:
        """Its payout reached the borrower."""
        self.settle_payout(connection)
        self.move(connection, "disbursed", "ACTIVE", self.entry(connection, "loan.disbursed"), **BORN)

    def reach(self, connection: Connection, state: str) -> None:
        """Brings the loan there along a shortest way."""
        if state in ("REJECTED", "CANCELLED"):
            self.move(connection, state.lower(), state)
        if state not in ("REQUESTED", "REJECTED", "CANCELLED"):
            self.approve(connection)
        if state not in ("REQUESTED", "REJECTED", "CANCELLED", "APPROVED"):
            self.start(connection)
        if state == "DISBURSEMENT_FAILED":
            self.move(connection, "disbursement_failed", state)
        if state in ("ACTIVE", "CLOSED", "WRITTEN_OFF"):
            self.disburse(connection)
        if state == "CLOSED":
            self.move(connection, "paid_off", state, self.repaid(connection))
        if state == "WRITTEN_OFF":
            self.move(connection, "written_off", state, self.entry(connection, "loan.written_off"))

    def repaid(self, connection: Connection, **header: Any) -> int:
        """Posts the entry of a repayment out of a wallet; its id."""
        self.next_entry += 1
        about: Values = {
            "kind": "loan.repaid", "subject_kind": "loan_repayment", "subject_id": f"rpy-{self.next_entry}",
            "facts": {"loan": PUBLIC_ID}, **header,
        }  # fmt: skip
        self.stage.transfer(self.next_entry, WALLET, BANK, GROSS, **about).post(connection)
        return self.next_entry

    def _open(self, connection: Connection, account: int, path: str) -> None:
        own: Values = {"ledger_id": self.ledger_id}
        row = {
            "id": account, "path": path, "number": "", "name": "Account", "class": "asset", "normal_side": "D",
            "currency": "KES", "opened_at": NOW,
        }  # fmt: skip
        insert(connection, "accounts", own | row)
        insert(connection, "account_balances", own | {"account_id": account})

    def _event(self, row: Values, event: str) -> Values:
        return {
            "ledger_id": self.ledger_id, "loan_id": row["id"], "version": row["version"], "state": row["state"],
            "event": event, "entry_id": None, "amount": None, "payout_id": None, "receipt_id": None,
            "actor": "tests", "recorded_at": NOW,
        }  # fmt: skip
