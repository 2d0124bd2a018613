"""Calling silence by its name: a submitted payout without news for too long is of unknown outcome."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import driver, run
from ledger.journal.books import find_ledgers
from ledger.journal.entry import Source
from ledger.outbox.instruction import OutcomeUnknown
from ledger.outcomes import RACING_CONSTRAINTS, OutcomeRecorder
from ledger.payouts import writing
from ledger.payouts.outcome import Report

ACTOR = "daftari.silence"
PER_STEP_MAX = 256


class SilenceWatch:
    """Moves submitted payouts that had no result within `patience` to *unknown*."""

    def __init__(
        self, *, engine: AsyncEngine, recorder: OutcomeRecorder, now: Callable[[], datetime], patience: timedelta
    ) -> None:
        self._engine = engine
        self._recorder = recorder
        self._now = now
        self._patience = patience

    async def step(self) -> int:
        """One batch; returns how many payouts it moved."""
        return await run(self._engine, self._call_unknown, again_on=RACING_CONSTRAINTS)

    async def _call_unknown(self, connection: AsyncConnection) -> int:
        session, now = await driver(connection), self._now()
        silent = await writing.find_silent(session, before=now - self._patience, limit=PER_STEP_MAX)
        ledgers = await find_ledgers(connection, ids=set(silent))
        reason = OutcomeUnknown(f"no result within {self._patience.total_seconds():.0f} seconds")
        for ledger_id, payout_ids in silent.items():
            reports = [Report(payout_id=one, outcome=reason, source=Source.API, actor=ACTOR) for one in payout_ids]
            await self._recorder.record(session, ledger=ledgers[ledger_id], reports=reports, now=now)
        return sum(len(payout_ids) for payout_ids in silent.values())
