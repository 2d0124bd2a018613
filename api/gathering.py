"""Concurrent callers of one command become sets, one set at a time per ledger, each in one transaction of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from api.failures import known_refusal
from ledger.database import Driver, run_session
from ledger.gather import DEFAULT_LIMITS, Gatherer, Limits
from ledger.journal.books import Ledger

Item = TypeVar("Item")
Result = TypeVar("Result")
SetCommand: TypeAlias = Callable[[Driver, Ledger, Sequence[Item]], Awaitable[Sequence[Result]]]


class LedgerGatherers(Generic[Item, Result]):
    """A gatherer per ledger in front of a set command. Results are durable when they arrive.

    `again_on` names the unique constraints whose violation means that another process won a race: the set is run again
    and reads the winner.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        command: SetCommand[Item, Result],
        *,
        again_on: frozenset[str],
        monotonic: Callable[[], float],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._engine = engine
        self._command = command
        self._again_on = again_on
        self._monotonic = monotonic
        self._limits = limits
        self._gatherers: dict[int, Gatherer[Item, Result]] = {}

    def check_room(self, ledger: Ledger, count: int, *, deadline: float | None) -> None:
        """Raises Overloaded where submitting so many items now would: for who would otherwise work in vain first."""
        self._gatherer(ledger).check_room(count, deadline=deadline)

    def submit(self, ledger: Ledger, item: Item, *, deadline: float | None) -> asyncio.Future[Result]:
        """Takes the item now; the future brings its verdict, or TooLate, CommitUnknown and what broke. Raises
        Overloaded. Items of one ledger are judged in the order of these calls."""
        return self._gatherer(ledger).submit(item, deadline=deadline)

    def submit_all(
        self, ledger: Ledger, items: Sequence[Item], *, deadline: float | None
    ) -> asyncio.Future[list[Result | BaseException]]:
        """The same for many: a verdict or an error per item, in order. Raises Overloaded where not all find room."""
        return self._gatherer(ledger).submit_all(items, deadline=deadline)

    async def close(self) -> None:
        """Finishes what was taken and takes nothing more."""
        for gatherer in self._gatherers.values():
            await gatherer.close()

    def _gatherer(self, ledger: Ledger) -> Gatherer[Item, Result]:
        found = self._gatherers.get(ledger.id)
        if found is None:
            found = self._gatherers[ledger.id] = self._new_gatherer(ledger)
        return found

    def _new_gatherer(self, ledger: Ledger) -> Gatherer[Item, Result]:
        async def flush(items: Sequence[Item]) -> Sequence[Result]:
            async def command(session: Driver) -> Sequence[Result]:
                return await self._command(session, ledger, items)

            return await run_session(self._engine, command, again_on=self._again_on)

        # A refusal of a whole set (an unknown COMMIT, a database away, a contended one) is about no item in it.
        return Gatherer(
            flush,
            concerns_all=lambda error: known_refusal(error) is not None,
            monotonic=self._monotonic,
            limits=self._limits,
        )
