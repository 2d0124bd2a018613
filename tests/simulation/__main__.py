"""python -m tests.simulation: histories by the thousand, the planted bugs, or one history again.

python -m tests.simulation --seeds 1000 --jobs 2          histories, with progress and a summary
python -m tests.simulation --bugs --seeds 200             every planted bug: how many seeds until it is caught
python -m tests.simulation --again 4711 [--bug NAME]      one history: its options, violations and timeline, shrunk
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from tests.fix_database import Postgres
from tests.simulation import job
from tests.simulation.mutants import bugs_of, sow_all
from tests.simulation.options import PATHS, Kind, expand
from tests.simulation.postgres import simulation_server
from tests.simulation.run import live, open_arena, shrink, timeline
from tests.simulation.tally import Tally, markdown

FAILURES_SHOWN_MAX = 20
# How many histories there are between two lines about the rate.
TOLD_EVERY = 250
# A history tells all that it broke in one line.
LINE_BYTES_MAX = 64 * 1024 * 1024


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What the command was asked for."""
    sow_all()
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="A world that tries to lose money")
    parser.add_argument("--seeds", type=int, default=250, help="how many histories; with --bugs, how many at most")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, help="end after so long, or on SIGTERM, and tell of what was lived")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--collections", action="store_true", help="histories of money in, money back and loans")
    parser.add_argument("--promotions", action="store_true", help="histories of codes and a MoMo wallet")
    parser.add_argument("--statements", action="store_true", help="histories held against the provider's statements")
    parser.add_argument("--calm", action="store_true", help="every trouble, each about one occasion in a hundred")
    parser.add_argument("--without", nargs="*", default=[], choices=PATHS, help="take a path of recovery away")
    parser.add_argument("--bugs", action="store_true", help="plant each bug and count the seeds until it is caught")
    parser.add_argument("--again", type=int, help="live one seed through and tell of it")
    bugs = [one for kind in Kind for one in bugs_of(kind)]
    parser.add_argument("--bug", default="", choices=["", *bugs], help="with this bug planted")
    parser.add_argument("--report", type=Path, help="write the summary here, in Markdown")
    return parser.parse_args(given)


def kind_of(asked: argparse.Namespace) -> Kind:
    """What the histories are about."""
    if asked.promotions:
        return Kind.PROMOTIONS
    if asked.statements:
        return Kind.STATEMENTS
    return Kind.COLLECTIONS if asked.collections else Kind.PAYOUTS


async def main(given: Sequence[str]) -> int:
    """The exit code: 0 where no history broke an invariant, or every planted bug was caught."""
    asked = arguments(given)
    async with simulation_server() as postgres:
        if asked.again is not None:
            return await tell_again(postgres, asked)
        return await (plant_all(postgres, asked) if asked.bugs else live_many(postgres, asked, given))


async def tell_again(postgres: Postgres, asked: argparse.Namespace) -> int:
    """One history, and the same with as few troubles as the failure needs."""
    out = Console(soft_wrap=True, highlight=False)
    async with open_arena(postgres) as arena:
        options = expand(asked.again, calm=asked.calm, without=asked.without, kind=kind_of(asked))
        outcome = await live(arena, options, bug=asked.bug)
        if outcome.violations:
            outcome = await shrink(arena, options, bug=asked.bug)
    out.print(str(outcome.options))
    out.print("\n".join(timeline(outcome)))
    out.print("\n".join(outcome.violations) or f"no invariant broken; {outcome.commits} commits, {outcome.fingerprint}")
    return 1 if outcome.violations else 0


async def live_many(postgres: Postgres, asked: argparse.Namespace, given: Sequence[str]) -> int:
    """Many histories, side by side."""
    out, tally, began = Console(highlight=False), Tally(kind_of(asked)), time.monotonic()
    with Progress(console=out) as progress:
        bar = progress.add_task("histories", total=asked.seeds)
        async with aclosing(side_by_side(postgres, asked, bugs=[])) as stream:
            async for told in until_over(stream, asked.minutes):
                tally.add(told)
                progress.advance(bar)
                for violation in told["violations"][:1]:
                    progress.print(f"seed {told['seed']}: {violation}")
                if tally.histories % TOLD_EVERY == 0:
                    minutes = (time.monotonic() - began) / 60
                    progress.print(f"{tally.histories} histories, {tally.histories / minutes:.0f} a minute")
    page = markdown(tally, command=f"python -m tests.simulation {' '.join(given)}", seconds=time.monotonic() - began)
    out.print(page)
    if asked.report:
        asked.report.write_text(page)
    for seed, violation in tally.failures[:FAILURES_SHOWN_MAX]:
        own = "" if kind_of(asked) is Kind.PAYOUTS else f" --{kind_of(asked).value}"
        out.print(f"seed {seed}: {violation}; see it with: python -m tests.simulation{own} --again {seed}")
    return 1 if tally.failures or (tally.histories < asked.seeds and asked.minutes is None) else 0


async def until_over(stream: AsyncIterator[dict[str, Any]], minutes: float | None) -> AsyncIterator[dict[str, Any]]:
    """What is told until the time is over, or somebody asks us to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if minutes is not None:
        loop.call_later(60 * minutes, ended.set)
    async for told in stream:
        yield told
        if ended.is_set():
            break


async def plant_all(postgres: Postgres, asked: argparse.Namespace) -> int:
    """Every planted bug, each against seed after seed until one catches it."""
    out, planted = Console(highlight=False), bugs_of(kind_of(asked))
    needed: dict[str, int] = {}
    caught: dict[str, str] = {}
    with Progress(console=out) as progress:
        bar = progress.add_task("planted bugs", total=len(planted))
        async for told in side_by_side(postgres, asked, bugs=list(planted)):
            needed[told["bug"]] = needed.get(told["bug"], 0) + 1
            if told["violations"]:
                caught[told["bug"]] = told["violations"][0]
                progress.advance(bar)
                progress.print(f"{told['bug']}: seed {told['seed']}, the {needed[told['bug']]}. tried")
    lines = ["| planted bug | seeds until caught | caught by |", "|---|---:|---|"]
    lines += [
        f"| {bug} | {needed.get(bug, 0) if bug in caught else 'not caught'} | {caught.get(bug, '')[:60]} |"
        for bug in planted
    ]
    counts = [needed[bug] for bug in caught]
    lines.append(f"\n{len(caught)} of {len(planted)} caught; median {statistics.median(counts)}, worst {max(counts)}")
    out.print("\n".join(lines), soft_wrap=True)
    if asked.report:
        asked.report.write_text("\n".join(lines) + "\n")
    return 0 if len(caught) == len(planted) else 1


async def side_by_side(
    postgres: Postgres, asked: argparse.Namespace, *, bugs: Sequence[str]
) -> AsyncGenerator[dict[str, Any], None]:
    """What the jobs tell, as they tell it: the seeds are shared between them, or the bugs where there are any."""
    seeds = range(asked.start, asked.start + asked.seeds)
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    shares = [(seeds, bugs[one :: asked.jobs]) if bugs else (seeds[one :: asked.jobs], []) for one in range(asked.jobs)]
    jobs = [
        asyncio.create_task(_work(postgres, asked, number, list(share), list(own), queue))
        for number, (share, own) in enumerate(shares)
    ]
    running = len(jobs)
    try:
        while running:
            told = await queue.get()
            if told is None:
                running -= 1
            else:
                yield told
    except GeneratorExit:
        for one in jobs:
            one.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        raise
    await asyncio.gather(*jobs)


async def _work(
    postgres: Postgres,
    asked: argparse.Namespace,
    number: int,
    seeds: list[int],
    bugs: list[str],
    queue: asyncio.Queue[dict[str, Any] | None],
) -> None:
    passwords = postgres.passwords
    order = {
        "admin": postgres.admin.render_as_string(hide_password=False),
        "template": postgres.template,
        "passwords": {one: getattr(passwords, one) for one in ("migrator", "application", "reader")},
        "job": number,
        "seeds": seeds,
        "bugs": bugs,
        "calm": asked.calm,
        "without": asked.without,
        "kind": kind_of(asked).value,
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", job.__name__, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES_MAX
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(order).encode())
    worker.stdin.close()
    try:
        async for line in worker.stdout:
            await queue.put(json.loads(line))
        if await worker.wait():
            raise SystemExit(f"a job ended with {worker.returncode}; what it said is above")
    finally:
        if worker.returncode is None:
            worker.terminate()
            await worker.wait()
        await queue.put(None)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
