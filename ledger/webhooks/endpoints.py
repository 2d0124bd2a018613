"""Webhook endpoints and the secrets that sign for them: made, rotated, disabled, enabled. A partner sees its own only.

A secret is 256 random bits, told to the request that made it and to nobody else; at rest it is sealed for its row."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.errors import WebhookEndpointExists, WebhookNotFound
from ledger.ids import IdSource
from ledger.sealing import Sealer
from ledger.text import check_text

ENDPOINT_PREFIX = "whk"
SECRET_BYTES = 32
URL_LENGTH_MAX = 2000
REQUEST_ID_LENGTH_MAX = 64
ENDPOINTS_PER_PARTNER_MAX = 5
GONE = "the receiver answered 410 Gone"
# Constraints a racing request may break: the command is then run once more and sees what the other one made.
RACING_CONSTRAINTS = frozenset(
    {
        "webhook_endpoints_url_is_told_once",
        "webhook_secrets_request_is_answered_once",
        "webhook_secrets_one_is_current",
    }
)
_endpoints, _secrets, _partners = tables.webhook_endpoints.c, tables.webhook_secrets.c, tables.partners.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a partner is told. Partners put credentials into URLs, so no repr shows it. `failing_since` is the first
    failure without a success since; `disabled_at` is None while it is told."""

    id: int
    partner_id: int
    partner: str
    url: str = field(repr=False)
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_why: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """An endpoint and the secret that its request made, as `whsec_` and base 64: shown now, and never again."""

    endpoint: Endpoint
    secret: str = field(repr=False)


async def create_endpoint(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int,
    url: str,
    request_id: str,
    secret: bytes,
    sealer: Sealer,
    ids: IdSource,
    now: datetime,
) -> Told:
    """Adds an endpoint signed for by `secret`, 32 random bytes; the same request again gets the same answer. Whether
    the URL may be called is the edge's question. Raises WebhookEndpointExists, TextInvalid."""
    check_text(request_id, field="request_id", length_max=REQUEST_ID_LENGTH_MAX)
    check_text(url, field="url", length_max=URL_LENGTH_MAX)
    live = await _live_endpoints(connection, ledger_id, partner_id)
    same = next((row for row in live if row.url == url), None)
    if same is not None:
        told = await _told_before(connection, ledger_id, same.id, request_id, sealer)
        if told is None:
            raise WebhookEndpointExists("this URL is told already; rotate its secret to get a new one", field="url")
        return told
    if len(live) >= ENDPOINTS_PER_PARTNER_MAX:
        raise WebhookEndpointExists(
            f"a partner has at most {ENDPOINTS_PER_PARTNER_MAX} endpoints; disable one first", field="url"
        )
    endpoint_id = ids.next(now)
    values = {"ledger_id": ledger_id, "id": endpoint_id, "partner_id": partner_id, "url": url}
    await connection.execute(insert(tables.webhook_endpoints).values(**values, request_id=request_id, created_at=now))
    return await _add_secret(
        connection,
        ledger_id=ledger_id,
        endpoint_id=endpoint_id,
        request_id=request_id,
        secret=secret,
        sealer=sealer,
        ids=ids,
        now=now,
    )


async def rotate_secret(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int | None,
    endpoint_id: int,
    request_id: str,
    overlap: timedelta,
    secret: bytes,
    sealer: Sealer,
    ids: IdSource,
    now: datetime,
) -> Told:
    """Adds a secret and lets the one before it sign beside it for `overlap`; an earlier one still signing ends now. The
    same request again gets the same answer. Raises WebhookNotFound, TextInvalid."""
    check_text(request_id, field="request_id", length_max=REQUEST_ID_LENGTH_MAX)
    await _lock(connection, ledger_id, partner_id, endpoint_id)
    told = await _told_before(connection, ledger_id, endpoint_id, request_id, sealer)
    if told is not None:
        return told
    own = (_secrets.ledger_id == ledger_id, _secrets.endpoint_id == endpoint_id)
    secrets = update(tables.webhook_secrets)
    await connection.execute(secrets.where(*own, _secrets.retires_at > now).values(retires_at=now))
    await connection.execute(secrets.where(*own, _secrets.retires_at.is_(None)).values(retires_at=now + overlap))
    return await _add_secret(
        connection,
        ledger_id=ledger_id,
        endpoint_id=endpoint_id,
        request_id=request_id,
        secret=secret,
        sealer=sealer,
        ids=ids,
        now=now,
    )


async def disable_endpoint(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int | None,
    endpoint_id: int,
    why: str,
    now: datetime,
) -> Endpoint:
    """Stops telling an endpoint: nothing new is queued for it, and what waits stays where it is. Raises
    WebhookNotFound, TextInvalid."""
    check_text(why, field="reason", length_max=200)
    await _lock(connection, ledger_id, partner_id, endpoint_id)
    place = (_endpoints.ledger_id == ledger_id, _endpoints.id == endpoint_id)
    live = update(tables.webhook_endpoints).where(*place, _endpoints.disabled_at.is_(None))
    await connection.execute(live.values(disabled_at=now, disabled_why=why))
    return await get_endpoint(connection, ledger_id=ledger_id, partner_id=partner_id, endpoint_id=endpoint_id)


async def enable_endpoint(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, endpoint_id: int, now: datetime
) -> Endpoint:
    """Tells a disabled endpoint again, at once, what waited. What happened meanwhile was not queued: reading the
    payout, order, loan or prompt says it. Raises WebhookNotFound, and WebhookEndpointExists where another endpoint has
    its URL by now."""
    found = await _lock(connection, ledger_id, partner_id, endpoint_id)
    live = await _live_endpoints(connection, ledger_id, found.partner_id)
    others = [row for row in live if row.id != endpoint_id]
    if any(row.url == found.url for row in others) or len(others) >= ENDPOINTS_PER_PARTNER_MAX:
        raise WebhookEndpointExists("another endpoint has this URL, or there are enough", field="endpoint_id")
    place = (_endpoints.ledger_id == ledger_id, _endpoints.id == endpoint_id)
    back = {"disabled_at": None, "disabled_why": None, "failing_since": None, "probe_at": None, "recovered_at": now}
    await connection.execute(
        update(tables.webhook_endpoints).where(*place, _endpoints.disabled_at.is_not(None)).values(back)
    )
    return await get_endpoint(connection, ledger_id=ledger_id, partner_id=partner_id, endpoint_id=endpoint_id)


async def get_endpoint(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, endpoint_id: int
) -> Endpoint:
    """One endpoint. Raises WebhookNotFound, alike for none and for another partner's."""
    query = _select(ledger_id, partner_id).where(_endpoints.id == endpoint_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise WebhookNotFound("no such endpoint among yours", field="endpoint_id")
    return _endpoint(row)


async def list_endpoints(
    connection: AsyncConnection, *, ledger_id: int, partner_id: int | None, after: int, limit: int
) -> list[Endpoint]:
    """Endpoints, disabled ones too, oldest first."""
    query = _select(ledger_id, partner_id).where(_endpoints.id > after).order_by(_endpoints.id).limit(limit)
    return [_endpoint(row) for row in await connection.execute(query)]


def secret_text(secret: bytes) -> str:
    """A secret as partners paste it into their verifier."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def secret_place(ledger_id: int, secret_id: int) -> bytes:
    """What a secret is sealed for: its row."""
    return ledger_id.to_bytes(4) + secret_id.to_bytes(8)


async def _live_endpoints(connection: AsyncConnection, ledger_id: int, partner_id: int) -> list[Row[Any]]:
    """The partner's live endpoints, counted under the partner's lock so that two requests cannot both be the last."""
    partner = select(_partners.id).where(_partners.ledger_id == ledger_id, _partners.id == partner_id)
    await connection.execute(partner.with_for_update(key_share=True))
    return list(await connection.execute(_select(ledger_id, partner_id).where(_endpoints.disabled_at.is_(None))))


async def _lock(connection: AsyncConnection, ledger_id: int, partner_id: int | None, endpoint_id: int) -> Row[Any]:
    query = _select(ledger_id, partner_id).where(_endpoints.id == endpoint_id)
    locked = query.with_for_update(key_share=True, of=tables.webhook_endpoints)
    row: Row[Any] | None = (await connection.execute(locked)).one_or_none()
    if row is None:
        raise WebhookNotFound("no such endpoint among yours", field="endpoint_id")
    return row


async def _told_before(
    connection: AsyncConnection, ledger_id: int, endpoint_id: int, request_id: str, sealer: Sealer
) -> Told | None:
    """What the request was answered, if it was."""
    query = select(_secrets.id, _secrets.sealed).where(
        _secrets.ledger_id == ledger_id, _secrets.endpoint_id == endpoint_id, _secrets.request_id == request_id
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    secret = sealer.open(bytes(row.sealed), bound_to=secret_place(ledger_id, row.id))
    endpoint = await get_endpoint(connection, ledger_id=ledger_id, partner_id=None, endpoint_id=endpoint_id)
    return Told(endpoint, secret_text(secret))


async def _add_secret(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    endpoint_id: int,
    request_id: str,
    secret: bytes,
    sealer: Sealer,
    ids: IdSource,
    now: datetime,
) -> Told:
    assert len(secret) == SECRET_BYTES, "a signing secret is 32 random bytes"
    secret_id = ids.next(now)
    values = {
        "ledger_id": ledger_id,
        "id": secret_id,
        "endpoint_id": endpoint_id,
        "request_id": request_id,
        "sealed": sealer.seal(secret, bound_to=secret_place(ledger_id, secret_id)),
        "created_at": now,
    }
    await connection.execute(insert(tables.webhook_secrets).values(values))
    endpoint = await get_endpoint(connection, ledger_id=ledger_id, partner_id=None, endpoint_id=endpoint_id)
    return Told(endpoint, secret_text(secret))


def _select(ledger_id: int, partner_id: int | None) -> Select[Any]:
    joined = tables.webhook_endpoints.join(
        tables.partners, (_partners.ledger_id == _endpoints.ledger_id) & (_partners.id == _endpoints.partner_id)
    )
    query = select(tables.webhook_endpoints, _partners.code.label("partner")).select_from(joined)
    query = query.where(_endpoints.ledger_id == ledger_id)
    return query if partner_id is None else query.where(_endpoints.partner_id == partner_id)


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        partner_id=row.partner_id,
        partner=row.partner,
        url=row.url,
        created_at=row.created_at,
        failing_since=row.failing_since,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
    )
