"""Reading receipts and orders, for people and partners. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, Text

from ledger import tables
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.order import OrderMoney, State
from ledger.collections.ordering import Order
from ledger.collections.receipt import Holdings, Place
from ledger.collections.reference import ReceiptKeys
from ledger.errors import OrderNotFound, ReceiptNotFound
from ledger.money import Money
from ledger.outbox.collecting import Payer

_receipts, _events, _orders = tables.receipts.c, tables.receipt_events.c, tables.orders.c
_allocations, _evidence, _order_events = tables.allocations.c, tables.receipt_evidence.c, tables.order_events.c
_COLUMNS = {Place.UNALLOCATED: _receipts.unallocated, Place.SUSPENDED: _receipts.suspended}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt as it may be shown: payer and reference with numbers hidden."""

    id: int
    provider: str
    shortcode: str
    receipt: str
    amount: Money
    payer_form: str | None
    payer_shown: str
    reference_shown: str
    completed_at: datetime
    holdings: Holdings
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReceiptEvent:
    """One move of a receipt's money; `amount` is minor units."""

    version: int
    event: str
    entry_id: int
    amount: int
    detail: str | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class AllocationView:
    """One allocation; `undone` once it was taken back."""

    target: Target
    amount: int
    entry_id: int
    actor: str
    created_at: datetime
    undone: bool


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One turn of an order; `paid` is what was paid towards it then, minor units."""

    version: int
    state: State
    event: str
    receipt_id: int | None
    paid: int
    recorded_at: datetime


async def get_receipt(connection: AsyncConnection, *, ledger_id: int, receipt_id: int) -> Receipt:
    """One receipt. Raises ReceiptNotFound."""
    query = select(tables.receipts).where(_receipts.ledger_id == ledger_id, _receipts.id == receipt_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise ReceiptNotFound("no such receipt in this ledger", field="receipt_id")
    return _receipt(row)


async def find_by_number(connection: AsyncConnection, *, ledger_id: int, receipt: str) -> Receipt:
    """The receipt with a provider's number; the newest where two providers gave the same. Raises ReceiptNotFound."""
    query = select(tables.receipts).where(_receipts.ledger_id == ledger_id, _receipts.receipt == receipt)
    row = (await connection.execute(query.order_by(_receipts.id.desc()).limit(1))).one_or_none()
    if row is None:
        raise ReceiptNotFound("no such receipt in this ledger", field="receipt_id")
    return _receipt(row)


async def list_receipts(
    connection: AsyncConnection, *, ledger_id: int, waiting_at: Place | None, before: int, limit: int
) -> list[Receipt]:
    """Receipts with ids below `before`, newest first; only those with money at a place, where one is named."""
    query = select(tables.receipts).where(_receipts.ledger_id == ledger_id, _receipts.id < before)
    if waiting_at is not None:
        query = query.where(_COLUMNS[waiting_at] > 0)
    return [_receipt(row) for row in await connection.execute(query.order_by(_receipts.id.desc()).limit(limit))]


async def list_receipt_events(connection: AsyncConnection, *, ledger_id: int, receipt_id: int) -> list[ReceiptEvent]:
    """What happened to its money, oldest first: few moves, for each needs an entry."""
    columns = (_events.version, _events.event, _events.entry_id, _events.amount, _events.detail, _events.actor)
    query = (
        select(*columns, _events.recorded_at)
        .where(_events.ledger_id == ledger_id, _events.receipt_id == receipt_id)
        .order_by(_events.version)
    )
    return [ReceiptEvent(*row) for row in await connection.execute(query)]


async def list_allocations(connection: AsyncConnection, *, ledger_id: int, receipt_id: int) -> list[AllocationView]:
    """To whom its money went, oldest first, what was taken back included."""
    query = (
        select(tables.allocations)
        .where(_allocations.ledger_id == ledger_id, _allocations.receipt_id == receipt_id)
        .order_by(_allocations.id)
    )
    return [
        AllocationView(
            Target(TargetKind(row.target_kind), row.target_id),
            row.amount,
            row.entry_id,
            row.actor,
            row.created_at,
            row.undone_entry_id is not None,
        )
        for row in await connection.execute(query)
    ]


async def list_channels(connection: AsyncConnection, *, ledger_id: int, receipt_id: int) -> list[str]:
    """By which channels it was told."""
    query = (
        select(_evidence.channel)
        .where(_evidence.ledger_id == ledger_id, _evidence.receipt_id == receipt_id)
        .order_by(_evidence.told_at, _evidence.channel)
    )
    return list((await connection.execute(query)).scalars())


async def open_payer(
    connection: AsyncConnection, *, ledger_id: int, receipt_id: int, keys: ReceiptKeys
) -> tuple[Payer | None, str]:
    """The payer and the reference as they were told, for whoever decides whose the money is. Raises ReceiptNotFound."""
    query = select(_receipts.sealed).where(_receipts.ledger_id == ledger_id, _receipts.id == receipt_id)
    sealed = (await connection.execute(query)).scalar_one_or_none()
    if sealed is None:
        raise ReceiptNotFound("no such receipt in this ledger", field="receipt_id")
    return keys.open(sealed, ledger_id=ledger_id, receipt_id=receipt_id)


async def get_order(connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, order_id: int) -> Order:
    """One order. Raises OrderNotFound, alike for none and for another partner's."""
    found = [
        _order(row)
        for row in await connection.execute(_order_query(ledger_id, partner_id).where(_orders.id == order_id))
    ]
    if not found:
        raise OrderNotFound("no such order among yours", field="order_id")
    return found[0]


async def list_orders(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int | None,
    states: Sequence[State],
    before: int,
    limit: int,
) -> list[Order]:
    """Orders with ids below `before`, newest first, of these states or (none) of any."""
    query = _order_query(ledger_id, partner_id).where(_orders.id < before)
    if states:
        query = query.where(_orders.state.in_([state.value for state in states]))
    return [_order(row) for row in await connection.execute(query.order_by(_orders.id.desc()).limit(limit))]


async def list_order_events(connection: AsyncConnection, *, ledger_id: int, order_id: int) -> list[OrderEvent]:
    """What happened to an order, oldest first."""
    query = (
        select(tables.order_events)
        .where(_order_events.ledger_id == ledger_id, _order_events.order_id == order_id)
        .order_by(_order_events.version)
    )
    return [
        OrderEvent(row.version, State(row.state), row.event, row.receipt_id, row.paid, row.recorded_at)
        for row in await connection.execute(query)
    ]


def _order_query(ledger_id: int, partner_id: int | None) -> Select[Any]:
    partners = tables.partners.c
    paid = (
        select(cast(func.coalesce(func.sum(_allocations.amount), literal(0)), BigInteger))
        .where(
            _allocations.ledger_id == _orders.ledger_id,
            _allocations.target_kind == TargetKind.ORDER.value,
            _allocations.target_id == cast(_orders.id, Text),
            _allocations.undone_entry_id.is_(None),
        )
        .scalar_subquery()
        .label("paid")
    )
    joined = tables.orders.join(
        tables.partners, and_(partners.ledger_id == _orders.ledger_id, partners.id == _orders.partner_id)
    )
    query = select(tables.orders, partners.code, paid).select_from(joined).where(_orders.ledger_id == ledger_id)
    return query if partner_id is None else query.where(_orders.partner_id == partner_id)


def _order(row: Row[Any]) -> Order:
    return Order(
        id=row.id,
        partner_id=row.partner_id,
        partner=row.code,
        reference=row.reference,
        money=OrderMoney(
            State(row.state), Money(row.currency, row.amount), Money(row.currency, row.paid), row.expires_at
        ),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _receipt(row: Row[Any]) -> Receipt:
    return Receipt(
        id=row.id,
        provider=row.provider,
        shortcode=row.shortcode,
        receipt=row.receipt,
        amount=Money(row.currency, row.amount),
        payer_form=row.payer_form,
        payer_shown=row.payer_shown,
        reference_shown=row.reference_shown,
        completed_at=row.completed_at,
        holdings=Holdings(row.unallocated, row.suspended, row.allocated, row.returning_now, row.returned),
        version=row.version,
        created_at=row.created_at,
    )
