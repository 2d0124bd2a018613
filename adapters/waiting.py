"""What ends by time alone where money comes in: receipts whose reference still means nothing, and orders nobody paid.

In sets, by whichever worker comes first: rows that another works on are left to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections import ordering
from ledger.collections.writing import find_waiting_ledgers
from ledger.database import driver, run
from ledger.journal.books import find_ledgers
from ledger.receiving import RACING_CONSTRAINTS, ReceiptRecorder

BATCH_MAX = 200


class WaitingWatch:
    """Ends waiting; `patience` is how long money waits for its reference to be made."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        recorder: ReceiptRecorder,
        now: Callable[[], datetime],
        patience: timedelta,
    ) -> None:
        self._engine = engine
        self._recorder = recorder
        self._now = now
        self._patience = patience

    async def step(self) -> int:
        """One batch of each; returns how many receipts and orders came to the end of their time."""
        settled = await run(self._engine, self._settle, again_on=RACING_CONSTRAINTS)
        return settled + await run(self._engine, self._expire)

    async def _settle(self, connection: AsyncConnection) -> int:
        session, now = await driver(connection), self._now()
        waiting = await find_waiting_ledgers(session, told_before=now - self._patience, limit=BATCH_MAX)
        ledgers = await find_ledgers(connection, ids=waiting)
        settled = 0
        for ledger_id in sorted(ledgers):
            settled += await self._recorder.settle_waiting(
                session, ledger=ledgers[ledger_id], patience=self._patience, now=now, limit=BATCH_MAX
            )
        return settled

    async def _expire(self, connection: AsyncConnection) -> int:
        session, ids = await driver(connection), self._recorder.booker.ids
        return await ordering.expire_orders(session, ids=ids, now=self._now(), limit=BATCH_MAX)
