"""Ending batches whose time is over, by the clock: some at a time, each with its entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.entry import Source
from ledger.journal.poster import Poster
from ledger.promotions.batch import Event
from ledger.promotions.desk import check_allowed, ending
from ledger.promotions.writing import Step, read_batches, write_steps

ACTOR = "daftari.promotions"
_DUE = """
SELECT id FROM promo_batches
WHERE ledger_id = %s AND expires_at <= %s AND state IN ('DRAFT', 'ACTIVE', 'PAUSED') ORDER BY id LIMIT %s
FOR NO KEY UPDATE SKIP LOCKED
"""
_LEDGERS = """
SELECT DISTINCT ledger_id FROM promo_batches WHERE expires_at <= %s AND state IN ('DRAFT', 'ACTIVE', 'PAUSED')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expirer:
    """Ends batches inside the caller's transaction."""

    poster: Poster

    async def expire_due(self, driver: Driver, *, ledger: Ledger, now: datetime, limit: int) -> int:
        """Ends batches whose time is over, those others work on left to them; how many."""
        rows = await (await driver.execute(_DUE, (ledger.id, now, limit))).fetchall()
        batches = list((await read_batches(driver, ledger_id=ledger.id, batch_ids=[row[0] for row in rows])).values())
        moves = [check_allowed(one, Event.EXPIRED) for one in batches]
        entries = [
            ending(one, move, ledger=ledger, source=Source.CLOSE, now=now)
            for one, move in zip(batches, moves, strict=True)
        ]
        requests = [PostRequest(one, ACTOR) for one in entries if one is not None]
        posted = iter(await self.poster.post(driver, ledger=ledger, requests=requests, now=now))
        steps = [
            Step(
                batch=batch.moved(move),
                event=Event.EXPIRED,
                actor=ACTOR,
                codes=batch.live,
                entry_id=next(posted) if entry is not None else None,
            )
            for batch, move, entry in zip(batches, moves, entries, strict=True)
        ]
        await write_steps(driver, ledger_id=ledger.id, steps=steps, now=now)
        return len(steps)

    async def find_ledgers(self, driver: Driver, *, now: datetime) -> set[int]:
        """The ledgers in which some batch's time is over."""
        return {row[0] for row in await (await driver.execute(_LEDGERS, (now,))).fetchall()}
