"""Random lives of loans side by side, in one process or in several over one database, and what came of them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import connect
from tests.ledger.loans.lending import open_lending
from tests.ledger.loans.test_random_lives import PER_LEDGER, check, fund, live

SIDE_BY_SIDE = 6
_STATES = "SELECT state, count(*) FROM loans WHERE ledger_id = :ledger GROUP BY state"
_EVENTS = "SELECT event, count(*) FROM loan_events WHERE ledger_id = :ledger GROUP BY event"
_ENTRIES = "SELECT count(*) FROM journal_entries WHERE ledger_id = :ledger"


@dataclass
class Told:
    """What came of the lives so far."""

    lives: int = 0
    entries: int = 0
    states: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


async def live_batch(engine: AsyncEngine, seeds: Sequence[int], told: Told) -> None:
    """Lives of one ledger; what fails is told with its seeds."""
    try:
        async with open_lending(engine) as lending:
            await fund(lending)
            for seed in seeds:
                await live(lending, seed)
            await check(lending)
            told.states.update(dict(await lending.shop.rows(_STATES)))
            told.events.update(dict(await lending.shop.rows(_EVENTS)))
            ((entries,),) = await lending.shop.rows(_ENTRIES)
    except AssertionError as fault:
        told.faults.append(f"seeds {seeds[0]} to {seeds[-1]}: {fault}")
        return
    told.lives += len(seeds)
    told.entries += entries
    sys.stderr.write(f"lived {seeds[0]} to {seeds[-1]}\n")


async def live_all(url: URL, seeds: range) -> Told:
    """So many lives, several ledgers at a time."""
    told, engine = Told(), connect(url, pool_size=SIDE_BY_SIDE, application_name="tests-loans")
    batches = iter([seeds[first : first + PER_LEDGER] for first in range(0, len(seeds), PER_LEDGER)])

    async def work() -> None:
        for batch in batches:
            await live_batch(engine, batch, told)

    await asyncio.gather(*(work() for _ in range(SIDE_BY_SIDE)))
    await engine.dispose()
    return told


def live_here(url: str, seeds: range) -> Told:
    """The same in a process of its own."""
    return asyncio.run(live_all(make_url(url), seeds))


def sum_of(all_told: Iterable[Told]) -> Told:
    """What came of them all."""
    whole = Told()
    for told in all_told:
        whole.lives += told.lives
        whole.entries += told.entries
        whole.states.update(told.states)
        whole.events.update(told.events)
        whole.faults += told.faults
    return whole
