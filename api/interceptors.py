"""The door of the gRPC surface: every call passes here first and its errors last. Knows no service and no money.

In this order: room for one more call, the caller's request id, the deadline, the key, the permission. Then the method;
then any exception becomes a status with google.rpc details. Health and reflection pass without a key.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog

from api.admission import CALLS_MAX, Admission
from api.authentication import Authenticator, Metadata, key_in
from api.caller import Call, Caller, enter_call
from api.conversion.refusals import CODES, status_of
from api.failures import refusal_of
from api.permissions import OPEN_SERVICES, PERMISSIONS, Permission
from ledger.errors import Denied, LedgerError, TooLate

REQUEST_ID = "x-request-id"
# What the wire calls the serialized google.rpc.Status in trailing metadata.
STATUS_DETAILS = "grpc-status-details-bin"

_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_log = structlog.get_logger("daftari.api")

# Messages differ per method, so what flows through the door is untyped; the services' own signatures are not.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Method: TypeAlias = Callable[[Any, Any], Any]


def _ignore(_method: str, _code: str, _seconds: float) -> None:
    """Where nobody counts calls."""


class Door(grpc.aio.ServerInterceptor):
    """Authenticates, authorises, and tells errors. A method's guarded handler is made once and kept, so it must be the
    only interceptor; `monotonic` is the clock that the deadlines of `Call` are on;
    `observe` hears the method, the status and the seconds of every call. At most `calls_max` calls and as many streams
    are under way at once; the rest is refused."""

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        monotonic: Callable[[], float],
        observe: Callable[[str, str, float], None] = _ignore,
        calls_max: int = CALLS_MAX,
    ) -> None:
        self._authenticator = authenticator
        # Apart, so that streams, which may last for ever, leave the places of single calls free.
        self._calls, self._streams = Admission(calls_max=calls_max), Admission(calls_max=calls_max)
        self._observe = observe
        self._monotonic = monotonic
        self._handlers: dict[str, _Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """The method's handler behind the door. Names that nobody serves are not kept: any caller may invent them."""
        method = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is None:
            handler = await continuation(handler_call_details)
            if handler is not None and method.split("/")[1] not in OPEN_SERVICES:
                handler = self._handlers[method] = self._guarded(handler, method)
        return handler

    def _guarded(self, handler: _Handler, name: str) -> _Handler:
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        permission = PERMISSIONS.get(name)
        if handler.unary_unary is not None:
            guarded = self._one_answer(handler.unary_unary, name, permission, places=self._calls)
            return grpc.unary_unary_rpc_method_handler(guarded, **codecs)
        if handler.unary_stream is not None:
            guarded = self._many_answers(handler.unary_stream, name, permission)
            return grpc.unary_stream_rpc_method_handler(guarded, **codecs)
        if handler.stream_unary is not None:
            guarded = self._one_answer(handler.stream_unary, name, permission, places=self._streams)
            return grpc.stream_unary_rpc_method_handler(guarded, **codecs)
        assert handler.stream_stream is not None, "there is no other kind"
        guarded = self._many_answers(handler.stream_stream, name, permission)
        return grpc.stream_stream_rpc_method_handler(guarded, **codecs)

    def _one_answer(self, method: _Method, name: str, permission: Permission | None, *, places: Admission) -> _Method:
        async def guarded(request: Any, context: _Context) -> Any:
            started = self._monotonic()
            try:
                with places:
                    call, key = await self._admit(context, permission)
                    enter_call(call)
                    # A stream of requests has __anext__, a single request is a message.
                    requests = self._watched(request, key, permission) if hasattr(request, "__anext__") else request
                    answer = await method(requests, context)
            except Exception as error:
                await self._refuse(context, error, name, started)
                raise
            self._observe(name, "OK", self._monotonic() - started)
            return answer

        return guarded

    def _many_answers(self, method: _Method, name: str, permission: Permission | None) -> _Method:
        async def guarded(request: Any, context: _Context) -> AsyncGenerator[Any, None]:
            started = self._monotonic()
            try:
                with self._streams:
                    call, key = await self._admit(context, permission)
                    enter_call(call)
                    requests = self._watched(request, key, permission) if hasattr(request, "__anext__") else request
                    async with aclosing(method(requests, context)) as answers:
                        async for answer in self._watched(answers, key, permission):
                            yield answer
            except Exception as error:
                await self._refuse(context, error, name, started)
                raise
            self._observe(name, "OK", self._monotonic() - started)

        return guarded

    async def _refuse(self, context: _Context, error: Exception, name: str, started: float) -> None:
        refusal = refusal_of(error, request_id=_request_id(_trailing(context)))
        self._observe(name, CODES[refusal.category].name, self._monotonic() - started)
        await _tell(context, refusal, name)

    async def _watched(
        self, messages: AsyncIterator[Any], key: str, permission: Permission | None
    ) -> AsyncGenerator[Any, None]:
        """The messages of a stream, each let through only while the key is good: streams outlive revocations."""
        async for message in messages:
            await self._authorise(key, permission)
            yield message

    async def _admit(self, context: _Context, permission: Permission | None) -> tuple[Call, str]:
        """The call, and its key for later. Raises TooLate, NotAuthenticated, Denied."""
        metadata = tuple(context.invocation_metadata() or ())
        request_id = _request_id(metadata)
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        remaining: float | None = context.time_remaining()
        if remaining is not None and remaining <= 0:
            raise TooLate("the deadline had passed when the call arrived; nothing was done")
        key = key_in(metadata)
        caller = await self._authorise(key, permission)
        deadline = None if remaining is None else self._monotonic() + remaining
        return Call(caller, request_id, deadline), key

    async def _authorise(self, key: str, permission: Permission | None) -> Caller:
        caller = await self._authenticator.caller_of(key)
        if permission is None or permission.value not in caller.permissions:
            needed = permission.value if permission is not None else "none that exists"
            raise Denied(f"the key lacks the permission {needed}", permission=needed)
        return caller


def _request_id(metadata: Metadata) -> str:
    """The caller's own, echoed where it is plain and short, or a fresh one."""
    for name, value in metadata:
        if name == REQUEST_ID and isinstance(value, str) and _REQUEST_ID_FORM.fullmatch(value):
            return value
    return secrets.token_hex(8)


def _trailing(context: _Context) -> Metadata:
    """What the answer carries so far: the request id, also where the call was refused before it was looked at."""
    carried = tuple(context.trailing_metadata() or ())
    return carried or ((REQUEST_ID, _request_id(tuple(context.invocation_metadata() or ()))),)


async def _tell(context: _Context, refusal: LedgerError, method: str) -> None:
    """Ends the call with the refusal's status; raises what grpc.aio raises to that end."""
    trailing = _trailing(context)
    request_id = _request_id(trailing)
    _log.info("call.refused", method=method, reason=refusal.reason, request_id=request_id)
    details = (STATUS_DETAILS, status_of(refusal).SerializeToString())
    await context.abort(CODES[refusal.category], refusal.message, (*trailing, details))
