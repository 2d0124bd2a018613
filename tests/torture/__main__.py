"""python -m tests.torture: the long form of what a simulation in one process cannot show, with a table of what came.

python -m tests.torture --report PAGE             all parts, about a quarter of an hour on two idle cores
python -m tests.torture --only cuts --share 0.1   one part, a tenth of it; with --report its section alone is new
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from tests.fix_database import Database, Postgres
from tests.journeys.scene import Scene, open_scene
from tests.lifecycle import telling
from tests.lifecycle.mutations import MUTATIONS, broken_by
from tests.lifecycle.scopes import FULL
from tests.lifecycle.search import search
from tests.torture import page
from tests.torture.crashes import CARELESS, SOUND, crash_and_recover, is_refused
from tests.torture.cuts import cut_at_commit
from tests.torture.kills import KillsTold, kill_while_paying, kill_while_posting
from tests.torture.page import Section
from tests.torture.races import RACES, run_races
from tests.torture.server import Crash, CrashingServer, server_directory

SEED = 20_261_128
CUTS_EACH, CRASHES, CONTROL_CRASHES, RACES_EACH = 200, 200, 5, 500
# In rounds on books of their own: the prefund of a round is spent after a while.
KILL_ROUNDS, KILLS_POSTING, KILLS_PAYING = 5, 5, 7


class Part:
    """One part under way: so much of the long form, with a bar for each of its steps."""

    def __init__(self, progress: Progress, *, share: float) -> None:
        self.progress = progress
        self._share = share

    def count(self, whole: int) -> int:
        """The share of a figure, one at least."""
        return max(1, round(whole * self._share))

    def bar(self, words: str, *, total: int) -> TaskID:
        """A new bar."""
        return self.progress.add_task(words, total=total)


async def states(part: Part) -> Section:
    """The life cycle with two crashes, and every broken rule."""
    rows, faults, bar = [], list[str](), part.bar("orders of steps", total=len(FULL) + len(MUTATIONS))
    for name, around in FULL.items():
        found = await asyncio.to_thread(search, around)
        rows.append(telling.row(name, around, found))
        faults += [found.violation] * bool(found.violation)
        part.progress.advance(bar)
    ways = []
    for name in MUTATIONS:
        with broken_by(name) as around:
            found = await asyncio.to_thread(search, around)
        ways.append(f"| {name} | {found.states:,} | {len(found.way)} | {found.violation or 'not found'} |")
        faults += [f"{name} is not found"] * (not found.violation)
        part.progress.advance(bar)
    return page.of_states(rows, ways, faults)


async def cuts(part: Part) -> Section:
    """Connections cut at COMMIT."""
    each = part.count(CUTS_EACH)
    bar = part.bar("cuts at COMMIT", total=2 * each)
    async with _server() as postgres, _scene(postgres) as (scene, database):
        told = await cut_at_commit(
            scene, database, each=each, seed=SEED, tell=lambda done: part.progress.update(bar, completed=done)
        )
    return page.of_cuts(told)


async def crashes(part: Part) -> Section:
    """Crashes of PostgreSQL, and the control."""
    count, control = part.count(CRASHES), part.count(CONTROL_CRASHES)
    bar = part.bar("crashes of PostgreSQL", total=count + control)

    def tell(_: int) -> None:
        part.progress.advance(bar)

    async with server_directory() as directory:
        sound = await crash_and_recover(directory, settings=SOUND, crashes=count, seed=SEED, tell=tell)
    async with server_directory() as directory:
        kinds = [Crash.STOPPED_AT_ONCE]
        lossy = await crash_and_recover(
            directory, settings=CARELESS, crashes=control, seed=SEED, kinds=kinds, tell=tell
        )
        refused = await is_refused(directory, settings=CARELESS)
    return page.of_crashes(sound, lossy, refused=refused)


async def races(part: Part) -> Section:
    """Threads at one thing."""
    each = part.count(RACES_EACH)
    bar = part.bar("races of eight threads", total=each * len(RACES))
    async with _server() as postgres:
        database = await asyncio.to_thread(postgres.clone)
        told = await asyncio.to_thread(
            run_races, database.app, dict.fromkeys(RACES, each), seed=SEED, tell=lambda _: part.progress.advance(bar)
        )
    return page.of_races(told)


async def kills(part: Part) -> Section:
    """Processes killed."""
    rounds = part.count(KILL_ROUNDS)
    bar = part.bar("kill -9 of our processes", total=rounds * (KILLS_POSTING + KILLS_PAYING))

    def tell(_: int) -> None:
        part.progress.advance(bar)

    posted, paid = list[KillsTold](), list[KillsTold]()
    async with _server() as postgres:
        for seed in range(SEED, SEED + rounds):
            async with _scene(postgres) as (scene, database):
                posted.append(await kill_while_posting(scene, database, kills=KILLS_POSTING, seed=seed, tell=tell))
            async with _scene(postgres) as (scene, database):
                paid.append(await kill_while_paying(scene, database, kills=KILLS_PAYING, seed=seed, tell=tell))
    return page.of_kills(posted, paid)


PARTS = {"states": states, "cuts": cuts, "crashes": crashes, "races": races, "kills": kills}


async def main(given: Sequence[str]) -> int:
    """The exit code: 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=PARTS, help="these parts")
    parser.add_argument("--share", type=float, default=1.0, help="how much of the long form")
    parser.add_argument("--report", type=Path, help="write the tables here, in Markdown")
    asked = parser.parse_args(given)
    logging.disable()  # what the rail says in this process of callers that died is no news
    out, faults = Console(highlight=False), 0
    with Progress(console=out) as progress:
        for name in asked.only:
            began = time.monotonic()
            section = (await PARTS[name](Part(progress, share=asked.share))).lasting(time.monotonic() - began)
            faults += len(section.faults)
            progress.print(page.text_of(section), soft_wrap=True, markup=False)
            if asked.report:
                before = asked.report.read_text() if asked.report.exists() else ""
                asked.report.write_text(page.with_section(before, section))
    return 1 if faults else 0


@asynccontextmanager
async def _server() -> AsyncIterator[Postgres]:
    """A server that nobody crashes, with the product's own settings."""
    async with server_directory() as directory:
        server = CrashingServer(directory, settings={})
        try:
            yield await server.start()
        finally:
            await server.stop()


@asynccontextmanager
async def _scene(postgres: Postgres) -> AsyncIterator[tuple[Scene, Database]]:
    database = await asyncio.to_thread(postgres.clone)
    with tempfile.TemporaryDirectory(prefix="daftari-torture-") as files:
        async with open_scene(database, files=Path(files), seed=SEED) as scene:
            yield scene, database


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
