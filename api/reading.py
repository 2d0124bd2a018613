"""Concurrent readers of the same kind become sets: one query for all who ask at once, and no connection each.

A caller who leaves in the middle of a query of its own takes its connection along, and a new one costs more than the
query; here nobody's leaving reaches the query.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.failures import known_refusal
from ledger.database import transaction
from ledger.gather import Gatherer, Limits
from ledger.journal.books import Ledger

Found = TypeVar("Found")
Read: TypeAlias = Callable[[AsyncConnection, int, Sequence[int]], Awaitable[Mapping[int, Found]]]

# Readers were let in by the door, and those that come after a commit must not be sent away: nothing is refused here.
_LIMITS = Limits(queue_max=1 << 31, window_seconds=0.0)


class GatheredReads(Generic[Found]):
    """A gatherer per ledger in front of `read`, which gets the ledger's id and ids, and returns what it found of them.
    What is read is at least as new as the question."""

    def __init__(self, engine: AsyncEngine, read: Read[Found], *, monotonic: Callable[[], float]) -> None:
        self._engine = engine
        self._read = read
        self._monotonic = monotonic
        self._gatherers: dict[int, Gatherer[int, Found | None]] = {}

    async def find(self, ledger: Ledger, ids: Sequence[int]) -> dict[int, Found]:
        """Those that exist, by id. Raises what reading raised."""
        gatherer = self._gatherers.get(ledger.id)
        if gatherer is None:
            gatherer = self._gatherers[ledger.id] = self._new_gatherer(ledger.id)
        found: dict[int, Found] = {}
        for identifier, outcome in zip(ids, await gatherer.submit_all(ids, deadline=None), strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is not None:
                found[identifier] = outcome
        return found

    def _new_gatherer(self, ledger_id: int) -> Gatherer[int, Found | None]:
        async def flush(ids: Sequence[int]) -> Sequence[Found | None]:
            async with transaction(self._engine) as connection:
                found = await self._read(connection, ledger_id, sorted(set(ids)))
            return [found.get(identifier) for identifier in ids]

        return Gatherer(
            flush,
            concerns_all=lambda error: known_refusal(error) is not None,
            monotonic=self._monotonic,
            limits=_LIMITS,
        )
