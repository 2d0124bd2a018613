"""The callback edge: stores the raw bytes, answers what the provider expects, judges nothing. Paths hold secrets: never
logged. Every readable request is answered 200, for a refusal could make the provider drop the result."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from adapters.inbound import BODY_BYTES_MAX, Inbound
from api.http.sources import EVERYWHERE, Sources
from ledger.errors import LedgerNotFound

log = structlog.get_logger(__name__)

LEDGER_ID_MAX = 2**31 - 1
KINDS = ("result", "timeout")
TOKEN_LENGTH_MAX = 128


def _ignore(_rail: str, _kind: str) -> None:
    """Where nobody counts messages."""


def application(
    inbound: Inbound,
    *,
    healthy: Callable[[], Awaitable[bool]],
    sources: Sources = EVERYWHERE,
    stored: Callable[[str, str], None] = _ignore,
) -> FastAPI:
    """The ASGI application: POST /callbacks/{ledger}/{rail}/{kind}/{token}, GET /healthz. `stored` hears the rail and
    kind of every message that was kept."""
    app = FastAPI(title="Daftari", version="1", docs_url="/docs", redoc_url=None, openapi_url="/openapi.json")

    @app.get("/healthz", include_in_schema=False)
    async def health() -> Response:
        ok = await healthy()
        return _json({"status": "ok" if ok else "database unreachable"}, status=200 if ok else 503)

    @app.post("/callbacks/{ledger_id}/{rail}/{kind}/{token}", include_in_schema=False)
    async def receive(ledger_id: str, rail: str, kind: str, token: str, request: Request) -> Response:
        acknowledgement = inbound.acknowledgement(rail)
        if acknowledgement is None or not _is_ours(ledger_id, kind, token):
            return _json({"error": "not found"}, status=404)
        peer = request.client.host if request.client else None
        remote_address = sources.address_of(peer, ",".join(request.headers.getlist("x-forwarded-for")))
        if not sources.allows(remote_address):
            log.warning("callback.refused", rail=rail, remote_address=remote_address)
            return _json({"error": "not allowed"}, status=403)
        try:
            body = await _read(request)
            await inbound.receive(
                ledger_id=int(ledger_id), rail=rail, kind=kind, token=token, raw=body, remote_address=remote_address
            )
        except ClientDisconnect:  # half a message is none, and nobody is there to be answered
            return _json({"error": "cut off"}, status=400)
        except LedgerNotFound:  # a path we never gave out
            return _json({"error": "not found"}, status=404)
        stored(rail, kind)
        return Response(acknowledgement, media_type="application/json")

    return app


def _is_ours(ledger_id: str, kind: str, token: str) -> bool:
    number = (
        ledger_id.isascii() and ledger_id.isdigit() and len(ledger_id) <= 10 and 0 < int(ledger_id) <= LEDGER_ID_MAX
    )
    return number and kind in KINDS and len(token) <= TOKEN_LENGTH_MAX


async def _read(request: Request) -> bytes:
    """The body, cut off where it exceeds what any documented message needs; the rest is read and dropped."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        if size <= BODY_BYTES_MAX:
            parts.append(part)
        size += len(part)
        if size > 64 * BODY_BYTES_MAX:
            break
    return b"".join(parts)[: BODY_BYTES_MAX + 1]


def _json(content: dict[str, str], *, status: int) -> Response:
    return Response(json.dumps(content), status_code=status, media_type="application/json")
