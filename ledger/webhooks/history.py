"""Deliveries as people see them: read, sent again, and pings. The wire and the retry schedule are not its business."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, Update, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.errors import WebhookNotFound
from ledger.ids import IdSource, encode
from ledger.outbox.announcements import EVENT_PREFIX, PING, Subject, payload, subject_of
from ledger.webhooks.endpoints import get_endpoint

_deliveries, _endpoints = tables.webhook_deliveries.c, tables.webhook_endpoints.c
REPLAYED_MAX = 10_000


class DeliveryState(enum.Enum):
    """Where a delivery stands. DEAD is given up by us, until somebody sends it again."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint. A ping has neither subject nor version. `tries` are those that count; `answer` is the
    last one's, None before the first."""

    id: int
    endpoint_id: int
    subject: Subject | None
    version: int | None
    event: str
    state: DeliveryState
    created_at: datetime
    due_at: datetime
    tries: int
    tried_at: datetime | None
    answer: str | None

    @property
    def event_id(self) -> str:
        """What the receiver knows it by."""
        return encode(EVENT_PREFIX, self.id)


async def list_deliveries(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int | None,
    endpoint_id: int,
    states: Collection[DeliveryState],
    before: int,
    limit: int,
) -> list[Delivery]:
    """An endpoint's deliveries with ids below `before`, newest first, of these states or (none) of any. Raises
    WebhookNotFound."""
    await get_endpoint(connection, ledger_id=ledger_id, partner_id=partner_id, endpoint_id=endpoint_id)
    query = _select(ledger_id, partner_id).where(_deliveries.endpoint_id == endpoint_id, _deliveries.id < before)
    if states:
        query = query.where(_deliveries.state.in_([state.value for state in states]))
    return [_delivery(row) for row in await connection.execute(query.order_by(_deliveries.id.desc()).limit(limit))]


async def get_delivery(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, delivery_id: int
) -> Delivery:
    """One delivery. Raises WebhookNotFound, alike for none and for another partner's."""
    query = _select(ledger_id, partner_id).where(_deliveries.id == delivery_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise WebhookNotFound("no such delivery among yours", field="delivery_id")
    return _delivery(row)


async def replay_delivery(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, delivery_id: int, now: datetime
) -> Delivery:
    """Sends a delivery again from the first try on, whatever became of it; the event keeps its id and its bytes. Raises
    WebhookNotFound."""
    await get_delivery(connection, ledger_id=ledger_id, partner_id=partner_id, delivery_id=delivery_id)
    await connection.execute(_again(now).where(_deliveries.ledger_id == ledger_id, _deliveries.id == delivery_id))
    return await get_delivery(connection, ledger_id=ledger_id, partner_id=partner_id, delivery_id=delivery_id)


async def replay_dead(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, endpoint_id: int, now: datetime
) -> int:
    """Sends an endpoint's dead deliveries again, the oldest REPLAYED_MAX at most, and returns how many. Raises
    WebhookNotFound."""
    await get_endpoint(connection, ledger_id=ledger_id, partner_id=partner_id, endpoint_id=endpoint_id)
    dead = (
        select(_deliveries.id)
        .where(
            _deliveries.ledger_id == ledger_id,
            _deliveries.endpoint_id == endpoint_id,
            _deliveries.state == DeliveryState.DEAD.value,
            _deliveries.version.is_not(None),  # no pings
        )
        .order_by(_deliveries.id)
        .limit(REPLAYED_MAX)
    )
    again = _again(now).where(_deliveries.ledger_id == ledger_id, _deliveries.id.in_(dead))
    return (await connection.execute(again)).rowcount


async def ping_endpoint(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int | None,
    endpoint_id: int,
    ids: IdSource,
    now: datetime,
) -> Delivery:
    """Queues a `webhook.ping`, which is tried once. While one waits, it is the answer. Raises WebhookNotFound."""
    await get_endpoint(connection, ledger_id=ledger_id, partner_id=partner_id, endpoint_id=endpoint_id)
    waiting = _select(ledger_id, partner_id).where(
        _deliveries.endpoint_id == endpoint_id,
        _deliveries.event == PING,
        _deliveries.state == DeliveryState.PENDING.value,
    )
    row = (await connection.execute(waiting.order_by(_deliveries.id).limit(1))).one_or_none()
    if row is not None:
        return _delivery(row)
    delivery_id = ids.next(now)
    values = {
        "ledger_id": ledger_id,
        "id": delivery_id,
        "endpoint_id": endpoint_id,
        "event": PING,
        "payload": payload(delivery_id, PING, {"sent_at": now.isoformat()}),
        "state": DeliveryState.PENDING.value,
        "created_at": now,
        "due_at": now,
    }
    await connection.execute(insert(tables.webhook_deliveries).values(values))
    return await get_delivery(connection, ledger_id=ledger_id, partner_id=partner_id, delivery_id=delivery_id)


def _again(now: datetime) -> Update:
    values = {"state": DeliveryState.PENDING.value, "tries": 0, "due_at": now}
    return update(tables.webhook_deliveries).values(values)


def _select(ledger_id: int, partner_id: int | None) -> Select[Any]:
    query = select(tables.webhook_deliveries).where(_deliveries.ledger_id == ledger_id)
    if partner_id is None:
        return query
    joined = tables.webhook_deliveries.join(
        tables.webhook_endpoints,
        (_endpoints.ledger_id == _deliveries.ledger_id) & (_endpoints.id == _deliveries.endpoint_id),
    )
    return query.select_from(joined).where(_endpoints.partner_id == partner_id)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        subject=subject_of(row.payout_id, row.order_id, row.loan_id, row.prompt_id),
        version=row.version,
        event=row.event,
        state=DeliveryState(row.state),
        created_at=row.created_at,
        due_at=row.due_at,
        tries=row.tries,
        tried_at=row.tried_at,
        answer=row.answer,
    )
