"""The embedded PostgreSQL's directory: its lock, its key, its socket, its cluster, and what a dead server left there.

`lock` and `server.json` are the supervisor's; `cluster` (PostgreSQL's data) and `socket` belong to the server's user.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sqlalchemy import URL

from ledger.embedded_process import ServerUser, closed_parent, launch, server_user
from ledger.errors import EmbeddedUnavailable

SUPERUSER = "postgres"
_ELSEWHERE = Path("/var/lib/daftari")
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES_MAX = 103  # sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included
_POLL_SECONDS = 0.02
_LEFTOVER_SECONDS_MAX = 15.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running embedded server is reached. Every role's password is made from the key, which is in no repr."""

    socket_directory: Path
    key: str = field(repr=False)

    def password(self, role: str) -> str:
        """The role's password, the same on every start of this directory."""
        return hmac.new(self.key.encode(), role.encode(), hashlib.sha256).hexdigest()

    def url(self, *, role: str, database: str) -> URL:
        """The URL of `database` for `role`; its str() masks the password."""
        return URL.create(
            "postgresql+psycopg",
            username=role,
            password=self.password(role),
            database=database,
            query={"host": str(self.socket_directory)},
        )


def reachable_directory(preferred: Path) -> Path:
    """`preferred`; but one below /var/lib/daftari, always the same, when we are root and the user that PostgreSQL will
    run as cannot get there (a checkout below /root)."""
    preferred = preferred.absolute()
    if os.geteuid() != 0 or closed_parent(preferred, server_user(preferred / "cluster")) is None:
        return preferred
    return _ELSEWHERE / hashlib.sha256(str(preferred).encode()).hexdigest()[:12]


def running_address(directory: Path) -> Address | None:
    """The address of the server that some process supervises on `directory`, or None when nobody does."""
    if not (directory / "lock").exists():
        return None
    try:
        take_lock(directory).close()
    except EmbeddedUnavailable:
        return _stored_address(directory)
    return None


def prepare(directory: Path) -> None:
    """Makes the directory ours alone; as root, the server's user must be able to pass through it."""
    mode = 0o711 if os.geteuid() == 0 else 0o700
    missing = [parent for parent in directory.parents if not parent.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for parent in missing:  # whatever the umask says
            parent.chmod(mode)
        owner = directory.stat().st_uid
    except OSError as error:
        raise EmbeddedUnavailable(
            f"the data directory {directory} cannot be used ({error.strerror}): choose another one"
        ) from error
    if owner != os.geteuid():  # not even as root: its owner could make us give away files by symbolic links
        raise EmbeddedUnavailable(
            f"the data directory {directory} belongs to user {owner}: start as that user, or choose another one"
        )
    directory.chmod(mode)


def take_lock(directory: Path) -> IO[str]:
    """Held until closed or until this process ends, however it ends. Raises EmbeddedUnavailable when it is taken."""
    lock = os.fdopen(os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = lock.read().strip()
        lock.close()
        raise EmbeddedUnavailable(
            f"process {holder} already runs a PostgreSQL in {directory}: stop that process, choose another data "
            "directory, or set DAFTARI_DATABASE_URL"
        ) from error
    return lock


def sign_lock(lock: IO[str]) -> None:
    """Writes our process id into the lock, for the message another process will show."""
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def settle_address(directory: Path, user: ServerUser) -> Address:
    """The key of an earlier start or a fresh one, and a socket directory only `user` and root can enter."""
    earlier = _stored_address(directory)
    if earlier is None and (directory / "cluster").exists():
        raise EmbeddedUnavailable(
            f"{directory / 'server.json'}, the key to the data beside it, is missing: restore it, or choose another "
            "data directory"
        )
    key = earlier.key if earlier else secrets.token_hex(32)
    address = Address(_socket_directory(directory, user, earlier), key)
    _write_private(
        directory / "server.json", json.dumps({"key": key, "socket_directory": str(address.socket_directory)})
    )
    return address


def remove_socket_directory(address: Address, directory: Path) -> None:
    """Only when it lies outside of `directory`."""
    if address.socket_directory.parent != directory:
        shutil.rmtree(address.socket_directory, ignore_errors=True)


async def initialise(initdb: Path, *, directory: Path, user: ServerUser, address: Address) -> None:
    """Makes `directory`/cluster. Under another name first: one half made when we died is never taken for whole."""
    partial, password_file = directory / "cluster.new", directory / "cluster.password"
    shutil.rmtree(partial, ignore_errors=True)
    _make_private(partial, user)
    _write_private(password_file, address.password(SUPERUSER))
    _give(password_file, user)
    options = ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    command = [str(initdb), "-D", str(partial), f"--username={SUPERUSER}", f"--pwfile={password_file}", *options]
    try:
        process = launch(command, user, output=subprocess.PIPE)
        output, _ = await asyncio.to_thread(process.communicate)
    finally:
        password_file.unlink()
    if process.returncode != 0:
        raise EmbeddedUnavailable(_initdb_failed(partial, user, output.decode(errors="replace")))
    partial.rename(directory / "cluster")
    _flush(directory)


def _initdb_failed(partial: Path, user: ServerUser, output: str) -> str:
    closed = closed_parent(partial, user)
    if closed:
        return (
            f"PostgreSQL runs as user {user.uid}, who cannot pass through {closed}: choose a data directory that user "
            "can reach, or start as an ordinary user"
        )
    return f"initdb could not make {partial.parent / 'cluster'}: {' | '.join(output.splitlines()[-3:])}"


def is_ready(cluster: Path, process_id: int) -> bool:
    """Whether the server of that process id takes connections: the eighth line of postmaster.pid says so."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0].strip() == str(process_id) and lines[7].strip() == "ready"


async def clear_leftover(cluster: Path) -> None:
    """Waits for the server of a dead supervisor to end, and sees to it that a pid file nobody owns stops no start.

    Called with the lock held, so no supervisor lives. Raises EmbeddedUnavailable when a server stays.
    """
    deadline = time.monotonic() + _LEFTOVER_SECONDS_MAX
    process_id = _recorded_process(cluster)
    while process_id is not None and _is_postgres(process_id):
        if time.monotonic() > deadline:
            raise EmbeddedUnavailable(
                f"process {process_id}, which this service did not start, serves {cluster}: stop it with "
                f"`kill -INT {process_id}`, or choose another data directory"
            )
        if sys.platform != "linux":  # no parent-death signal there
            os.kill(process_id, signal.SIGINT)
        await asyncio.sleep(_POLL_SECONDS)
        process_id = _recorded_process(cluster)
    if process_id is not None:
        _disown(cluster / "postmaster.pid")


def _disown(pid_file: Path) -> None:
    """PostgreSQL refuses to start when an unrelated process got the recorded id meanwhile, as after a reboot. It takes
    its parent's id for stale, and that is us. Removing the file would also remove the name of the shared memory by
    which it knows that backends of the dead server still live."""
    try:
        descriptor = os.open(pid_file, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # its server has just finished
        return
    with os.fdopen(descriptor, "r+") as file:
        lines = file.read().splitlines(keepends=True)
        file.seek(0)
        file.write("".join([f"{os.getpid()}\n", *lines[1:]]))
        file.truncate()


def _recorded_process(cluster: Path) -> int | None:
    try:
        first_line = (cluster / "postmaster.pid").read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first_line) if first_line.isdigit() else 0


def _is_postgres(process_id: int) -> bool:
    """Whether a process of that id lives and is PostgreSQL's, by its command line."""
    if sys.platform == "linux":
        try:
            program = os.fsdecode(Path(f"/proc/{process_id}/cmdline").read_bytes().partition(b"\0")[0])
        except OSError:
            return False
    else:
        command = ["/bin/ps", "-o", "comm=", "-p", str(process_id)]
        # A fixed program and a number, no shell.
        program = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return Path(program).name.startswith("postgres")


def _stored_address(directory: Path) -> Address | None:
    try:
        stored = json.loads((directory / "server.json").read_text())
    except FileNotFoundError:
        return None
    return Address(Path(stored["socket_directory"]), stored["key"])


def _socket_directory(directory: Path, user: ServerUser, earlier: Address | None) -> Path:
    if earlier is not None:
        remove_socket_directory(earlier, directory)
    near = directory / "socket"
    if len(os.fsencode(near / _SOCKET)) > _SOCKET_PATH_BYTES_MAX:
        near = Path(tempfile.mkdtemp(prefix="daftari-", dir="/tmp"))  # $TMPDIR may be long as well
    _make_private(near, user)
    return near


def _make_private(directory: Path, user: ServerUser) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    _give(directory, user)


def _give(path: Path, user: ServerUser) -> None:
    if os.geteuid() == 0:
        os.chown(path, user.uid, user.gid)


def _flush(directory: Path) -> None:
    """Makes a rename in `directory` outlive a crash of the machine."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_private(path: Path, text: str) -> None:
    """Replaces the file in one step; nobody but its owner can read it at any moment."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _flush(path.parent)
