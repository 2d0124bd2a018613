"""The way of every API entry into the books: callers gather into sets, one set at a time per ledger is posted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncEngine

from api.gathering import LedgerGatherers
from ledger.database import Driver
from ledger.gather import Limits
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.post import PostResult, post_entries_at_commit

# A racing process took the key or the id meanwhile: run again, the set finds its replays and chooses other ids.
RACES = frozenset({"idempotency_keys_pkey", "journal_entries_pkey", "postings_pkey"})

EntryPoster: TypeAlias = LedgerGatherers[PostRequest, PostResult]


def open_poster(
    engine: AsyncEngine,
    *,
    directory: AccountDirectory,
    ids: IdSource,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    limits: Limits,
) -> EntryPoster:
    """The gatherer in front of post_entries_at_commit. Close it when the server has stopped."""

    async def post(driver: Driver, ledger: Ledger, requests: Sequence[PostRequest]) -> Sequence[PostResult]:
        return await post_entries_at_commit(
            driver, ledger=ledger, requests=requests, directory=directory, ids=ids, now=now()
        )

    return LedgerGatherers(engine, post, again_on=RACES, monotonic=monotonic, limits=limits)
