"""Which changes of orders and prompts partners are told of, in which words, written down with the change.

Of an order:
    order_id             "ord_..."
    reference            what payers type
    status               open, paid, expired, cancelled, reversed
    amount, currency     what was asked for: "1500.00", "KES"
    paid                 what is paid towards it now
    missing, excess      what is still to be paid; what is paid beyond
    transaction_receipt  the provider's number of the payment that came or went, the last of several; null without one
    expires_at           until when it takes money
Of a prompt:
    prompt_id, order_id  "prm_...", and "ord_..." where it asks for an order, else null
    reference            as the payer's phone shows it
    status               paid, failed, unknown
    amount, currency     what was asked for
    msisdn               masked
    transaction_receipt  the provider's number, null unless paid
    result_code          "0" for success, the provider's code for a failure, else null
    result_desc          the provider's words, any number in them masked; else null
Of both:
    changed_at           when
    version              rises with every change, told or not
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from ledger.collections import order, prompt
from ledger.collections.reference import hidden
from ledger.database import Driver
from ledger.ids import IdSource
from ledger.money import decimal_text
from ledger.outbox.announcements import Announcement, Content, Subject, SubjectKind, announce

# All but its making, of which the shop has the answer.
ORDER_EVENTS: dict[order.Event, str] = {
    order.Event.PART_PAID: "order.part_paid",
    order.Event.PAID: "order.paid",
    order.Event.PART_RETURNED: "order.part_returned",
    order.Event.REVERSED: "order.reversed",
    order.Event.EXPIRED: "order.expired",
    order.Event.CANCELLED: "order.cancelled",
}
# A prompt that failed, or of which nobody knows, may be paid after all, at a later version.
PROMPT_EVENTS: dict[prompt.Event, str] = {
    prompt.Event.PAID: "prompt.paid",
    prompt.Event.FAILED: "prompt.failed",
    prompt.Event.LOST: "prompt.unknown",
}

# Nothing where the partner has no endpoint, which is the usual case.
_ORDERS = """
SELECT e.id, o.id, o.version, v.event, o.reference, o.state, o.currency, o.amount, v.paid, r.receipt, o.expires_at,
    v.recorded_at
FROM orders AS o
JOIN webhook_endpoints AS e ON e.ledger_id = o.ledger_id AND e.partner_id = o.partner_id AND e.disabled_at IS NULL
JOIN order_events AS v ON v.ledger_id = o.ledger_id AND v.order_id = o.id AND v.version = o.version
LEFT JOIN receipts AS r ON r.ledger_id = v.ledger_id AND r.id = v.receipt_id
WHERE o.ledger_id = %s AND o.id = ANY(%s) ORDER BY o.id, e.id
"""
# The prompt of an order that staff asked for is its shop's.
_PROMPTS = """
SELECT e.id, q.id, q.version, v.event, q.order_id, q.reference, q.state, q.currency, q.amount, q.payer_shown,
    r.receipt, q.failure_code, q.failure_text, v.recorded_at
FROM prompts AS q
LEFT JOIN orders AS o ON o.ledger_id = q.ledger_id AND o.id = q.order_id
JOIN webhook_endpoints AS e ON e.ledger_id = q.ledger_id AND e.partner_id = coalesce(q.partner_id, o.partner_id)
    AND e.disabled_at IS NULL
JOIN prompt_events AS v ON v.ledger_id = q.ledger_id AND v.prompt_id = q.id AND v.version = q.version
LEFT JOIN receipts AS r ON r.ledger_id = q.ledger_id AND r.id = q.receipt_id
WHERE q.ledger_id = %s AND q.id = ANY(%s) ORDER BY q.id, e.id
"""


async def announce_orders(
    driver: Driver, *, ledger_id: int, order_ids: Collection[int], ids: IdSource, now: datetime
) -> None:
    """Queues a delivery for each order and live endpoint of its shop, of the version the order has now. The caller
    holds the orders' locks and has made a change of ORDER_EVENTS."""
    if order_ids:
        rows = await (await driver.execute(_ORDERS, (ledger_id, list(order_ids)))).fetchall()
        told = [_announcement(row, ORDER_EVENTS[order.Event(row[3])], _order(row)) for row in rows]
        await announce(driver, ledger_id=ledger_id, kind=SubjectKind.ORDER, announcements=told, ids=ids, now=now)


async def announce_prompts(
    driver: Driver, *, ledger_id: int, prompt_ids: Collection[int], ids: IdSource, now: datetime
) -> None:
    """The same of prompts that have made a change of PROMPT_EVENTS."""
    if prompt_ids:
        rows = await (await driver.execute(_PROMPTS, (ledger_id, list(prompt_ids)))).fetchall()
        told = [_announcement(row, PROMPT_EVENTS[prompt.Event(row[3])], _prompt(row)) for row in rows]
        await announce(driver, ledger_id=ledger_id, kind=SubjectKind.PROMPT, announcements=told, ids=ids, now=now)


def _announcement(row: Sequence[Any], event: str, content: Content) -> Announcement:
    return Announcement(endpoint_id=row[0], subject_id=row[1], version=row[2], event=event, content=content)


def _order(row: Sequence[Any]) -> Content:
    _, order_id, version, _, reference, state, currency, amount, paid, receipt, expires_at, changed_at = row
    return {
        "order_id": Subject(SubjectKind.ORDER, order_id).public_id,
        "reference": reference,
        "status": state.lower(),
        "amount": decimal_text(amount, currency),
        "paid": decimal_text(paid, currency),
        "missing": decimal_text(max(0, amount - paid), currency),
        "excess": decimal_text(max(0, paid - amount), currency),
        "currency": currency,
        "transaction_receipt": receipt,
        "expires_at": expires_at.isoformat(),
        "changed_at": changed_at.isoformat(),
        "version": version,
    }


def _prompt(row: Sequence[Any]) -> Content:
    (
        _, prompt_id, version, _, order_id, reference, state, currency, amount, payer_shown, receipt, code, text,
        changed_at,
    ) = row  # fmt: skip
    is_paid = state == prompt.State.PAID.value
    return {
        "prompt_id": Subject(SubjectKind.PROMPT, prompt_id).public_id,
        "order_id": Subject(SubjectKind.ORDER, order_id).public_id if order_id is not None else None,
        "reference": reference,
        "status": state.lower(),
        "amount": decimal_text(amount, currency),
        "currency": currency,
        "msisdn": payer_shown,
        "transaction_receipt": receipt,
        "result_code": "0" if is_paid else code,
        "result_desc": "The prompt was paid." if is_paid else text and hidden(text),
        "changed_at": changed_at.isoformat(),
        "version": version,
    }
