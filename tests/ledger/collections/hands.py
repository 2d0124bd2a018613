"""What a person does with money of receipts, as commands to run in a transaction.

await run(till.shop.engine, giving(till, receipt_id, Target(TargetKind.ACCOUNT, WALLET), 500))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections import ordering
from ledger.collections.allocating import AllocateResult, Want
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.receipt import Place
from ledger.collections.writing import Allocation, lock_receipts
from ledger.database import driver
from ledger.journal.entry import Source
from ledger.money import Money
from tests.ledger.collections.till import WALLET, Till

AMINA = Target(TargetKind.ACCOUNT, WALLET)
Giving: TypeAlias = Callable[[AsyncConnection], Awaitable[AllocateResult]]
TakingBack: TypeAlias = Callable[[AsyncConnection], Awaitable[list[Allocation]]]


def giving(till: Till, receipt_id: int, target: Target, minor_units: int, *, source: Place = Place.SUSPENDED) -> Giving:
    """Allocates money of a receipt that waits; raises ReceiptShort where less is there."""

    async def command(connection: AsyncConnection) -> AllocateResult:
        session, now = await driver(connection), till.shop.now()
        locked = await lock_receipts(session, ledger_id=till.shop.ledger.id, receipt_ids=[receipt_id])
        want = Want(
            receipt=locked[receipt_id],
            source=source,
            target=target,
            amount=Money("KES", minor_units),
            at=now,
            actor="tests",
            evidence=Source.MANUAL,
        )
        (result,) = await till.recorder.allocating.allocate(session, ledger=till.shop.ledger, wants=[want], now=now)
        return result

    return command


def taking_back(till: Till, receipt_id: int) -> TakingBack:
    """Undoes all allocations of a receipt; what they were. Raises what the books refuse."""

    async def command(connection: AsyncConnection) -> list[Allocation]:
        session, now = await driver(connection), till.shop.now()
        locked = await lock_receipts(session, ledger_id=till.shop.ledger.id, receipt_ids=[receipt_id])
        _, undone = await till.recorder.allocating.take_back_all(
            session, ledger=till.shop.ledger, receipt=locked[receipt_id], actor="tests", detail="wrong", now=now
        )
        return undone

    return command


def cancelling(till: Till, order_id: int) -> Callable[[AsyncConnection], Awaitable[object]]:
    """Takes an order back, or raises OrderNotOpen."""

    async def command(connection: AsyncConnection) -> object:
        session, now = await driver(connection), till.shop.now()
        return await ordering.cancel_order(
            session,
            ledger=till.shop.ledger,
            order_id=order_id,
            partner_id=till.shop.partner.id,
            ids=till.shop.ids,
            now=now,
        )

    return command


def expiring(till: Till) -> Callable[[AsyncConnection], Awaitable[int]]:
    """Ends orders whose time is up, of whatever ledger."""

    async def command(connection: AsyncConnection) -> int:
        session = await driver(connection)
        return await ordering.expire_orders(session, ids=till.shop.ids, now=till.shop.now(), limit=1000)

    return command
