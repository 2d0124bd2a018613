"""`daftari demo`: ten payouts and a loan through everything, the month closed, a promotion, the books held against the
rails. Exits 0 only if they agree."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from api import logs
from api.demonstration import run_demonstration
from api.settings import Settings
from api.staging import open_stage
from api.tables import console
from api.wiring import WALL_CLOCK

_REPORT = Path("daftari-demo-close.pdf")
# Short, so that a silent rail is called unknown while somebody watches.
_HASTE = {
    "grpc_listen": "127.0.0.1:0",
    "http_listen": "127.0.0.1:0",
    "public_url": "",
    "worker_poll_seconds": 0.05,
    "result_deadline_seconds": 3.0,
    "rail_timeout_seconds": 2.0,
    "query_schedule_seconds": [0.5, 2.0],
    "query_patience_seconds": 1.0,
    "receipt_patience_seconds": 1.0,
    "promotion_look_seconds": 0.2,
    "clock_skew_seconds_max": 1e9,  # the story's clock goes on by days
}


def demo(
    report: Annotated[Path, typer.Option(help="Where the report of the close goes: .pdf, .xlsx or .csv")] = _REPORT,
) -> None:
    """Starts everything on books of its own, pays ten times, lends once, closes the month, gives codes away, and prints
    what a finance person wants to see."""
    logs.configure("ERROR")
    with tempfile.TemporaryDirectory(prefix="daftari-demo-") as home:
        directory = Path(home)
        directory.chmod(0o711)  # as root, PostgreSQL runs as another user and must pass through
        agrees = uvloop.run(_demo(directory, report))
    if not agrees:
        raise typer.Exit(1)


async def _demo(directory: Path, report: Path) -> bool:
    out = console()
    settings = Settings().model_copy(update={**_HASTE, "data_directory": directory, "database_url": None})
    out.print("Starting PostgreSQL, the sandbox rail, the gRPC services, the callback edge and the worker ...")
    now = WALL_CLOCK()
    story = story_of(now)
    out.print(f"The story is of {story:%d %B %Y}, for a month is closed only once it is over.")
    async with open_stage(settings, certificate_directory=directory, ahead=story - now) as stage:
        return await run_demonstration(stage, out, close_report=report)


def story_of(now: datetime) -> datetime:
    """Around noon, where the books are, on the last day of the month before: in no zone of theirs it is another date,
    and no run goes on past midnight."""
    return (now.replace(day=1) - timedelta(days=1)).replace(hour=9, minute=0)
