"""Living histories through on a database of one's own: one after another, again, or with ever fewer troubles."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import structlog

from tests.fix_database import Postgres
from tests.simulation.actors import Crash
from tests.simulation.history import History
from tests.simulation.history_of_money_in import MoneyInHistory
from tests.simulation.history_of_promotions import PromotionHistory
from tests.simulation.history_of_statements import StatementHistory
from tests.simulation.mutants import sow_all, sown
from tests.simulation.options import Kind, Options
from tests.simulation.outcome import Arena, Outcome
from tests.simulation.postgres import Engines, Ground

# Real time: a history that takes longer has come to a stop, which is as bad as a lost shilling. It takes about one
# second, and a minute where the machine is busy with everything else.
SECONDS_MAX = 600
TIMELINE_LINES_MAX = 40
# How a violation names what it is about.
_NAMES = ("dft-", "UI1", "UI2", "UI3")
_HISTORIES = {
    Kind.PAYOUTS: History,
    Kind.COLLECTIONS: MoneyInHistory,
    Kind.PROMOTIONS: PromotionHistory,
    Kind.STATEMENTS: StatementHistory,
}


@asynccontextmanager
async def open_arena(postgres: Postgres) -> AsyncIterator[Arena]:
    """A database of its own on the server, dropped afterwards. Logs of what goes wrong on purpose are kept quiet."""
    asyncio.get_running_loop().set_exception_handler(_overlook_deaths)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    database = await asyncio.to_thread(postgres.clone)
    ground = Ground(database)
    try:
        yield Arena(ground, Engines(database))
    finally:
        ground.close()
        await asyncio.to_thread(postgres.drop, database.name)
        structlog.configure(**before)


async def live(arena: Arena, options: Options, *, bug: str = "") -> Outcome:
    """One history, with a planted bug if one is named. One that does not end, or breaks, is a violation as well."""
    history = _HISTORIES[options.kind](options, arena)
    sow_all()
    with sown(bug) if bug else nullcontext():
        try:
            return await asyncio.wait_for(history.live(), SECONDS_MAX)
        except Exception as error:  # noqa: BLE001 -- a history is a process edge too: what broke it is told
            return history.broken_by(error)


async def shrink(arena: Arena, options: Options, *, bug: str = "") -> Outcome:
    """The same failure with as few troubles as it needs."""
    smallest = await live(arena, options, bug=bug)
    for trouble in sorted(options.troubles):
        fewer = smallest.options.lacking([trouble])
        tried = await live(arena, fewer, bug=bug)
        if tried.violations:
            smallest = tried
    return smallest


def timeline(outcome: Outcome) -> list[str]:
    """What led to the first violation, in a page: the lines about its payout, and the deaths; the last ones if many."""
    if not outcome.violations:
        return outcome.trace[-TIMELINE_LINES_MAX:]
    words = [one for word in outcome.violations[0].split() if (one := word.strip("(),")).startswith(_NAMES)]
    told = [
        line for line in outcome.trace
        if not words or words[0] in line or " dies " in line or "troubles stop" in line or "judge" in line
    ]  # fmt: skip
    return told[-TIMELINE_LINES_MAX:]


def _overlook_deaths(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A process that dies leaves tasks whose end nobody asks for."""
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)
