"""A person of a history who gives what lies in suspense to whom it was meant for, or to somebody else, and anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections.allocation import Target, TargetKind
from ledger.database import driver
from ledger.idempotency import KeyClaim
from ledger.journal.books import Ledger
from ledger.receiving import Decided, Decision
from tests.simulation.asks import Ask
from tests.simulation.lenders import Loan
from tests.simulation.processes import Process
from tests.simulation.shops import ShopOrder
from tests.simulation.till_books import WALLETS

if TYPE_CHECKING:
    from tests.simulation.history_of_money_in import MoneyInHistory

_SUSPENDED: LiteralString = "SELECT id, receipt FROM receipts WHERE suspended > 0 ORDER BY id"
_ALLOCATED: LiteralString = "SELECT id, receipt FROM receipts WHERE allocated > 0 ORDER BY id"


def allocate(history: MoneyInHistory) -> Ask | None:
    """A decision about something that waits: where it belongs."""
    return _decide(history, _SUSPENDED, wrongly=False)


def misallocate(history: MoneyInHistory) -> Ask | None:
    """Or about something that waits, or was given to somebody: where it does not."""
    query = history.chance.choice([_SUSPENDED, _ALLOCATED])
    return _decide(history, query, wrongly=history.chance.random() < 0.6)


def _decide(history: MoneyInHistory, query: LiteralString, *, wrongly: bool) -> Ask | None:
    found = history.arena.ground.session.execute(query).fetchall()
    if not found:
        return None
    receipt_id, receipt = history.chance.choice(found)
    path = history.chance.choice(list(WALLETS.values()))
    target = (
        Target(TargetKind.ACCOUNT, path) if wrongly else _right(history, receipt) or Target(TargetKind.ACCOUNT, path)
    )
    again = query == _ALLOCATED
    nowhere = again and history.chance.random() < 0.3
    return _ask(len(history.decisions), receipt_id, None if nowhere else target, again=again)


def _right(history: MoneyInHistory, receipt: str) -> Target | None:
    match history.meant.get(receipt):
        case ShopOrder() as order if order.ask.answer is not None:
            return Target(TargetKind.ORDER, str(order.ask.answer))
        case Loan() as loan if loan.ask.answer is not None:
            return Target(TargetKind.LOAN, str(loan.ask.answer))
        case str() as path:
            return Target(TargetKind.ACCOUNT, path)
        case _:
            return None


def _ask(number: int, receipt_id: int, target: Target | None, *, again: bool) -> Ask:
    async def send(process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        decision = Decision(
            key=key, receipt_id=receipt_id, target=target, evidence="the payer called", actor="operator"
        )
        door = process.money_in.receipts
        decide = door.reallocate if again else door.allocate
        decided: Decided = await decide(
            await driver(connection), ledger=ledger, decision=decision, now=process.clock.now()
        )
        return decided.result_id

    return Ask(f"decision-{number}", "Decide", f"{receipt_id} {target} {again}", send)
