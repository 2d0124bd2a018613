"""python -m tests.ledger.proof: random edits by a superuser, and what sealing, export and verifier take, as a page.

python -m tests.ledger.proof --edits 1000 --entries 100000 --report docs/proof.md
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import connect, conninfo
from ledger.proof.verifying import Kind
from tests.builders import BANK, NOW, OTHER_WALLET, WALLET, Books, open_books, transfer
from tests.fix_database import Database
from tests.journeys.processes import environment
from tests.ledger.proof.chains import KEY, KEY_BYTES, seal, seal_all
from tests.ledger.proof.superuser import EDITS, Expected, Scene, superuser
from tests.torture.server import CrashingServer, server_directory

SET = 1000
SMALL, SMALL_SET = 1000, 100
# Those that touch one entry, so that many of them can be done to the same books.
TOGETHER = (
    "a field of an entry", "a field of a posting", "an amount, on both sides", "an entry deleted",
    "an entry deleted with its seal", "a posting deleted", "a posting inserted", "two entries change their ids",
    "two seals change places", "a column of a seal", "a seal deleted",
)  # fmt: skip
_HEAD = """\
# What a superuser does to sealed books

Printed by `python -m tests.ledger.proof --edits {edits} --entries {entries}`, which `make proof-long` runs, beside
other work on a machine of two cores. A superuser with the triggers off edits the books at random; then they are
exported, and the verifier says what it sees, from the export and the public key. An edit counts as named where a
finding is of its kind and about its entry (its position, where the entry is gone with its seal; its number, for a
checkpoint), with the name of the field where one was changed.
"""


async def main(given: Sequence[str]) -> int:
    """The exit code: 0 where everything was named."""
    parser = argparse.ArgumentParser(prog="python -m tests.ledger.proof")
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--report", type=Path, help="write the page here, in Markdown")
    asked, out = parser.parse_args(given), Console(highlight=False)
    async with server_directory() as directory:
        server = CrashingServer(directory, settings={})
        try:
            database = await asyncio.to_thread((await server.start()).clone)
            engine = connect(database.app, pool_size=5, application_name="tests")
            alone, missed = await one_by_one(engine, database, asked.edits)
            out.print(f"one by one: {sum(alone.values()):,}, missed {missed}", markup=False)
            books = await open_books(engine)
            costs = await large_books(books, database, asked.entries)
            together = await all_together(books, database, asked.edits)
            await engine.dispose()
        finally:
            await server.stop()
    head = _HEAD.format(edits=f"{asked.edits}", entries=f"{asked.entries}")
    page = "\n".join([head, *_edits_told(alone, missed), *together[1], *costs])
    out.print(page, soft_wrap=True, markup=False)
    if asked.report:
        asked.report.write_text(f"{page}\n")
    return 1 if missed or together[0] else 0


async def one_by_one(engine: AsyncEngine, database: Database, edits: int) -> tuple[Counter[str], list[str]]:
    """Each edit on books that nobody touched; how many of each, and those that were not named."""
    books = await open_books(engine)
    for now in (NOW, NOW + timedelta(hours=1)):
        await books.post_all([transfer(BANK, WALLET, amount) for amount in range(1, SMALL // 2 + 1)], now=now)
        await seal_all(books, limit=SMALL_SET, now=now)
    done, missed, names = Counter[str](), list[str](), list(EDITS)
    async with superuser(database, books.ledger, random.Random("edits")) as scene:
        for number in range(edits):
            name = names[number % len(names)]
            await scene.driver.execute("SAVEPOINT before")
            expected = await EDITS[name](scene)
            if not expected.is_met(await scene.verified()):
                missed.append(f"{name} ({number})")
            done[name] += 1
            await scene.driver.execute("ROLLBACK TO before")
    return done, missed


async def all_together(books: Books, database: Database, edits: int) -> tuple[int, list[str]]:
    """Many edits of the same books, each of entries of its own; how many were not named, and lines that say so."""
    async with superuser(database, books.ledger, random.Random("together")) as scene:
        free = list(scene.seals)
        scene.chance.shuffle(free)
        expected: list[Expected] = []
        for number in range(edits):
            own = Scene(scene.driver, scene.ledger, [free.pop(), free.pop()], scene.chance)
            expected.append(await EDITS[TOGETHER[number % len(TOGETHER)]](own))
        began = time.monotonic()
        verifier = await scene.verified()
        seconds = time.monotonic() - began
    # Where others were at the same set, a broken signature is not told from a forged one.
    missed = sum(not replace(one, kinds={*one.kinds, Kind.CHANGED}).is_met(verifier) for one in expected)
    told = f"{edits:,} of the same {len(scene.seals):,} entries at once: {edits - missed:,} named, in {seconds:,.0f} s."
    return missed, [told, ""]


async def large_books(books: Books, database: Database, entries: int) -> list[str]:
    """What posting, sealing, export and verifier take."""
    rows = [("", "seconds", "entries a second", "memory at most")]
    count = entries // 4

    async def post(number: int) -> None:
        for start in range(0, number, SET):
            few = range(start, min(start + SET, number))
            await books.post_all([transfer(BANK, (WALLET, OTHER_WALLET)[one % 2], one + 1) for one in few])

    with psycopg.connect(conninfo(database.owner), autocommit=True) as owner:
        owner.execute("DROP INDEX journal_entries_by_transaction")
        rows.append(await _timed("posting, without the index that sealing needs", count, lambda: post(count)))
        owner.execute("CREATE INDEX journal_entries_by_transaction ON journal_entries (xid)")
        owner.execute("ANALYZE")
    rows.append(await _timed("posting, with it", count, lambda: post(count)))
    rows.append(await _timed("posting, while that is sealed beside it", count, lambda: _beside(books, post(count))))
    await post(entries - 3 * count)
    left = (await seal(books, limit=SET)).count
    rows.append(await _timed("sealing what is left", 0, lambda: seal_all(books, limit=SET)))
    sizes = _sizes(database)
    rows += _commands(books.ledger.code, database, entries)
    assert left, "something was left to seal"
    table = [f"| {' | '.join(row)} |" for row in rows]
    return [table[0], "|---|---:|---:|---:|", *table[1:], "", *sizes]


async def _beside(books: Books, posting: Awaitable[None]) -> None:
    sealing = asyncio.create_task(seal_all(books, limit=SET))
    await posting
    sealing.cancel()
    await asyncio.wait([sealing])


async def _timed(what: str, count: int, work: Callable[[], Awaitable[object]]) -> tuple[str, str, str, str]:
    began = time.monotonic()
    done = await work()
    seconds = time.monotonic() - began
    number = count or (done if isinstance(done, int) else 0)
    return (f"{what}: {number:,}", f"{seconds:,.1f}", f"{number / seconds:,.0f}", "")


def _sizes(database: Database) -> list[str]:
    query = "SELECT count(*), pg_total_relation_size('entry_seals') FROM entry_seals"
    with psycopg.connect(conninfo(database.admin)) as admin:
        row = admin.execute(query).fetchone()
    assert row is not None
    return [f"A seal takes {row[1] // row[0]:,} bytes with its indexes."]


def _commands(code: str, database: Database, entries: int) -> list[tuple[str, str, str, str]]:
    """The commands as people run them, each in a process of its own."""
    url = database.app.render_as_string(hide_password=False)
    settings = {"database_url": url, "secret": bytes(32).hex(), "seal_key": KEY_BYTES.hex()}
    with tempfile.TemporaryDirectory() as directory:
        export = Path(directory) / "proof.jsonl"
        rows = [_measured("daftari proof export", entries, settings, "export", code, "--out", str(export))]
        size = f"{export.stat().st_size / 1e6:,.0f} MB"
        verified = _measured("daftari proof verify", entries, {}, "verify", str(export), "--key", KEY.public.text)
    return [(f"{rows[0][0]}, {size}", *rows[0][1:]), verified]


def _measured(what: str, entries: int, settings: Mapping[str, str], *arguments: str) -> tuple[str, str, str, str]:
    began = time.monotonic()
    command = [str(Path(sys.executable).parent / "daftari"), "proof", *arguments]
    process = subprocess.Popen(command, env=environment(settings), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    assert os.waitstatus_to_exitcode(status) == 0, f"{what} failed"
    return (f"`{what}`", f"{seconds:,.1f}", f"{entries / seconds:,.0f}", f"{usage.ru_maxrss / 1024:,.0f} MiB")


def _edits_told(done: Counter[str], missed: Sequence[str]) -> list[str]:
    gone = Counter(one.rpartition(" (")[0] for one in missed)
    rows = [f"| {name} | {count:,} | {count - gone[name]:,} |" for name, count in done.items()]
    total = f"| **together** | {done.total():,} | {done.total() - len(missed):,} |"
    title = f"One at a time, on {SMALL:,} entries in sets of {SMALL_SET}:"
    return [title, "", "| edit | done | named |", "|---|---:|---:|", *rows, total, ""]


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
