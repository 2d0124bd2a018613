"""python -m tests.ledger.loans: random lives of loans through the database, with a table of what came.

python -m tests.ledger.loans --lives 10000 --report docs/loans.md
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console

from tests.ledger.loans.many_lives import Told, live_here, sum_of
from tests.ledger.loans.test_random_lives import PER_LEDGER
from tests.torture.server import CrashingServer, server_directory

# Nothing is ever crashed here, and the server is gone at the end.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_HEAD = """\
# Loans by chance

Printed by `python -m tests.ledger.loans --lives {lives} --report docs/loans.md`; `make loans-long` lives
10,000. Each life
is one loan of a product of any kind, through PostgreSQL and the doors that the product itself uses: paid out, at times
after an attempt that failed, then days, payments of whole shillings and of odd cents, payments that go back, repayments
from a wallet, fees, settlement, write-off, in an order that its seed decides; then it is paid off. After every {batch}
lives the database is asked for three things: an entry of a repayment whose parts are not the payment, an account of an
ended loan that is not zero (what is written off stays pursued), money left on the accounts that only pass it on.
{failed}
"""


async def main(given: Sequence[str]) -> int:
    """The exit code: 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.ledger.loans")
    parser.add_argument("--lives", type=int, default=10_000, help="how many loans")
    parser.add_argument("--jobs", type=int, default=2, help="in how many processes")
    parser.add_argument("--report", type=Path, help="write the table here, in Markdown")
    asked = parser.parse_args(given)
    out, began = Console(highlight=False), time.monotonic()
    shares = [
        range(asked.lives * job // asked.jobs, asked.lives * (job + 1) // asked.jobs) for job in range(asked.jobs)
    ]
    async with server_directory() as directory:
        server = CrashingServer(directory, settings=_SETTINGS)
        try:
            database = await asyncio.to_thread((await server.start()).clone)
            url = database.app.render_as_string(hide_password=False)
            with ProcessPoolExecutor(asked.jobs, mp_context=multiprocessing.get_context("spawn")) as processes:
                loop = asyncio.get_running_loop()
                lived = [loop.run_in_executor(processes, live_here, url, seeds) for seeds in shares]
                told = sum_of(await asyncio.gather(*lived))
        finally:
            await server.stop()
    page = page_of(told, lives=asked.lives, seconds=time.monotonic() - began)
    out.print(page, soft_wrap=True, markup=False)
    if asked.report:
        asked.report.write_text(page)
    return 1 if told.faults else 0


def page_of(told: Told, *, lives: int, seconds: float) -> str:
    """As Markdown."""
    failed = f"Wrong: {'; '.join(told.faults) or 'nothing'}. It took {seconds:,.0f} s beside other work."
    rows = [("lives", told.lives), ("journal entries", told.entries)]
    rows += [(f"ended {state}", count) for state, count in sorted(told.states.items())]
    rows += [(f"event {event}", count) for event, count in sorted(told.events.items())]
    table = "\n".join(["| what | how often |", "|---|---:|", *(f"| {name} | {count:,} |" for name, count in rows)])
    return f"{_HEAD.format(lives=lives, batch=PER_LEDGER, failed=failed)}\n{table}\n"


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
