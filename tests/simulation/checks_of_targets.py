"""What receipts were given to, by plain SQL: an order's state follows its money, a closed loan holds nothing, a wallet
what was paid into it. Shares no code with the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from psycopg.rows import DictRow

from tests.simulation.till_books import LENDER, LENDER_CENTS

CLOCK_DOUBT = timedelta(seconds=10)
AUTOMATIC = "daftari.allocation"
Rows = Callable[..., list[DictRow]]

_ORDERS = """
SELECT o.*, (SELECT array_agg(e.event ORDER BY e.version) FROM order_events AS e WHERE e.order_id = o.id) AS events
FROM orders AS o ORDER BY o.id
"""
_PAID_AT = "SELECT id, completed_at FROM receipts"
_LOANS = """
SELECT l.*, lower(loan_public_id(l.id)) AS name, p.state AS payout_state FROM loans AS l
LEFT JOIN payouts AS p ON p.ledger_id = l.ledger_id AND p.id = l.payout_id ORDER BY l.id
"""
# What repayments put on the accounts of loans, less what went back, by loan.
_REPAID = """
SELECT a.owner_ref AS name, sum(CASE p.side WHEN 'C' THEN p.amount ELSE -p.amount END)::bigint AS cents
FROM postings AS p JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
WHERE a.owner_kind = 'loan' AND a.path !~ '^liab' AND e.kind IN ('collection.allocated', 'collection.undone')
GROUP BY 1
"""
_OF_LOANS = """
SELECT a.owner_ref AS name, a.path, b.debits - b.credits AS net FROM accounts AS a
JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id WHERE a.owner_kind = 'loan'
"""


def compared(reference: str) -> str:
    """What counts of a reference."""
    return "".join(one for one in reference.upper() if one.isalnum())


def check_orders(rows: Rows, allocations: Sequence[DictRow], ended_at: datetime) -> list[str]:
    """An order is what was paid towards it; what pays one by itself was paid in time."""
    paid, found = _living("order", allocations), []
    orders = {str(one["id"]): one for one in rows(_ORDERS)}
    for order_id, order in orders.items():
        found += _check_order(order, paid[order_id], ended_at)
    times = {one["id"]: one["completed_at"] for one in rows(_PAID_AT)}
    for one in allocations:
        if one["target_kind"] == "order" and one["actor"] == AUTOMATIC:
            order, at = orders[one["target_id"]], times[one["receipt_id"]]
            if at > order["expires_at"] + CLOCK_DOUBT:
                found.append(f"M8 {one['receipt']} was paid at {at}, after order {order['reference']} had expired")
    return found


def _check_order(order: DictRow, cents: int, ended_at: datetime) -> list[str]:
    name, found = f"order {order['reference']} ({order['state']})", []
    went_back = {"part_returned", "reversed"} & set(order["events"])
    match order["state"]:
        case "OPEN":
            if order["expires_at"] < ended_at - CLOCK_DOUBT:
                found.append(f"I7 {name} should have expired")
            if cents >= order["amount"]:
                found.append(f"M8 {name} is paid with {cents}, and open")
        case "PAID" if cents < order["amount"] and not went_back:
            found.append(f"M8 {name} asked for {order['amount']}, {cents} were paid")
        case "REVERSED" | "CANCELLED" if cents:
            found.append(f"M8 {name} still has {cents}")
    return found + ([f"M8 {name} was paid twice"] if order["events"].count("paid") > 1 else [])


def check_loans(rows: Rows, allocations: Sequence[DictRow], balances: Mapping[str, int]) -> list[str]:
    """What was paid towards a loan is on its accounts, or its borrower's; a closed one holds nothing."""
    paid, found = _living("loan", allocations), []
    repaid = {one["name"]: one["cents"] for one in rows(_REPAID)}
    held = rows(_OF_LOANS)
    for loan in rows(_LOANS):
        name, state = loan["name"], loan["state"]
        told = f"{name} ({state})"
        rest = balances.get(f"liab.overpayment.{loan['borrower']}", 0) + balances.get(
            f"liab.wallet.{loan['borrower']}", 0
        )
        if paid[str(loan["id"])] != repaid.get(name, 0) + rest:
            found.append(
                f"M9 {told} was paid {paid[str(loan['id'])]}: {repaid.get(name, 0)} on the loan, {rest} left over"
            )
        if state == "CLOSED":
            found += [
                f"M9 {told} holds {one['net']} on {one['path']}" for one in held if one["name"] == name and one["net"]
            ]
        is_born = state in ("ACTIVE", "CLOSED", "WRITTEN_OFF")
        if is_born != (loan["payout_state"] == "SETTLED"):
            found.append(f"M9 {told} has a payout that is {loan['payout_state']}")
        if state == "DISBURSEMENT_FAILED" and loan["payout_state"] not in ("RELEASED", "CANCELLED"):
            found.append(f"M9 {told} has a payout that is {loan['payout_state']}")
    return found


def check_wallets(rows: Rows, allocations: Sequence[DictRow], balances: Mapping[str, int]) -> list[str]:
    """A wallet holds what was allocated to it; a lender's what is left of its money, too."""
    living = _living("account", allocations)
    found = [
        f"M5 {path} holds {balances[path]}, {cents} were allocated to it"
        for path, cents in living.items()
        if balances[path] != cents
    ]
    lent = [one for one in rows(_LOANS) if one["lender"] == LENDER]
    # A wallet that lends is never above what it began with, plus what its borrowers paid.
    ceiling = LENDER_CENTS + sum(_living("loan", allocations)[str(one["id"])] for one in lent)
    if balances[f"liab.wallet.{LENDER}"] > ceiling:
        found.append(f"M9 the lender has {balances[f'liab.wallet.{LENDER}']}, more than {ceiling}")
    return found


def _living(kind: str, allocations: Sequence[DictRow]) -> Counter[str]:
    found = Counter[str]()
    for one in allocations:
        if one["target_kind"] == kind and one["undone_entry_id"] is None:
            found[one["target_id"]] += one["amount"]
    return found
