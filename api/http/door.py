"""The door of the REST surface: every request passes here first and its errors last, as at the door of gRPC.

In this order: room for one more call, the key, the kind and length of the body. Then the route, whose commands are the
methods of the gRPC services, called without a socket under the permissions that their RPCs ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from fastapi import APIRouter, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from google.protobuf.message import Message
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.admission import CALLS_MAX, Admission
from api.authentication import Authenticator, key_in
from api.caller import Call, Caller, current_call, enter_call
from api.failures import refusal_of
from api.http.refusals import ANSWERS, rejection, renamed
from api.permissions import PERMISSIONS, Permission
from ledger.errors import Denied, LedgerError

# No request here needs a tenth of this.
BODY_BYTES_MAX = 64 * 1024
_DROPPED_BYTES_MAX = 64 * BODY_BYTES_MAX
REQUEST_ID = "rest"
NO_NAMES: Mapping[str, str] = MappingProxyType({})

Asked = TypeVar("Asked", bound=Message)
Answer = TypeVar("Answer")
_Handle: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]

_KEY = APIKeyHeader(name="x-api-key", description="An API key, dft_...", auto_error=False)
_BEARER = HTTPBearer(description="The same key as `authorization: Bearer dft_...`", auto_error=False)


class RestDoor:
    """Authenticates, authorises, and tells errors. `monotonic` is the clock of deadlines; a request is given
    `timeout_seconds`, and at most `calls_max` are under way at once."""

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        monotonic: Callable[[], float],
        timeout_seconds: float = 10.0,
        calls_max: int = CALLS_MAX,
    ) -> None:
        self._authenticator = authenticator
        self._monotonic = monotonic
        self._timeout_seconds = timeout_seconds
        self._calls = Admission(calls_max=calls_max)

    def router(self, tag: str) -> APIRouter:
        """Routes under /v1 that stand behind this door."""
        door = self

        class Guarded(APIRoute):
            """A route that is reached through the door."""

            def get_route_handler(self) -> _Handle:
                handle = super().get_route_handler()

                async def guarded(request: Request) -> Response:
                    return await door.let_in(request, handle)

                return guarded

        documented = [Security(_KEY), Security(_BEARER)]
        return APIRouter(prefix="/v1", tags=[tag], route_class=Guarded, responses=ANSWERS, dependencies=documented)

    async def let_in(self, request: Request, handle: _Handle) -> Response:
        """The answer of a route, or what refused it."""
        try:
            with self._calls:
                caller = await self._authenticator.caller_of(key_in(tuple(request.headers.items())))
                raw = await self._read(request)
                enter_call(Call(caller, REQUEST_ID, self._monotonic() + self._timeout_seconds))
                return await handle(Request(request.scope, _once(raw)))
        except (HTTPException, RequestValidationError):
            raise  # answered by the application, in the same form
        except Exception as error:  # noqa: BLE001 -- the process edge: logged under a number, answered with it
            return rejection(refusal_of(error, request_id=REQUEST_ID))

    async def ask(
        self,
        method: Callable[[Asked, Any], Awaitable[Answer]],
        request: Asked,
        *,
        names: Mapping[str, str] = NO_NAMES,
    ) -> Answer:
        """What an RPC answers to whoever is calling. Its refusals name their fields by `names`. Raises Denied."""
        permit(_permission_of(method.__name__, request))
        try:
            return await method(request, None)
        except LedgerError as error:
            raise renamed(error, names) from error.__cause__

    async def _read(self, request: Request) -> bytes:
        """The body. Raises HTTPException for another than a short one of JSON."""
        if request.method == "GET":
            return b""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPException(415, "send the body as application/json")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await _read_short(request)
        except ClientDisconnect:  # half a message is none, and nobody is there to be answered
            raise HTTPException(400, "the body was cut off") from None
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time; nothing was done") from None


def permit(permission: Permission | None) -> Caller:
    """Whoever is calling, if the key has the permission. Raises Denied."""
    caller = current_call().caller
    if permission is None or permission.value not in caller.permissions:
        needed = permission.value if permission is not None else "none that exists"
        raise Denied(f"the key lacks the permission {needed}", permission=needed)
    return caller


def _permission_of(name: str, request: Message) -> Permission | None:
    """What the RPC of that name in the request's contract asks for."""
    for service in request.DESCRIPTOR.file.services_by_name.values():
        if name in service.methods_by_name:
            return PERMISSIONS.get(f"/{service.full_name}/{name}")
    return None


async def _read_short(request: Request) -> bytes:
    """The body, or HTTPException: what is too long is read and dropped, so that its sender hears why, up to a point."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= BODY_BYTES_MAX:
            parts.append(part)
        if size > _DROPPED_BYTES_MAX:
            break
    if size > BODY_BYTES_MAX:
        raise HTTPException(413, f"send at most {BODY_BYTES_MAX:,} bytes", headers={"connection": "close"})
    return b"".join(parts)


def _once(raw: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    return receive
