"""The callback edge: stores the raw bytes, answers what the provider expects, judges nothing. Paths hold secrets: never
logged. Every readable request is answered 200, for a refusal could make the provider drop the result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import sqlalchemy.exc
import structlog
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from adapters.inbound import BODY_BYTES_MAX, Callback, Inbound
from adapters.questions import Questions
from adapters.receiving import CONFIRMATION, VALIDATION
from adapters.sms import KINDS as SMS_KINDS
from api.failures import known_refusal
from api.http.sources import EVERYWHERE, Sources
from ledger.errors import LedgerError, Overloaded
from ledger.gather import Gatherer, Limits

log = structlog.get_logger(__name__)

LEDGER_ID_MAX = 2**31 - 1
KINDS = ("result", "timeout", CONFIRMATION, VALIDATION, *SMS_KINDS)
TOKEN_LENGTH_MAX = 128
# A callback may be long, so a set is small; what awaits its commit is bounded by memory alone.
SETS = Limits(set_max=128, queue_max=1024)


def _ignore(_rail: str, _kind: str) -> None:
    """Where nobody counts messages."""


def application(
    inbound: Inbound,
    *,
    questions: Questions,
    healthy: Callable[[], Awaitable[bool]],
    sources: Sources = EVERYWHERE,
    stored: Callable[[str, str], None] = _ignore,
) -> FastAPI:
    """The ASGI application: POST or PUT /callbacks/{ledger}/{rail}/{kind}/{token}, GET /healthz. `stored` hears the
    rail and kind of every message that was kept."""
    app = FastAPI(title="Daftari", version="1", docs_url="/docs", redoc_url=None, openapi_url="/openapi.json")

    @app.get("/healthz", include_in_schema=False)
    async def health() -> Response:
        ok = await healthy()
        return _json({"status": "ok" if ok else "database unreachable"}, status=200 if ok else 503)

    edge = _Edge(inbound, questions=questions, sources=sources, stored=stored)
    # A plain route: the framework's work on typed parameters is not wanted here, and costs more than the rest.
    path = "/callbacks/{ledger_id}/{rail}/{kind}/{token}"
    app.add_route(path, edge.receive, methods=["POST", "PUT"], include_in_schema=False)
    return app


class _Edge:
    """The one route that providers know. Callbacks that come together are committed together."""

    def __init__(
        self, inbound: Inbound, *, questions: Questions, sources: Sources, stored: Callable[[str, str], None]
    ) -> None:
        self._inbound = inbound
        self._questions = questions
        self._sources = sources
        self._stored = stored
        # A refusal of a whole set (a database away, an unknown COMMIT) is about no callback in it.
        self._gatherer: Gatherer[Callback, bool] = Gatherer(
            inbound.receive_all,
            concerns_all=lambda error: known_refusal(error) is not None,
            monotonic=lambda: asyncio.get_running_loop().time(),
            limits=SETS,
        )

    async def receive(self, request: Request) -> Response:
        """Stores one, then answers."""
        ledger_id, rail, kind, token = (request.path_params[name] for name in ("ledger_id", "rail", "kind", "token"))
        acknowledgement = self._inbound.acknowledgement(rail)
        if acknowledgement is None or not _is_ours(ledger_id, kind, token):
            return _json({"error": "not found"}, status=404)
        peer = request.client.host if request.client else None
        remote_address = self._sources.address_of(peer, ",".join(request.headers.getlist("x-forwarded-for")))
        if not self._sources.allows(remote_address):
            log.warning("callback.refused", rail=rail, remote_address=remote_address)
            return _json({"error": "not allowed"}, status=403)
        try:
            raw = await _read(request)
        except ClientDisconnect:  # half a message is none, and nobody is there to be answered
            return _json({"error": "cut off"}, status=400)
        callback = Callback(
            ledger_id=int(ledger_id), rail=rail, kind=kind, token=token, raw=raw, remote_address=remote_address
        )
        return await self._keep(callback, acknowledgement)

    async def _keep(self, callback: Callback, acknowledgement: bytes) -> Response:
        try:
            kept = await self._gatherer.submit(callback, deadline=None)
        except Overloaded:  # nothing was kept; a provider that tries again will be heard
            return _json({"error": "busy"}, status=503)
        if not kept:  # a path we never gave out
            return _json({"error": "not found"}, status=404)
        self._stored(callback.rail, callback.kind)
        if callback.kind == VALIDATION:
            return await _answered(self._questions, callback)
        return Response(acknowledgement, media_type="application/json")


async def _answered(questions: Questions, callback: Callback) -> Response:
    """The answer to a question; without one in time, an error, by which the provider goes as it was told to."""
    try:
        answer = await questions.answer(
            ledger_id=callback.ledger_id, rail=callback.rail, token=callback.token, raw=callback.raw
        )
    except (LedgerError, TimeoutError, sqlalchemy.exc.SQLAlchemyError) as error:
        log.warning("collection.unanswered", rail=callback.rail, error=type(error).__name__)
        return _json({"error": "no answer now"}, status=503)
    if answer is None:
        return _json({"error": "not found"}, status=404)
    return Response(answer, media_type="application/json")


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
