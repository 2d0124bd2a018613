"""The gateway's client of the services: deadlines, and repeats under the same request id. An example for any client.

A command that carries a request id may be repeated until it is answered: it has one effect, and every repeat gets the
first answer. What may have been done and is not known to be is therefore never given up, only answered for later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from api.interceptors import STATUS_DETAILS

log = structlog.get_logger(__name__)

# Nobody knows what became of these, or waiting helps: the same request is made again.
AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
FINISHING_MAX = 2_000

Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the core may take, in seconds: one try, all tries while the caller waits, and all tries after that."""

    one_try: float = 2.0
    waiting: float = 4.0
    finishing: float = 120.0


class CoreRefused(Exception):
    """The core said no, for a stable reason such as FLOOR_WOULD_BREAK; nothing was done."""

    def __init__(self, code: grpc.StatusCode, reason: str, facts: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(reason or code.name)
        self.code = code
        self.reason = reason
        self.facts = facts


class CoreSlow(Exception):
    """No answer in time. A command goes on being asked for in the background, under the same request id."""


class Core:
    """Calls with the gateway's key. Commands that outlast their caller are finished by `finishing` tasks."""

    def __init__(self, key: str, *, patience: Patience) -> None:
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._patience = patience
        self._finishing: set[asyncio.Task[None]] = set()

    async def ask(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """The answer to a query. Raises CoreRefused, CoreSlow."""
        return await self._within(self._patience.waiting, method, request)

    async def command(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """The answer to a command with a request id. Raises CoreRefused, CoreSlow."""
        try:
            return await self._within(self._patience.waiting, method, request)
        except CoreSlow:
            if len(self._finishing) < FINISHING_MAX:
                task = asyncio.create_task(self._finish(method, request))
                self._finishing.add(task)
                task.add_done_callback(self._finishing.discard)
            raise

    async def close(self, *, grace_seconds: float) -> None:
        """Lets what is still asked for finish within the grace."""
        if self._finishing:
            _, late = await asyncio.wait(self._finishing, timeout=grace_seconds)
            await _cancel(late)

    async def _finish(self, method: Callable[..., Awaitable[Answer]], request: Message) -> None:
        name = request.DESCRIPTOR.name
        try:
            await self._within(self._patience.finishing, method, request)
        except CoreRefused as refused:
            log.warning("ussd.refused_late", request=name, reason=refused.reason)
        except CoreSlow:
            log.error("ussd.given_up", request=name, advice="the caller was told to dial again, which asks again")

    async def _within(self, seconds: float, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        # Tries are made by AsyncRetrying; the timeout ends the last of them where it stands.
        tries = AsyncRetrying(
            retry=retry_if_exception(_is_worth_repeating),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_after_delay(seconds),
            reraise=True,
        )
        try:
            async with asyncio.timeout(seconds):
                return await tries(self._try, method, request)
        except TimeoutError:
            raise CoreSlow from None
        except grpc.aio.AioRpcError as error:
            raise (CoreSlow() if _is_worth_repeating(error) else _refusal(error)) from None

    async def _try(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        return await method(request, timeout=self._patience.one_try, metadata=self._metadata)


def _is_worth_repeating(error: BaseException) -> bool:
    """A full queue says RESOURCE_EXHAUSTED with RetryInfo; without it, it is the caller who has had enough."""
    if not isinstance(error, grpc.aio.AioRpcError) or error.code() not in AGAIN:
        return False
    return error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or "RetryInfo" in _details(error)


def _refusal(error: grpc.aio.AioRpcError) -> CoreRefused:
    info = error_details_pb2.ErrorInfo()
    _details(error).get("ErrorInfo", AnyMessage()).Unpack(info)
    return CoreRefused(error.code(), info.reason, dict(info.metadata))


def _details(error: grpc.aio.AioRpcError) -> dict[str, AnyMessage]:
    """The details of a refusal by the name of their message."""
    for name, value in error.trailing_metadata() or ():
        if name == STATUS_DETAILS and isinstance(value, bytes):
            status = status_pb2.Status.FromString(value)
            return {one.type_url.rpartition(".")[2]: one for one in status.details}
    return {}


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
