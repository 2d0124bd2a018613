"""What every benchmark starts: a directory for its PostgreSQL, and `daftari` commands as processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 30.0
_ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def own_directory() -> Iterator[Path]:
    """A directory for the database, through which the user that PostgreSQL runs as can pass."""
    with tempfile.TemporaryDirectory(prefix="daftari-benchmarks-") as name:
        place = Path(name)
        place.chmod(0o711)
        yield place


@asynccontextmanager
async def serving(role: str, *, settings: Mapping[str, str], told_by: str) -> AsyncIterator[tuple[Process, str]]:
    """A role of the service as an operator starts it, with these settings ({"secret": ...} is DAFTARI_SECRET), and what
    follows the first word of the line that begins with `told_by`: an address."""
    command = ("serve", "--role", role)
    async with daftari(command, settings=settings, told_by=told_by) as (server, line):
        yield server, line.split()[1]


@asynccontextmanager
async def daftari(
    command: Sequence[str], *, settings: Mapping[str, str], told_by: str
) -> AsyncIterator[tuple[Process, str]]:
    """A `daftari` command as a process with these settings, and the line of its output that begins with `told_by`."""
    program = (sys.executable, "-m", "api.cli", *command)
    server = await asyncio.create_subprocess_exec(*program, stdout=PIPE, env=environment_of(settings), cwd=_ROOT)
    try:
        yield server, await asyncio.wait_for(_announced(server, told_by), START_SECONDS_MAX)
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(signal.SIGTERM)
        await asyncio.wait_for(server.communicate(), STOP_SECONDS_MAX)


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Of a `daftari` command with these settings."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "DAFTARI_LOG_LEVEL": "WARNING",
        **{f"DAFTARI_{name.upper()}": value for name, value in settings.items()},
    }


async def _announced(server: Process, told_by: str) -> str:
    assert server.stdout is not None
    while line := (await server.stdout.readline()).decode():
        if line.startswith(told_by):
            return line
    raise RuntimeError("the process ended before it said that it is up")
