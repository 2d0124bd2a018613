"""The work of days that are over, of all loans of all ledgers: in sets, by whichever worker comes first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import driver, run
from ledger.journal.books import Ledger, find_ledgers
from ledger.loans.accruing import DayWorker

BATCH_MAX = 200


class LoanWatch:
    """Does the work of days; what earlier days left out is made up for."""

    def __init__(self, *, engine: AsyncEngine, days: DayWorker, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._days = days
        self._now = now

    async def step(self) -> int:
        """One batch of each ledger, a transaction each; of how many loans."""
        ledgers = await run(self._engine, self._find)
        worked = 0
        for ledger in ledgers:
            worked += await self._work(ledger)
        return worked

    async def _find(self, connection: AsyncConnection) -> list[Ledger]:
        found = await self._days.find_ledgers(await driver(connection), now=self._now())
        return list((await find_ledgers(connection, ids=found)).values())

    async def _work(self, ledger: Ledger) -> int:
        async def command(connection: AsyncConnection) -> int:
            return await self._days.work(await driver(connection), ledger=ledger, now=self._now(), limit=BATCH_MAX)

        return await run(self._engine, command)
