"""The embedded PostgreSQL: runs `postgres` as our child on a directory of its own, and brings it back when it dies.

It listens on a Unix socket only, writes through to disk, and stops with the process that started it. It creates no
roles and no tables: provision.py and the migrations do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from sqlalchemy import URL

from ledger import embedded_directory as place
from ledger.embedded_binaries import major_version, usable_binaries
from ledger.embedded_directory import SUPERUSER, Address
from ledger.embedded_process import ServerUser, launch, server_user
from ledger.errors import EmbeddedUnavailable

_LOG_BYTES_MAX = 10_000_000
_POLL_SECONDS = 0.01
_WATCH_SECONDS = 0.05
_STOP_SECONDS_MAX = 60.0
_SHARED_MEMORY_SECONDS_MAX = 15.0
_BACKOFF_SECONDS_MIN, _BACKOFF_SECONDS_MAX = 0.1, 5.0

# Given on the command line, so that neither ALTER SYSTEM nor an edited file can undo them.
_SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    # A statement's error goes to its client alone: it may quote a phone number. The log keeps starts, stops, crashes.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class Restarted:
    """The server had died with `exit_code` (negative: the signal's number) and answers again after `tries` starts."""

    exit_code: int
    tries: int


@dataclass(frozen=True, slots=True)
class RestartFailed:
    """The server died and did not come back; another start follows in `retry_seconds`."""

    message: str
    retry_seconds: float


Event: TypeAlias = Restarted | RestartFailed


class EmbeddedServer:
    """One PostgreSQL on one directory.

    `directory` is the server's own and is made when missing; `binaries` is the `bin` directory to use, or None to look
    for one; `settings` overrule ours. Call start() and supervise() from the main thread: Linux stops the server when
    the *thread* that started it ends.
    """

    def __init__(
        self, directory: Path, *, binaries: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._directory = directory.resolve()
        self._cluster = self._directory / "cluster"
        self._binaries_wanted = binaries
        self._binaries = Path()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._user = ServerUser(0, 0, "/")
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._address: Address | None = None
        self._stopping = threading.Event()

    @property
    def directory(self) -> Path:
        """The server's directory, symbolic links resolved."""
        return self._directory

    @property
    def running(self) -> bool:
        """Whether our child lives. It may be recovering still: start() and a Restarted event tell that it answers."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int | None:
        """The postmaster's process id; None when stopped."""
        return self._process.pid if self._process else None

    @property
    def address(self) -> Address:
        """How to connect, and every role's password. Raises EmbeddedUnavailable when stopped."""
        if self._address is None:
            raise EmbeddedUnavailable("the embedded PostgreSQL is not running: start it first")
        return self._address

    def url(self, *, role: str = SUPERUSER, database: str = "postgres") -> URL:
        """address.url(). The default is the superuser, for provisioning alone."""
        return self.address.url(role=role, database=database)

    async def start(self) -> None:
        """Returns once the server answers, about 1 s on an empty directory and 0.1 s on another.

        Raises EmbeddedUnavailable, saying what to do.
        """
        self._stopping.clear()
        place.prepare(self._directory)
        self._lock = place.take_lock(self._directory)
        try:
            place.sign_lock(self._lock)
            self._user = server_user(self._cluster)
            self._address = place.settle_address(self._directory, self._user)
            self._binaries = await usable_binaries(self._binaries_wanted, directory=self._directory, user=self._user)
            await self._ensure_cluster()
            await place.clear_leftover(self._cluster)
            await self._run()
        except BaseException:
            self._release()
            raise

    async def stop(self) -> None:
        """Fast shutdown: what is committed is on disk, open transactions are rolled back. Does nothing when stopped."""
        self._stopping.set()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            await self._ended(self._process, deadline=time.monotonic() + _STOP_SECONDS_MAX)
        self._release()

    async def _ended(self, process: subprocess.Popen[bytes], *, deadline: float) -> None:
        while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110  (a process is no Event)
            await asyncio.sleep(_POLL_SECONDS)

    async def supervise(self, *, report: Callable[[Event], None]) -> None:
        """Brings the server back whenever it dies, telling `report` each time, until stop() or cancellation."""
        while not self._stopping.is_set():
            process = self._process
            if process is None or process.poll() is None:
                await asyncio.sleep(_WATCH_SECONDS)
            else:
                await self._revive(process.returncode, report)

    async def _revive(self, exit_code: int, report: Callable[[Event], None]) -> None:
        tries, backoff_seconds = 1, _BACKOFF_SECONDS_MIN
        while not self._stopping.is_set():
            try:
                await self._run()
            except EmbeddedUnavailable as error:
                if self._stopping.is_set():
                    return
                report(RestartFailed(error.message, backoff_seconds))
                await asyncio.sleep(backoff_seconds)
                tries, backoff_seconds = tries + 1, min(2 * backoff_seconds, _BACKOFF_SECONDS_MAX)
            else:
                report(Restarted(exit_code, tries))
                return

    async def _ensure_cluster(self) -> None:
        major = await major_version(self._binaries, user=self._user)
        if not self._cluster.exists():
            initdb = self._binaries / "initdb"
            await place.initialise(initdb, directory=self._directory, user=self._user, address=self.address)
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        if made_by != str(major):
            raise EmbeddedUnavailable(
                f"the data in {self._cluster} is PostgreSQL {made_by}'s and the programs in {self._binaries} are "
                f"PostgreSQL {major}'s: set DAFTARI_POSTGRES_BIN to the bin directory of a PostgreSQL {made_by}, or "
                "move the data over with pg_upgrade"
            )

    async def _run(self) -> None:
        """Starts `postgres` and waits until it answers, however long its recovery takes."""
        deadline = time.monotonic() + _SHARED_MEMORY_SECONDS_MAX
        while True:
            log_size = self._spawn()
            if await self._answers():
                return
            message = self._log_since(log_size)
            # The backends of a killed postmaster hold its shared memory until they notice, usually at once.
            if self._stopping.is_set() or "still in use" not in message or time.monotonic() > deadline:
                raise EmbeddedUnavailable(f"the embedded PostgreSQL did not start: {message}")
            await asyncio.sleep(_WATCH_SECONDS)

    def _spawn(self) -> int:
        """Starts the process and returns the size its log had before."""
        settings = {**self._settings, "unix_socket_directories": str(self.address.socket_directory)}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _open_log(self._directory / "server.log") as log:
            command = [str(self._binaries / "postgres"), "-D", str(self._cluster), *arguments]
            size = os.fstat(log.fileno()).st_size
            self._process = launch(command, self._user, output=log)
        return size

    async def _answers(self) -> bool:
        process = self._process
        while process is not None and process.poll() is None:
            if place.is_ready(self._cluster, process.pid):
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    def _log_since(self, size: int) -> str:
        with (self._directory / "server.log").open("rb") as log:
            log.seek(size)
            return " | ".join(log.read().decode(errors="replace").splitlines()[-5:])

    def _release(self) -> None:
        """Ends at once what still runs, and leaves the directory to the next supervisor."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=_STOP_SECONDS_MAX)
        address, self._address = self._address, None
        if address is not None:
            place.remove_socket_directory(address, self._directory)
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
