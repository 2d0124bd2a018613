"""What one customer holds, owes and has lent, read from the accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, driver
from ledger.journal.books import Ledger
from ledger.journal.chart import path_of
from ledger.loans.loan import State
from ledger.loans.writing import Loan, read_loans, read_standings

# Nobody has so many loans open; what is beyond is not counted.
LOANS_MAX = 500

_HELD = """
SELECT a.currency, coalesce(sum(b.credits - b.debits) FILTER (WHERE a.path = %(wallet)s), 0)::bigint,
    coalesce(sum(b.credits - b.debits) FILTER (WHERE a.path = %(overpaid)s), 0)::bigint
FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.ledger_id = %(ledger)s AND a.path IN (%(wallet)s, %(overpaid)s) GROUP BY a.currency
"""
_OPEN = """
(SELECT id FROM loans WHERE ledger_id = %(ledger)s AND borrower = %(customer)s AND state = %(state)s)
UNION (SELECT id FROM loans WHERE ledger_id = %(ledger)s AND lender = %(customer)s AND state = %(state)s)
ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Minor units of one currency."""

    currency: str
    wallet: int
    overpaid: int
    owed: int
    lent: int


async def positions_of(connection: AsyncConnection, *, ledger: Ledger, customer: str) -> Sequence[Position]:
    """By currency; none for a customer of whom the books know nothing."""
    session = await driver(connection)
    parameters = {
        "ledger": ledger.id,
        "customer": customer,
        "wallet": path_of("2110", customer=customer),
        "overpaid": path_of("2220", customer=customer),
        "state": State.ACTIVE.value,
        "limit": LOANS_MAX,
    }
    rows = await (await session.execute(_HELD, parameters)).fetchall()
    wallets = {currency: units for currency, units, _ in rows}
    overpaid = {currency: units for currency, _, units in rows}
    owed, lent = await _debts(session, ledger, parameters, customer)
    return [
        Position(one, wallets.get(one, 0), overpaid.get(one, 0), owed.get(one, 0), lent.get(one, 0))
        for one in sorted({*wallets, *owed, *lent})
    ]


async def _debts(
    session: Driver, ledger: Ledger, parameters: dict[str, object], customer: str
) -> tuple[dict[str, int], dict[str, int]]:
    """What the customer owes and is owed, by currency."""
    ids = [row[0] for row in await (await session.execute(_OPEN, parameters)).fetchall()]
    loans: Sequence[Loan] = list((await read_loans(session, ledger_id=ledger.id, loan_ids=ids)).values())
    standings = await read_standings(session, ledger_id=ledger.id, loans=loans)
    owed: dict[str, int] = {}
    lent: dict[str, int] = {}
    for loan in loans:
        side = owed if loan.borrower == customer else lent
        outstanding = standings[loan.id].outstanding.total.minor_units
        side[loan.net.currency] = side.get(loan.net.currency, 0) + outstanding
    return owed, lent
