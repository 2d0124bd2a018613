"""The question before a payment: whether it is wanted. Reads alone; the answer binds nobody, for money that comes all
the same is booked all the same."""

from __future__ import annotations

from datetime import datetime

from ledger.collections.allocation import TargetKind
from ledger.collections.directory import find_targets
from ledger.collections.order import refusal
from ledger.collections.ordering import find_order
from ledger.collections.reference import ReceiptKeys
from ledger.collections.shortcodes import Shortcode
from ledger.database import Driver
from ledger.outbox.collecting import Received, Refusal


async def refusal_of(
    driver: Driver, *, ledger_id: int, shortcode: Shortcode, asked: Received, keys: ReceiptKeys, now: datetime
) -> Refusal | None:
    """Why a payment about to be made is not wanted; None where it is. A shortcode that takes money from anybody only
    refuses what could not be booked."""
    if asked.shortcode != shortcode.shortcode:
        return Refusal.SHORTCODE
    if asked.amount.currency != shortcode.currency or asked.amount.minor_units <= 0:
        return Refusal.AMOUNT
    return await _unwanted(driver, ledger_id, asked, keys, now) if shortcode.refuses_unknown else None


async def _unwanted(
    driver: Driver, ledger_id: int, asked: Received, keys: ReceiptKeys, now: datetime
) -> Refusal | None:
    index = keys.index(asked.reference, ledger_id=ledger_id)
    target = None if index is None else (await find_targets(driver, ledger_id=ledger_id, indices=[index])).get(index)
    if target is None:
        return Refusal.ACCOUNT
    if target.kind is not TargetKind.ORDER:
        return None
    order = await find_order(driver, ledger_id=ledger_id, order_id=int(target.id))
    if order is None or refusal(order.money, asked.amount, paid_at=now) is not None:
        return Refusal.ACCOUNT
    return Refusal.AMOUNT if asked.amount.minor_units > order.money.missing else None
