"""One of the processes that live histories side by side: an order on standard input, a line of JSON per history."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import uvloop
from sqlalchemy import make_url

from ledger.provision import Passwords
from tests.fix_database import Postgres
from tests.simulation.options import Kind, expand
from tests.simulation.run import live, open_arena
from tests.simulation.tally import told


async def work(order: dict[str, Any]) -> None:
    """Lives the seeds of an order through and prints each as JSON. With a bug, only up to the first that catches it."""
    passwords = Passwords(**order["passwords"])
    # The number keeps the jobs' databases apart: each clones the template under a name of its own.
    postgres = Postgres(make_url(order["admin"]), passwords, order["template"], iter(range(order["job"], 10**9, 1000)))
    # What is loaded by now stays, and what a history leaves is not looked through every few hundred objects.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    async with open_arena(postgres) as arena:
        for bug in order["bugs"] or [""]:
            for seed in order["seeds"]:
                options = expand(seed, calm=order["calm"], without=order["without"], kind=Kind(order["kind"]))
                outcome = await live(arena, options, bug=bug)
                sys.stdout.write(json.dumps({"bug": bug, **told(outcome)}) + "\n")
                sys.stdout.flush()
                if bug and outcome.violations:
                    break


if __name__ == "__main__":
    uvloop.run(work(json.load(sys.stdin)))
