"""A shop whose partner is told by webhook: payouts in, deliveries out, under a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.egress import Egress, EgressLimits, EgressRules
from adapters.webhooks import Deliverer, DelivererSettings
from api.settings import Settings
from ledger.database import run, transaction
from ledger.ids import encode
from ledger.payouts.outcome import Outcome
from ledger.sealing import Sealer
from ledger.webhooks import endpoints, history
from ledger.webhooks.deliveries import RetryPolicy
from ledger.webhooks.endpoints import Endpoint, Told
from ledger.webhooks.history import Delivery
from tests.ledger.payouts.roads import ACKNOWLEDGED, STARTED, UNCLEAR, settled
from tests.ledger.payouts.shop import SECRET, Clock, Shop, open_shop

SEALER = Sealer(SECRET, purpose="webhook secrets")
LOCAL = EgressRules(frozenset({443}), allow_loopback=True)
RESTS = tuple(timedelta(seconds=seconds) for seconds in Settings().webhook_retry_seconds)
PROBE = timedelta(minutes=10)
LEASE = timedelta(seconds=60)
PER_ENDPOINT = 4


async def no_names(host: str, port: int) -> Sequence[str]:
    """Nothing here is called by name."""
    raise OSError(host)


def retry_policy(*rests: timedelta) -> RetryPolicy:
    """The shipped schedule unless rests are given."""
    return RetryPolicy(rests=rests or RESTS, probe=PROBE, randomness=random.Random(7))


@dataclass(frozen=True, slots=True)
class Desk:
    """The shop, and what delivers for it."""

    shop: Shop
    clock: Clock
    egress: Egress
    deliverer: Deliverer

    async def endpoint(self, url: str, *, request_id: str = "first", partner_id: int | None = None) -> Told:
        """An endpoint of the shop."""

        async def command(connection: AsyncConnection) -> Told:
            return await endpoints.create_endpoint(
                connection,
                ledger_id=self.shop.ledger.id,
                partner_id=partner_id or self.shop.partner.id,
                url=url,
                request_id=request_id,
                secret=secrets.token_bytes(32),
                sealer=SEALER,
                ids=self.shop.ids,
                now=self.clock(),
            )

        return await run(self.shop.engine, command)

    async def rotate(self, endpoint: Endpoint, *, overlap: timedelta, request_id: str = "second") -> Told:
        """A new secret beside the old one."""

        async def command(connection: AsyncConnection) -> Told:
            return await endpoints.rotate_secret(
                connection,
                ledger_id=self.shop.ledger.id,
                partner_id=None,
                endpoint_id=endpoint.id,
                request_id=request_id,
                overlap=overlap,
                secret=secrets.token_bytes(32),
                sealer=SEALER,
                ids=self.shop.ids,
                now=self.clock(),
            )

        return await run(self.shop.engine, command)

    async def settle(self, count: int = 1) -> list[str]:
        """The public ids of payouts requested and settled: one event each."""
        ids = await self.shop.request_many(count, shillings=100)
        for outcomes in ((STARTED,), (ACKNOWLEDGED,)):
            await self.shop.record(*((one, outcome) for one in ids for outcome in outcomes))
        await self.shop.record(*((one, settled(one, shillings=100, completed_at=self.clock())) for one in ids))
        return [encode("pay", one) for one in ids]

    async def doubt_then_settle(self) -> str:
        """The public id of a payout that became unknown, then settled: two events."""
        (payout_id,) = await self.shop.request_many(1, shillings=100)
        outcomes: list[Outcome] = [STARTED, UNCLEAR, settled(payout_id, shillings=100, completed_at=self.clock())]
        for outcome in outcomes:
            await self.shop.record((payout_id, outcome))
        return encode("pay", payout_id)

    async def work(self) -> None:
        """Delivers until nothing more may be tried now."""
        while await self.deliverer.step():
            await self.deliverer.drain()

    async def pass_time(self, total: timedelta, *, step: timedelta) -> None:
        """Lets time pass, delivering what falls due."""
        until = self.clock() + total
        while self.clock() < until:
            self.clock.advance(seconds=step.total_seconds())
            await self.work()

    async def deliveries(self, endpoint: Endpoint) -> list[Delivery]:
        """An endpoint's deliveries, oldest first."""
        async with transaction(self.shop.engine) as connection:
            found = await history.list_deliveries(
                connection,
                ledger_id=self.shop.ledger.id,
                partner_id=None,
                endpoint_id=endpoint.id,
                states=[],
                before=2**63 - 1,
                limit=1000,
            )
        return found[::-1]

    async def states(self, endpoint: Endpoint) -> list[str]:
        """Where an endpoint's deliveries stand, oldest first."""
        return [one.state.value for one in await self.deliveries(endpoint)]

    async def look(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint as it stands."""
        async with transaction(self.shop.engine) as connection:
            return await endpoints.get_endpoint(
                connection, ledger_id=self.shop.ledger.id, partner_id=None, endpoint_id=endpoint.id
            )


@asynccontextmanager
async def open_desk(engine: AsyncEngine, *, retry: RetryPolicy) -> AsyncIterator[Desk]:
    """On a database of its own, for deliveries of all ledgers are claimed together. The clock starts at the present,
    which is what verifiers measure timestamps by."""
    async with open_shop(engine, clock=Clock(datetime.now(UTC))) as shop, open_desk_of(shop, retry=retry) as desk:
        yield desk


@asynccontextmanager
async def open_desk_of(shop: Shop, *, retry: RetryPolicy) -> AsyncIterator[Desk]:
    """What delivers for a shop that is open."""
    egress = Egress(
        rules=LOCAL, limits=EgressLimits(call_seconds=30), resolver=no_names, tls=ssl.create_default_context()
    )
    deliverer = Deliverer(
        engine=shop.engine,
        egress=egress,
        sealer=SEALER,
        retry=retry,
        ids=shop.ids,
        now=shop.clock,
        settings=DelivererSettings(calls_max=64, endpoint_calls_max=PER_ENDPOINT, lease=LEASE),
    )
    try:
        yield Desk(shop, shop.clock, egress, deliverer)
    finally:
        async with asyncio.timeout(40):
            await deliverer.close()
