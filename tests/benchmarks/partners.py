"""Partners who are told by webhook: payouts to cancel, an event each, and a receiver that answers or hangs by path."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time

from sqlalchemy.ext.asyncio import AsyncConnection

from api.wiring import Application
from ledger.database import run, transaction
from ledger.webhooks import endpoints, history
from ledger.webhooks.history import Delivery
from tests.ledger.payouts.shop import Clock, Shop, open_shop
from tests.webhooks.receiver import Arrival, Receiver, open_receiver

PREFUNDED_MINOR_UNITS = 10**11
SHILLINGS = 10
# The ledger takes so many requests as one set.
REQUESTED_AT_ONCE = 100


class RunningClock(Clock):
    """Shows the time."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)


@dataclass(slots=True)
class Receivers:
    """The receivers of all partners, by path, and when each event came first. Those that hang never answer."""

    receiver: Receiver
    arrived: dict[str, float] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    _end: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str) -> str:
        """What a partner registers."""
        return f"http://127.0.0.1:{self.receiver.port}{path}"

    def let_go(self) -> None:
        """Answers whatever hangs."""
        self.hanging.clear()
        self._end.set()
        self._end = asyncio.Event()

    async def answer(self, arrival: Arrival) -> int:
        """A behaviour of the receiver."""
        self.arrived.setdefault(arrival.id, time())
        if arrival.path in self.hanging:
            await self._end.wait()
        return 204


@dataclass(slots=True)
class Partner:
    """A partner with books of its own, payouts reserved in store, and one live endpoint at most."""

    application: Application
    shop: Shop
    reserved: deque[int] = field(default_factory=deque)
    endpoint_id: int = 0

    async def stock(self, count: int) -> None:
        """Requests payouts until there are so many to cancel."""
        while len(self.reserved) < count:
            self.reserved.extend(await self.shop.request_many(REQUESTED_AT_ONCE, shillings=SHILLINGS))

    async def event(self) -> None:
        """Cancels a payout: one event, in the transaction that makes it true."""
        await self.shop.cancel(self.reserved.popleft())

    async def open_endpoint(self, url: str) -> None:
        """A new endpoint instead of the one before, whose backlog stays where it is."""
        if self.endpoint_id:
            await run(self.shop.engine, self._disable)
        application, request_id = self.application, secrets.token_hex(8)

        async def create(connection: AsyncConnection) -> endpoints.Told:
            return await endpoints.create_endpoint(
                connection,
                ledger_id=self.shop.ledger.id,
                partner_id=self.shop.partner.id,
                url=url,
                request_id=request_id,
                secret=secrets.token_bytes(32),
                sealer=application.webhook_sealer,
                ids=application.ids,
                now=application.now(),
            )

        self.endpoint_id = (await run(self.shop.engine, create)).endpoint.id

    async def _disable(self, connection: AsyncConnection) -> None:
        await endpoints.disable_endpoint(
            connection,
            ledger_id=self.shop.ledger.id,
            partner_id=None,
            endpoint_id=self.endpoint_id,
            why="its round is over",
            now=self.application.now(),
        )

    async def deliveries(self, count: int) -> list[Delivery]:
        """The newest deliveries of its endpoint, so many at most."""
        async with transaction(self.shop.engine) as connection:
            return await history.list_deliveries(
                connection,
                ledger_id=self.shop.ledger.id,
                partner_id=None,
                endpoint_id=self.endpoint_id,
                states=[],
                before=2**63 - 1,
                limit=count,
            )


@asynccontextmanager
async def open_partners(application: Application, *, count: int) -> AsyncIterator[list[Partner]]:
    """So many partners; at the end their books are asserted to agree with their payouts."""
    async with AsyncExitStack() as stack:
        yield [
            Partner(
                application,
                await stack.enter_async_context(
                    open_shop(application.engine, clock=RunningClock(), prefunded=PREFUNDED_MINOR_UNITS)
                ),
            )
            for _ in range(count)
        ]


@asynccontextmanager
async def open_receivers() -> AsyncIterator[Receivers]:
    """Receivers in this process; what hangs is let go at the end."""
    async with open_receiver() as receiver:
        receivers = Receivers(receiver)
        receiver.behave = receivers.answer
        yield receivers
        receivers.let_go()
