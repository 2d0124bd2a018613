"""What the gRPC services stand on: the database, the clock, ids, and what is shared between calls. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from api.books import LedgerDirectory
from api.posting import EntryPoster, open_poster
from ledger.gather import DEFAULT_LIMITS, Limits
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """Shared by all services of a process. `now` is the wall clock, aware."""

    engine: AsyncEngine
    directory: AccountDirectory
    ids: IdSource
    now: Callable[[], datetime]
    ledgers: LedgerDirectory
    poster: EntryPoster


def open_core(
    engine: AsyncEngine,
    *,
    directory: AccountDirectory,
    ids: IdSource,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    limits: Limits = DEFAULT_LIMITS,
) -> Core:
    """The core on this engine; `close` its poster when the server has stopped."""
    poster = open_poster(engine, directory=directory, ids=ids, now=now, monotonic=monotonic, limits=limits)
    return Core(
        engine=engine,
        directory=directory,
        ids=ids,
        now=now,
        ledgers=LedgerDirectory(engine),
        poster=poster,
    )
