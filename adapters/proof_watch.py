"""Sealing of all ledgers, in sets, by whichever worker comes first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import driver, run
from ledger.journal.books import Ledger, list_ledgers
from ledger.proof.chain import encoded
from ledger.proof.sealing import BEGINNING, RACING_CONSTRAINTS, EntrySealer, Reached, Sealed

log = structlog.get_logger(__name__)

SEALED_MAX = 1000
_LEDGERS_PER_PAGE = 500


class ProofWatch:
    """Seals what was committed. Every checkpoint is a line of the log, for logs are kept where the database's owner
    cannot write."""

    def __init__(self, *, engine: AsyncEngine, sealer: EntrySealer, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._sealer = sealer
        self._now = now
        self._reached: dict[int, Reached] = {}

    async def step(self) -> int:
        """One set of each ledger, a transaction each; how many of them were full, so that more waits already."""
        full, after = 0, ""
        while page := await run(self._engine, partial(_page, after=after)):
            for ledger in page:
                full += await self._seal(ledger) == SEALED_MAX
            after = page[-1].code
        return full

    async def _seal(self, ledger: Ledger) -> int:
        async def command(connection: AsyncConnection) -> Sealed:
            return await self._sealer.seal(
                await driver(connection),
                ledger=ledger,
                reached=self._reached.get(ledger.id, BEGINNING),
                now=self._now(),
                limit=SEALED_MAX,
            )

        done = await run(self._engine, command, again_on=RACING_CONSTRAINTS)
        # Only now that it is committed.
        self._reached[ledger.id] = done.reached
        if done.checkpoint is not None:
            log.info(
                "proof.checkpoint",
                ledger=ledger.code,
                text=done.checkpoint.signed_text(ledger.code).decode(),
                key=done.checkpoint.key,
                signature=encoded(done.checkpoint.signature),
            )
        return done.count


async def _page(connection: AsyncConnection, *, after: str) -> list[Ledger]:
    return await list_ledgers(connection, after_code=after, limit=_LEDGERS_PER_PAGE)
