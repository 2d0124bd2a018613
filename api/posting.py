"""The way of every API entry into the books: callers gather into sets, one set at a time per ledger is posted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.failures import known_refusal
from ledger.database import driver, run
from ledger.gather import DEFAULT_LIMITS, Gatherer, Limits
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.post import PostResult, post_entries

# A racing process took the key or the id meanwhile: run again, the set finds its replays and chooses other ids.
RACES = frozenset({"idempotency_keys_pkey", "journal_entries_pkey", "postings_pkey"})


class EntryPoster:
    """A gatherer per ledger. Results are durable when they arrive."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        directory: AccountDirectory,
        ids: IdSource,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._ids = ids
        self._now = now
        self._monotonic = monotonic
        self._limits = limits
        self._gatherers: dict[int, Gatherer[PostRequest, PostResult]] = {}

    def submit(self, ledger: Ledger, request: PostRequest, *, deadline: float | None) -> asyncio.Future[PostResult]:
        """Takes the entry now; the future brings the verdict, or TooLate, CommitUnknown and what broke. Raises
        Overloaded. Entries of one ledger are judged in the order of these calls."""
        return self._gatherer(ledger).submit(request, deadline=deadline)

    async def post_all(
        self, ledger: Ledger, requests: Sequence[PostRequest], *, deadline: float | None
    ) -> list[PostResult | BaseException]:
        """A verdict or an error per entry, in order. Raises Overloaded where not all of them find room."""
        return await self._gatherer(ledger).submit_all(requests, deadline=deadline)

    async def close(self) -> None:
        """Posts what was taken and takes nothing more."""
        for gatherer in self._gatherers.values():
            await gatherer.close()

    def _gatherer(self, ledger: Ledger) -> Gatherer[PostRequest, PostResult]:
        found = self._gatherers.get(ledger.id)
        if found is None:
            found = self._gatherers[ledger.id] = self._new_gatherer(ledger)
        return found

    def _new_gatherer(self, ledger: Ledger) -> Gatherer[PostRequest, PostResult]:
        async def flush(requests: Sequence[PostRequest]) -> Sequence[PostResult]:
            async def post(connection: AsyncConnection) -> Sequence[PostResult]:
                return await post_entries(
                    await driver(connection),
                    ledger=ledger,
                    requests=requests,
                    directory=self._directory,
                    ids=self._ids,
                    now=self._now(),
                )

            return await run(self._engine, post, again_on=RACES)

        # A refusal of a whole set (an unknown COMMIT, a database away, a contended one) is about no item in it.
        return Gatherer(
            flush,
            concerns_all=lambda error: known_refusal(error) is not None,
            monotonic=self._monotonic,
            limits=self._limits,
        )
