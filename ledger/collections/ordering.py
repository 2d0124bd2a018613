"""Payment orders: making, cancelling, expiring them, and what receipts do to them. All of it in sets or one by one
under the order's lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from ledger.collections import announcing, directory
from ledger.collections.allocation import Claim, Share, Taken, Target, TargetKind, Unfit
from ledger.collections.order import Event, OrderMoney, State, Turn, after_payment, after_return, refusal
from ledger.collections.reference import ReceiptKeys
from ledger.database import Driver
from ledger.errors import AmountInvalid, OrderNotFound, OrderNotOpen, TextInvalid, TimeInvalid
from ledger.idempotency import KeyClaim, find_keys, key_reused, store_key
from ledger.ids import IdSource, encode
from ledger.journal.books import Ledger
from ledger.journal.chart import partner_account
from ledger.journal.entry import credit
from ledger.money import Money
from ledger.partners import Partner
from ledger.sms import announcing as texting

_Decision: TypeAlias = Callable[[OrderMoney, Money], Turn]

PREFIX = "ord"
# Two processes may make the same order, or choose the same id in the same millisecond: it is made once more.
RACING_CONSTRAINTS = frozenset({"idempotency_keys_pkey", "orders_pkey", "collection_references_pkey"})
LIFE_MAX = timedelta(days=366)
DIGITS_OF_A_NUMBER = 9

_ADD = """
WITH added AS (
    INSERT INTO orders (ledger_id, id, partner_id, reference, currency, amount, expires_at, state, version, created_at,
        updated_at)
    VALUES (%(ledger)s, %(id)s, %(partner)s, %(reference)s, %(currency)s, %(amount)s, %(expires)s, 'OPEN', 1, %(now)s,
        %(now)s)
)
INSERT INTO order_events (ledger_id, order_id, version, state, event, paid, recorded_at)
VALUES (%(ledger)s, %(id)s, 1, 'OPEN', %(event)s, 0, %(now)s)
"""
_LOCK = """
SELECT o.id, o.partner_id, p.code, o.reference, o.currency, o.amount, o.expires_at, o.state, o.version, o.created_at,
    o.updated_at
FROM orders AS o JOIN partners AS p ON p.ledger_id = o.ledger_id AND p.id = o.partner_id
WHERE o.ledger_id = %s AND o.id = ANY(%s) ORDER BY o.id FOR NO KEY UPDATE OF o
"""
_EXPIRED = """
SELECT ledger_id, id FROM orders WHERE state = 'OPEN' AND expires_at <= %s ORDER BY expires_at, ledger_id, id LIMIT %s
FOR NO KEY UPDATE SKIP LOCKED
"""
_PAID = """
SELECT target_id, sum(amount)::bigint FROM allocations
WHERE ledger_id = %s AND target_kind = 'order' AND target_id = ANY(%s) AND undone_entry_id IS NULL GROUP BY target_id
"""
_TURN = """
WITH turn AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(event)s::text[], %(receipt)s::bigint[],
        %(paid)s::bigint[]) AS t (id, state, event, receipt_id, paid)
), turned AS (
    UPDATE orders AS o SET state = t.state, version = o.version + 1, updated_at = %(now)s
    FROM turn AS t WHERE o.ledger_id = %(ledger)s AND o.id = t.id
    RETURNING o.id, o.version, t.state, t.event, t.receipt_id, t.paid
)
INSERT INTO order_events (ledger_id, order_id, version, state, event, receipt_id, paid, recorded_at)
SELECT %(ledger)s, turned.*, %(now)s FROM turned
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it is now. `paid` is what its living allocations sum up to."""

    id: int
    partner_id: int
    partner: str
    reference: str
    money: OrderMoney
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def public_id(self) -> str:
        """What everybody outside knows it by."""
        return encode(PREFIX, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order to make. The payer types `reference` as the account; empty, one is made."""

    key: KeyClaim
    partner: Partner
    reference: str
    amount: Money
    expires_at: datetime


async def create_order(
    driver: Driver, *, ledger: Ledger, request: OrderRequest, keys: ReceiptKeys, ids: IdSource, now: datetime
) -> tuple[Order, bool]:
    """Makes an order, and whether the same request had made it before. Raises AmountInvalid, TimeInvalid, TextInvalid,
    ReferenceTaken, IdempotencyKeyReused."""
    stored = (await find_keys(driver, ledger_id=ledger.id, claims=[request.key])).get(request.key.identity)
    if stored is not None:
        if not stored.matches(request.key):
            raise key_reused(request.key)
        return (await lock_orders(driver, ledger_id=ledger.id, order_ids=[stored.result_id]))[stored.result_id], True
    _check(request, now)
    order_id = ids.next(now)
    # Short enough to be typed; that it is free is checked as for any other.
    reference = request.reference or encode(PREFIX, order_id).removeprefix(f"{PREFIX}_")[-10:]
    parameters = {
        "ledger": ledger.id,
        "id": order_id,
        "partner": request.partner.id,
        "reference": reference,
        "currency": request.amount.currency,
        "amount": request.amount.minor_units,
        "expires": request.expires_at,
        "event": Event.CREATED.value,
        "now": now,
    }
    # The key first: a racing repeat starts over here, before it finds its own reference taken.
    await store_key(driver, ledger_id=ledger.id, claim=request.key, result_id=order_id, now=now)
    await driver.execute(_ADD, parameters)
    await directory.add_reference(
        driver,
        ledger_id=ledger.id,
        reference=reference,
        target=Target(TargetKind.ORDER, str(order_id)),
        keys=keys,
        ids=ids,
        now=now,
    )
    return (await lock_orders(driver, ledger_id=ledger.id, order_ids=[order_id]))[order_id], False


def _check(request: OrderRequest, now: datetime) -> None:
    if request.amount.minor_units <= 0:
        raise AmountInvalid("an order asks for more than nothing", field="amount")
    if not now < request.expires_at <= now + LIFE_MAX:
        raise TimeInvalid("an order expires in the future, and within a year", field="expire_time")
    if request.reference:
        directory.check_reference(request.reference)
    if sum(map(str.isdigit, request.reference)) >= DIGITS_OF_A_NUMBER:
        raise TextInvalid("a reference that looks like a phone number would be taken for one", field="reference")


async def cancel_order(
    driver: Driver, *, ledger: Ledger, order_id: int, partner_id: int | None, ids: IdSource, now: datetime
) -> Order:
    """Takes an order back that nothing was paid towards; repeating it changes nothing. Raises OrderNotFound,
    OrderNotOpen."""
    order = (await lock_orders(driver, ledger_id=ledger.id, order_ids=[order_id])).get(order_id)
    if order is None or partner_id not in (None, order.partner_id):
        raise OrderNotFound("no such order among yours", field="order_id")
    if order.money.state is State.CANCELLED:
        return order
    if order.money.state is not State.OPEN or order.money.paid.minor_units:
        raise OrderNotOpen("the order has ended, or was paid towards; return the money instead", field="order_id")
    await _turn(driver, ledger.id, [(order, Turn(State.CANCELLED, Event.CANCELLED), None)], ids, now)
    return (await lock_orders(driver, ledger_id=ledger.id, order_ids=[order_id]))[order_id]


async def expire_orders(driver: Driver, *, ids: IdSource, now: datetime, limit: int) -> int:
    """Ends orders whose time is up; how many. Their references stay known: what comes late says what it was for."""
    due: dict[int, list[int]] = {}
    for ledger_id, order_id in await (await driver.execute(_EXPIRED, (now, limit))).fetchall():
        due.setdefault(ledger_id, []).append(order_id)
    for ledger_id, order_ids in due.items():
        orders = await lock_orders(driver, ledger_id=ledger_id, order_ids=order_ids)
        turns = [(order, Turn(State.EXPIRED, Event.EXPIRED), None) for order in orders.values()]
        await _turn(driver, ledger_id, turns, ids, now)
    return sum(len(order_ids) for order_ids in due.values())


async def lock_orders(driver: Driver, *, ledger_id: int, order_ids: Iterable[int]) -> dict[int, Order]:
    """Locks orders in id order and reads them, with what was paid towards them."""
    wanted = sorted(set(order_ids))
    rows = await (await driver.execute(_LOCK, (ledger_id, wanted))).fetchall()
    cursor = await driver.execute(_PAID, (ledger_id, [str(one) for one in wanted]))
    paid: Mapping[int, int] = {int(target_id): amount for target_id, amount in await cursor.fetchall()}
    return {
        row[0]: Order(
            id=row[0],
            partner_id=row[1],
            partner=row[2],
            reference=row[3],
            money=OrderMoney(State(row[7]), Money(row[4], row[5]), Money(row[4], paid.get(row[0], 0)), row[6]),
            version=row[8],
            created_at=row[9],
            updated_at=row[10],
        )
        for row in rows
    }


async def find_order(driver: Driver, *, ledger_id: int, order_id: int) -> Order | None:
    """One order with what was paid towards it, locked for the moment of reading."""
    return (await lock_orders(driver, ledger_id=ledger_id, order_ids=[order_id])).get(order_id)


@dataclass(frozen=True, slots=True)
class OrderAllocator:
    """Orders as the target of receipts: the shop's prefunded account is credited, the order moves on."""

    ids: IdSource

    async def lock(self, driver: Driver, ledger: Ledger, target_ids: Collection[str]) -> None:
        """Locks the orders."""
        await lock_orders(driver, ledger_id=ledger.id, order_ids=map(int, target_ids))

    async def share(
        self, driver: Driver, ledger: Ledger, claims: Sequence[Claim], *, now: datetime
    ) -> list[Share | Unfit]:
        """Claims of one order are judged one after another: the one that pays it in full is the last it takes."""
        orders = await lock_orders(driver, ledger_id=ledger.id, order_ids=[int(one.target_id) for one in claims])
        shares: list[Share | Unfit] = []
        for claim in claims:
            order = orders.get(int(claim.target_id))
            if order is not None and claim.again:
                shares.append(_share(order, claim))
                continue
            reason = "there is no such order" if order is None else _refuses(order, claim)
            if order is None or reason is not None:
                shares.append(Unfit(reason or ""))
                continue
            paid = order.money.paid + claim.amount
            turn = after_payment(order.money, paid)
            orders[order.id] = replace(order, money=replace(order.money, paid=paid, state=turn.state))
            shares.append(_share(order, claim))
        return shares

    async def allocated(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """Each order takes one turn for all that was paid towards it now, or for the part of it that went back."""
        await self._turn(driver, ledger, [one for one in taken if not one.claim.again], now, after_payment)
        less = [one for one in taken if one.claim.amount.minor_units < one.claim.again]
        await self._turn(driver, ledger, less, now, after_return)

    async def undone(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """The shop is told that money went back; of an order that keeps a part, once that is allocated again."""
        await self._turn(driver, ledger, [one for one in taken if not one.staying], now, after_return)

    async def _turn(
        self,
        driver: Driver,
        ledger: Ledger,
        taken: Sequence[Taken],
        now: datetime,
        decide: _Decision,
    ) -> None:
        last = {int(one.claim.target_id): one.claim.receipt_id for one in taken}
        orders = await lock_orders(driver, ledger_id=ledger.id, order_ids=last)
        turns = [(order, decide(order.money, order.money.paid), last[order.id]) for order in orders.values()]
        await _turn(driver, ledger.id, turns, self.ids, now)


def _share(order: Order, claim: Claim) -> Share:
    account = partner_account(partner=order.partner, currency=claim.amount.currency).path
    return Share((credit(account, claim.amount),))


def _refuses(order: Order, claim: Claim) -> str | None:
    reason = refusal(order.money, claim.amount, paid_at=claim.paid_at)
    return f"order {order.public_id}: {reason}" if reason else None


async def _turn(
    driver: Driver, ledger_id: int, turns: Sequence[tuple[Order, Turn, int | None]], ids: IdSource, now: datetime
) -> None:
    """Moves orders on, and tells their shops and who paid."""
    if not turns:
        return
    order_ids = [order.id for order, _, _ in turns]
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "id": order_ids,
        "state": [turn.state.value for _, turn, _ in turns],
        "event": [turn.event.value for _, turn, _ in turns],
        "receipt": [receipt_id for _, _, receipt_id in turns],
        "paid": [order.money.paid.minor_units for order, _, _ in turns],
    }
    await driver.execute(_TURN, parameters)
    await announcing.announce_orders(driver, ledger_id=ledger_id, order_ids=order_ids, ids=ids, now=now)
    paid = [order.id for order, turn, _ in turns if turn.event is Event.PAID]
    await texting.announce_orders(driver, ledger_id=ledger_id, order_ids=paid, ids=ids, now=now)
