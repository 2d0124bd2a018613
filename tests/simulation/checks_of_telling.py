"""What partners were told of orders and loans, against the books, by plain SQL. Shares no code with the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from psycopg.rows import DictRow

from tests.simulation.network import Receiver

Rows = Callable[..., list[DictRow]]

_ORDERS = """
SELECT o.reference, o.state, o.version, r.code AS partner FROM orders AS o
JOIN partners AS r ON r.ledger_id = o.ledger_id AND r.id = o.partner_id ORDER BY o.id
"""
_LOANS = """
SELECT loan_public_id(l.id) AS name, l.state, r.code AS partner FROM loans AS l
JOIN loan_products AS m ON m.ledger_id = l.ledger_id AND m.id = l.product_id
JOIN partners AS r ON r.ledger_id = m.ledger_id AND r.id = m.partner_id ORDER BY l.id
"""
# A loan on its way to its borrower is told of by its payout.
_QUIET = ("REQUESTED", "DISBURSING")


def check_telling(rows: Rows, receivers: Mapping[str, Receiver]) -> list[str]:
    """The newest word about each order and loan is what the books say; and nobody hears of another's."""
    orders = {one["reference"]: one for one in rows(_ORDERS)}
    loans = {one["name"]: one for one in rows(_LOANS)}
    found = []
    for url, receiver in receivers.items():
        partner, told = url.rpartition("/")[2], _newest(receiver)
        found += [f"I10 event {one} came with other content" for one in receiver.contradicted]
        for known, kind in ((orders, "order"), (loans, "loan")):
            heard = {name: body for (what, name), body in told.items() if what == kind}
            found += [
                f"I13 {partner} heard of {kind} {name}, which is none of its own"
                for name in heard
                if name not in known or known[name]["partner"] != partner
            ]
            for name, row in known.items():
                silent = row.get("version") == 1 or row["state"] in _QUIET
                status = heard.get(name, {}).get("status")
                if row["partner"] == partner and not silent and status != row["state"].lower():
                    found.append(f"I10 {kind} {name} is {row['state']}, its partner was told {status}")
    return found


def _newest(receiver: Receiver) -> dict[tuple[str, str], dict[str, Any]]:
    """The newest body about each order and loan."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for body in receiver.bodies.values():
        told = json.loads(body)
        kind = told["type"].partition(".")[0]
        name = told["reference"] if kind == "order" else told.get("loan_id", "")
        if told["version"] > newest.get((kind, name), {"version": 0})["version"]:
            newest[kind, name] = told
    return newest
