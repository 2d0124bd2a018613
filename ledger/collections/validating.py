"""The question before a payment: whether it is wanted. Reads alone; the answer binds nobody, for money that comes all
the same is booked all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeAlias

from ledger.collections.allocation import TargetKind
from ledger.collections.directory import find_targets
from ledger.collections.order import refusal
from ledger.collections.ordering import find_order
from ledger.collections.reference import ReceiptKeys
from ledger.collections.shortcodes import Shortcode
from ledger.database import Driver
from ledger.outbox.collecting import Received, Refusal

Unwanted: TypeAlias = Callable[[Driver, int, int, Received, datetime], Awaitable[Refusal | None]]
"""Why a target, by (ledger id, target id), does not want a payment about to be made now; None where it does."""


async def refusal_of(
    driver: Driver,
    *,
    ledger_id: int,
    shortcode: Shortcode,
    asked: Received,
    unwanted: Mapping[TargetKind, Unwanted],
    keys: ReceiptKeys,
    now: datetime,
) -> Refusal | None:
    """Why a payment about to be made is not wanted; None where it is. A shortcode that takes money from anybody only
    refuses what could not be booked. Targets that `unwanted` does not name want every payment."""
    if asked.shortcode != shortcode.shortcode:
        return Refusal.SHORTCODE
    if asked.amount.currency != shortcode.currency or asked.amount.minor_units <= 0:
        return Refusal.AMOUNT
    if not shortcode.refuses_unknown:
        return None
    index = keys.index(asked.reference, ledger_id=ledger_id)
    target = None if index is None else (await find_targets(driver, ledger_id=ledger_id, indices=[index])).get(index)
    if target is None:
        return Refusal.ACCOUNT
    ask = unwanted.get(target.kind)
    return await ask(driver, ledger_id, int(target.id), asked, now) if ask else None


async def unwanted_by_order(
    driver: Driver, ledger_id: int, order_id: int, asked: Received, now: datetime
) -> Refusal | None:
    """An order wants no more than it misses, until it ends."""
    order = await find_order(driver, ledger_id=ledger_id, order_id=order_id)
    if order is None or refusal(order.money, asked.amount, paid_at=now) is not None:
        return Refusal.ACCOUNT
    return Refusal.AMOUNT if asked.amount.minor_units > order.money.missing else None
