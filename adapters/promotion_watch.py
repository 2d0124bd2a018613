"""What promotions do by the clock, of all ledgers, in sets, by whichever worker comes first: batches end, and payouts
of redemptions that failed are tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import driver, run
from ledger.journal.books import Ledger, find_ledgers
from ledger.promotions.expiring import Expirer
from ledger.promotions.redeeming import RACING_CONSTRAINTS
from ledger.promotions.retrying import Retrier

EXPIRED_MAX = 50
RETRIED_MAX = 100


class PromotionWatch:
    """Ends batches and retries redemptions."""

    def __init__(self, *, engine: AsyncEngine, expirer: Expirer, retrier: Retrier, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._expirer = expirer
        self._retrier = retrier
        self._now = now

    async def step(self) -> int:
        """One set of each ledger, a transaction each; of how many batches and redemptions."""
        expiring, retrying = await run(self._engine, self._find)
        done = 0
        for ledger in expiring:
            done += await self._expire(ledger)
        for ledger in retrying:
            done += await self._retry(ledger)
        return done

    async def _find(self, connection: AsyncConnection) -> tuple[list[Ledger], list[Ledger]]:
        session, now = await driver(connection), self._now()
        expiring = await self._expirer.find_ledgers(session, now=now)
        retrying = await self._retrier.find_ledgers(session, now=now)
        found = await find_ledgers(connection, ids=expiring | retrying)
        return [found[one] for one in sorted(expiring)], [found[one] for one in sorted(retrying)]

    async def _expire(self, ledger: Ledger) -> int:
        async def command(connection: AsyncConnection) -> int:
            session = await driver(connection)
            return await self._expirer.expire_due(session, ledger=ledger, now=self._now(), limit=EXPIRED_MAX)

        return await run(self._engine, command)

    async def _retry(self, ledger: Ledger) -> int:
        async def command(connection: AsyncConnection) -> int:
            return await self._retrier.retry_due(connection, ledger=ledger, now=self._now(), limit=RETRIED_MAX)

        return await run(self._engine, command, again_on=RACING_CONSTRAINTS)
