"""Real `daftari` processes for tests: started with settings of their own, awaited, told to stop, killed.

Signals nothing that it did not start. Nothing waits longer than SECONDS_MAX, which is a net and no expectation.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fix_canary import WATCH

SECONDS_MAX = 120
COMMAND = (sys.executable, "-m", "api.cli")

# The same command in two steps: it loads, and runs when a line comes (none comes from a test that died).
_WHEN_TOLD = "import sys; from api.cli import main; sys.stdin.readline() and main()"

# Loopback ports below those the system hands out by itself: while its process is dead, nobody is given one of them.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


def daftari(*arguments: str, settings: Mapping[str, str], typed: str = "") -> Ended:
    """Runs `daftari` with these arguments to its end; `typed` is its standard input."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(settings),
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    WATCH.hear_command(arguments, out=done.stdout, err=done.stderr)
    return Ended(done.returncode, done.stdout, done.stderr)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our own environment, but of Daftari's settings only those given: {"secret": ...} becomes DAFTARI_SECRET."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DAFTARI_")}
    return ours | {f"DAFTARI_{name.upper()}": value for name, value in settings.items()}


def free_address() -> str:
    """HOST:PORT that a process can listen on, die, and have again."""
    for port in random.SystemRandom().sample(_PORTS, k=100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return f"127.0.0.1:{port}"
    raise AssertionError("no free port")


class LongRunning:
    """A `daftari` command that runs until it is stopped, and can be started again: one process at a time.

    Its standard error goes to `log`. `first_line` is how the line begins that says it is up.
    """

    def __init__(self, *arguments: str, settings: Mapping[str, str], log: Path, first_line: str) -> None:
        self._arguments = arguments
        self._environment = environment(settings)
        self._log = log
        self._first_line = first_line
        self._process: subprocess.Popen[str] | None = None
        self._standby: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process that runs."""
        assert self._process is not None, "it has not been started"
        return self._process

    async def start(self) -> str:
        """Starts a process; returns the line by which it says that it is up."""
        self._process, self._standby = self._standby or self._launch(), None
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.close()
        line = await self.read_line()
        while not line.startswith(self._first_line):
            assert line, f"{self._arguments} ended: {self._log.read_text()[-2000:]}"
            line = await self.read_line()
        return line

    def prepare(self) -> None:
        """Loads the program that the next start will run, while the present process works: start-up is mostly that."""
        self._standby = self._launch()

    def _launch(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _WHEN_TOLD, *self._arguments],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    async def read_line(self) -> str:
        """The next line of its standard output; "" once it has ended."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            line = await asyncio.to_thread(self.process.stdout.readline)
        WATCH.hear_command(self._arguments, out=line, err="")
        return line

    async def kill(self) -> None:
        """kill -9, and the end of it awaited."""
        self.process.kill()
        assert await self.ended() == -signal.SIGKILL

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.ask_to_stop()
        return await self.ended()

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        code = await asyncio.to_thread(self.process.wait, SECONDS_MAX)
        assert self.process.stdout is not None
        self.process.stdout.close()
        WATCH.hear_command(self._arguments, out="", err=self._log.read_text())
        return code

    def abandon(self) -> None:
        """Ends what is left of it."""
        for process in (self._process, self._standby):
            if process is not None:
                process.kill()
                with process:  # closes its pipes and waits
                    pass
        WATCH.hear_command(self._arguments, out="", err=self._log.read_text() if self._log.exists() else "")


@asynccontextmanager
async def running(*processes: LongRunning) -> AsyncIterator[None]:
    """The processes are up during the block; none is left behind."""
    try:
        await asyncio.gather(*(process.start() for process in processes))
        yield
    finally:
        for process in processes:
            process.abandon()
