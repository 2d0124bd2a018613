"""The HTTP side of the gateway: Africa's Talking's form protocol, answered in time whatever the core does.

There is one endpoint and no signature, so the path holds a secret: it is compared in constant time and never logged. A
hop that comes again, also while the first is being answered, gets the same screen. Source: Africa's Talking, USSD (form
fields sessionId, phoneNumber, networkCode, serviceCode, text; the answer's first word is CON or END).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from api.ussd.conversation import Asked, Talk
from api.ussd.core import Core
from api.ussd.hops import Session, Sessions
from api.ussd.menus import Menus
from api.ussd.screens import CHARACTERS_MAX, Screen
from api.ussd.texts import Language, Text, language_of, say
from ledger.errors import LedgerError
from ledger.msisdn import Msisdn, parse_msisdn

log = structlog.get_logger(__name__)

# A session id of 37, a number, and all answers of a session of 180 seconds; what is longer is nobody's session.
BODY_BYTES_MAX = 8 * 1024
SESSION_ID_LENGTH_MAX = 128
_FIELDS_MAX = 32
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a session: who, and everything they have answered."""

    session_id: str
    caller: Msisdn
    text: str


class Gateway:
    """Answers hops. `heard` hears how each ended, for metrics."""

    def __init__(
        self,
        menus: Menus,
        *,
        core: Core,
        sessions: Sessions,
        language: Language,
        characters_max: int = CHARACTERS_MAX,
        heard: Callable[[str], None] = lambda _ending: None,
    ) -> None:
        self._menus = menus
        self._core = core
        self._sessions = sessions
        self._language = language
        self._characters_max = characters_max
        self._heard = heard
        self._under_way: dict[tuple[str, str, str], asyncio.Task[Screen]] = {}

    async def answer(self, hop: Hop) -> bytes:
        """The screen for a hop, the same however often it is asked for."""
        key = (hop.session_id, hop.caller.digits, hop.text)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._screen(hop))
            task.add_done_callback(lambda _done: self._under_way.pop(key, None))
        # The first asker may hang up; the others still want their answer.
        return (await asyncio.shield(task)).render(characters_max=self._characters_max)

    def forget(self, session_id: str, caller: Msisdn) -> None:
        """The telco has ended the session."""
        self._sessions.forget(session_id, caller.digits)

    async def _screen(self, hop: Hop) -> Screen:
        session = self._sessions.enter(hop.session_id, hop.caller.digits)
        if hop.text not in session.screens:
            session.screens[hop.text] = await self._converse(hop, session)
        return session.screens[hop.text]

    async def _converse(self, hop: Hop, session: Session) -> Screen:
        language = language_of(hop.caller.digits, otherwise=self._language)
        heard = session.hear(hop.text)
        talk = Talk(self._core, hop.session_id, hop.caller, heard, session, language)
        try:
            screen = await self._menus.converse(talk)
        except Asked as asked:
            self._heard("asked")
            return asked.screen
        except Exception as error:  # noqa: BLE001 -- the process edge: a caller is told something even by a bug
            log.error("ussd.broke", error=type(error).__name__)
            self._heard("broke")
            return Screen(say(talk.language, Text.TRY_LATER), ends=True)
        self._heard("ended")
        return screen


def application(gateway: Gateway, *, secret: str, healthy: Callable[[], Awaitable[bool]]) -> FastAPI:
    """The ASGI application: POST /ussd/{secret}, POST /ussd/{secret}/events, GET /healthz."""
    app = FastAPI(title="Daftari USSD", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    edge = _Edge(gateway, secret=secret, healthy=healthy)
    app.add_route("/healthz", edge.health, methods=["GET"])
    app.add_route("/ussd/{secret}", edge.hop, methods=["POST"])
    app.add_route("/ussd/{secret}/events", edge.event, methods=["POST"])
    return app


class _Edge:
    def __init__(self, gateway: Gateway, *, secret: str, healthy: Callable[[], Awaitable[bool]]) -> None:
        self._gateway = gateway
        self._secret = secret.encode()
        self._healthy = healthy

    async def health(self, _request: Request) -> Response:
        ok = await self._healthy()
        return Response("ok" if ok else "core unreachable", status_code=200 if ok else 503, media_type=_TEXT)

    async def hop(self, request: Request) -> Response:
        """One hop of a session."""
        fields = await self._fields(request)
        hop = None if fields is None else hop_of(fields)
        if hop is None:
            return Response("not found", status_code=404, media_type=_TEXT)
        return Response(await self._gateway.answer(hop), media_type=_TEXT)

    async def event(self, request: Request) -> Response:
        """A session has ended: nothing else depends on hearing of it."""
        fields = await self._fields(request)
        hop = None if fields is None else hop_of(fields)
        if fields is None or hop is None:
            return Response("not found", status_code=404, media_type=_TEXT)
        self._gateway.forget(hop.session_id, hop.caller)
        status = fields.get("status", "")
        log.info("ussd.ended", status=status if status in ("Success", "Incomplete", "Failed") else "other")
        return Response(status_code=200)

    async def _fields(self, request: Request) -> Mapping[str, str] | None:
        """The form, whatever its content type says; None where the path is not ours or the body is no form."""
        if not hmac.compare_digest(str(request.path_params["secret"]).encode(), self._secret):
            return None
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    return None
        except ClientDisconnect:
            return None
        try:
            return dict(parse_qsl(bytes(body).decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX))
        except ValueError:  # not UTF-8, or too many fields
            return None


def hop_of(fields: Mapping[str, str]) -> Hop | None:
    """The hop in a form; None for what is none."""
    session_id = fields.get("sessionId", "")
    if not 1 <= len(session_id) <= SESSION_ID_LENGTH_MAX or not session_id.isprintable():
        return None
    try:
        caller = parse_msisdn(fields.get("phoneNumber", ""))
    except LedgerError:
        return None
    return Hop(session_id, caller, fields.get("text", ""))
