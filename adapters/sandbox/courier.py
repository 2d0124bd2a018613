"""Carries callbacks to the addresses their requests named: once each, never again, in tasks of its own.

Addresses hold secret path tokens, so they appear in no log and in no diary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from adapters.connections import KeepLimits, KeptConnections
from adapters.sandbox.faults import Journey
from adapters.sandbox.world import Delivery

WITHHELD = "withheld"
CONNECTIONS_MAX = 64


@dataclass(frozen=True, slots=True)
class Parcel:
    """One callback: `kind` is what the diary calls it; `method` is PUT or POST."""

    request_number: int
    kind: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"
    content_type: str = "application/json"


class Diary(Protocol):
    """Who keeps what became of callbacks."""

    def note_delivery(self, delivery: Delivery) -> None:
        """Keeps one."""


class Weather(Protocol):
    """What callbacks meet on their way."""

    def journey(self) -> Journey:
        """For the next one."""


class Dispatch:
    """Callbacks that are ready and wait for `release`, which the rail calls when its answer is out."""

    def __init__(self) -> None:
        self._released = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def release(self) -> None:
        """Lets the callbacks go. May be called again, without effect."""
        self._released.set()

    async def wait_until_released(self) -> None:
        """Returns once `release` was called."""
        await self._released.wait()

    async def delivered(self) -> None:
        """Returns once every callback was tried."""
        if self.task is not None:
            await asyncio.wait([self.task])


class Courier:
    """Owns the connections to callback receivers and the tasks that use them; started within a running loop."""

    def __init__(self, *, world: Diary, faults: Weather, timeout_seconds: float) -> None:
        self._world = world
        self._faults = faults
        self._timeout_seconds = timeout_seconds
        # The transport alone: a client would log the address, follow redirects and obey proxy settings. Connections are
        # not kept, because a callback sent into one that the receiver is closing would be lost.
        limits = KeepLimits(connections_max=CONNECTIONS_MAX, idle_seconds=0.0)
        self._transport = KeptConnections(limits=limits, tls=httpx.create_ssl_context())
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """How many requests still have callbacks to come."""
        return len(self._tasks)

    def prepare(self, parcels: Sequence[Parcel]) -> Dispatch:
        """Takes the callbacks of one request, in their order; they leave when the dispatch is released."""
        if not parcels:
            return Dispatch()
        # Lots are drawn now, in the order of requests: a seed gives the same faults however tasks interleave.
        journeys = [(parcel, self._faults.journey()) for parcel in parcels]
        return self.undertake(lambda: self._carry(journeys))

    def undertake(self, work: Callable[[], Awaitable[None]]) -> Dispatch:
        """Takes on work that begins when the dispatch is released, and is dropped with the callbacks."""
        dispatch = Dispatch()

        async def begin() -> None:
            await dispatch.wait_until_released()
            await work()

        dispatch.task = asyncio.create_task(begin())
        self._tasks.add(dispatch.task)
        dispatch.task.add_done_callback(self._tasks.discard)
        return dispatch

    async def deliver(self, parcels: Sequence[Parcel]) -> None:
        """Carries callbacks at once, in their order; for work that is under way."""
        await self._carry([(parcel, self._faults.journey()) for parcel in parcels])

    async def ask(self, parcel: Parcel, *, patience_seconds: float) -> bytes | None:
        """What the receiver answers with HTTP 200 within its time, or None."""
        outcome, answer = "patience ended", None
        try:
            async with asyncio.timeout(patience_seconds):
                response = await self._transport.handle_async_request(self._request(parcel, patience_seconds))
                outcome, answer = str(response.status_code), await response.aread()
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        except TimeoutError:
            pass
        self._note(parcel, outcome)
        return answer if outcome == "200" else None

    async def idle(self) -> None:
        """Returns once no callback is waiting or under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def abandon(self) -> None:
        """Drops every callback not yet delivered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Abandons what is left and closes the connections."""
        await self.abandon()
        await self._transport.aclose()

    async def _carry(self, journeys: Sequence[tuple[Parcel, Journey]]) -> None:
        for parcel, journey in journeys:
            await asyncio.sleep(journey.delay_seconds)
            if journey.copies == 0:
                self._note(parcel, WITHHELD)
            for _ in range(journey.copies):
                self._note(parcel, await self._post(parcel))

    async def _post(self, parcel: Parcel) -> str:
        try:
            response = await self._transport.handle_async_request(self._request(parcel, self._timeout_seconds))
            await response.aclose()
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(response.status_code)

    def _request(self, parcel: Parcel, timeout_seconds: float) -> httpx.Request:
        headers = {"Content-Type": parcel.content_type}
        extensions = {"timeout": httpx.Timeout(timeout_seconds, pool=None).as_dict()}
        return httpx.Request(parcel.method, parcel.url, headers=headers, content=parcel.body, extensions=extensions)

    def _note(self, parcel: Parcel, outcome: str) -> None:
        self._world.note_delivery(Delivery(parcel.request_number, parcel.kind, outcome))
