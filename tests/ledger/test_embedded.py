"""The embedded server's life: it keeps what it acknowledged, comes back when killed, and stops with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ledger.database import conninfo
from ledger.embedded import EmbeddedServer, Event, Restarted, RestartFailed
from ledger.embedded_binaries import find_binaries
from ledger.embedded_directory import running_address
from tests.fix_embedded import ask, run, until

ROOT = Path(__file__).parents[2]
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# A program of its own: starts a server, writes one row, tells the server's process id, and waits for the end of input.
PARENT = """
import asyncio, sys
from pathlib import Path
import psycopg
from ledger.database import conninfo
from ledger.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    with psycopg.connect(conninfo(server.url()), autocommit=True) as session:
        session.execute("CREATE TABLE IF NOT EXISTS acknowledged (number bigint PRIMARY KEY)")
        session.execute("INSERT INTO acknowledged SELECT count(*) FROM acknowledged")
    print(server.process_id, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Parent:
    """A process that runs PARENT, and the id of its server."""

    process: subprocess.Popen[str]
    server_id: int

    def finish(self) -> int:
        """Lets it stop its server and end; its exit code."""
        self.process.communicate(input="")
        return self.process.returncode

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()


def parent(data: Path, *, python: str = sys.executable, user: int | None = None, path: Sequence[Path] = ()) -> Parent:
    """Starts PARENT on `data`, as `user` if one is given, and waits for its server."""
    process = subprocess.Popen(
        [python, "-c", PARENT, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PYTHONPATH": ":".join(map(str, [*path, ROOT])), "PATH": os.environ["PATH"]},
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    assert process.stdout is not None
    return Parent(process, int(process.stdout.readline()))


def python_for(user: int) -> str | None:
    """An interpreter of our version that `user` can execute: ours may lie below /root."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with contextlib.suppress(OSError):
            subprocess.run([candidate, "-c", ""], user=user, group=user, extra_groups=[], cwd="/", check=True)
            return candidate
    return None


def is_alive(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


def test_a_fresh_server_keeps_every_promise_of_its_settings(idle_server: EmbeddedServer) -> None:
    names = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "server_encoding", "timezone")

    values = [ask(idle_server, f"SELECT current_setting('{name}')") for name in (*names, "listen_addresses")]

    assert values == ["on", "on", "on", "on", "UTF8", "UTC", ""]


def test_a_connection_without_the_password_is_refused(idle_server: EmbeddedServer) -> None:
    guess = idle_server.url().set(password="guessed")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(conninfo(guess))


def test_only_its_owner_reads_the_key_the_data_or_the_socket(idle_server: EmbeddedServer) -> None:
    data = idle_server.directory

    files = {stat.S_IMODE((data / name).stat().st_mode) for name in ("server.json", "lock", "server.log")}
    directories = {stat.S_IMODE((data / name).stat().st_mode) for name in ("cluster", "socket")}

    assert (files, directories) == ({0o600}, {0o700})


def test_no_repr_shows_the_key_or_a_password(idle_server: EmbeddedServer) -> None:
    shown = repr(idle_server.address) + str(idle_server.url()) + repr(idle_server.url())

    assert idle_server.address.key not in shown
    assert idle_server.address.password("postgres") not in shown


async def test_data_and_passwords_outlive_a_restart(open_directory: Path) -> None:
    first = EmbeddedServer(open_directory)
    await first.start()
    run(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    password = first.address.password("daftari_app")
    await first.stop()

    second = EmbeddedServer(open_directory)
    await second.start()
    kept, same = ask(second, "SELECT answer FROM kept"), second.address.password("daftari_app")
    await second.stop()

    assert (kept, same) == ("42", password)
    assert not second.running


async def test_killed_five_times_it_comes_back_with_every_acknowledged_row(embedded_server: EmbeddedServer) -> None:
    run(embedded_server, "CREATE TABLE acknowledged (number bigint PRIMARY KEY)")
    events: asyncio.Queue[Event] = asyncio.Queue()
    supervision = asyncio.create_task(embedded_server.supervise(report=events.put_nowait))
    acknowledged: list[int] = []

    restarts = []
    for _ in range(5):
        await write_and_kill(embedded_server, acknowledged)
        restarts.append(await events.get())
    found = ask(embedded_server, f"SELECT count(*) FROM acknowledged WHERE number < {len(acknowledged)}")
    await embedded_server.stop()
    await supervision

    assert restarts == [Restarted(exit_code=-signal.SIGKILL, tries=1)] * 5
    assert int(found) == len(acknowledged)
    assert len(acknowledged) >= 100


async def write_and_kill(server: EmbeddedServer, acknowledged: list[int]) -> None:
    """Writes 20 rows, kills the postmaster, and goes on writing until its backend has gone too."""
    start = len(acknowledged)
    async with await psycopg.AsyncConnection.connect(conninfo(server.url()), autocommit=True) as session:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                if len(acknowledged) == start + 20:
                    os.kill(server.process_id or 0, signal.SIGKILL)
                # A row may have been written without our hearing of it: that one conflicts.
                row = "INSERT INTO acknowledged VALUES (%s) ON CONFLICT DO NOTHING"
                await session.execute(row, (len(acknowledged),))
                acknowledged.append(len(acknowledged))


async def test_a_restart_that_fails_is_reported_and_tried_again(
    embedded_server: EmbeddedServer, server_data: Path
) -> None:
    version = server_data / "cluster" / "PG_VERSION"
    hidden = version.with_name("PG_VERSION.hidden")
    events: list[Event] = []
    supervision = asyncio.create_task(embedded_server.supervise(report=events.append))

    version.rename(hidden)
    os.kill(embedded_server.process_id or 0, signal.SIGKILL)
    await until(lambda: len(events) >= 2)
    hidden.rename(version)
    await until(lambda: isinstance(events[-1], Restarted))
    await embedded_server.stop()
    await supervision

    *failures, last = events
    assert all(isinstance(failure, RestartFailed) and "not a valid data" in failure.message for failure in failures)
    assert last == Restarted(exit_code=-signal.SIGKILL, tries=len(events))


async def test_stopping_ends_the_supervision_and_leaves_nothing_running(embedded_server: EmbeddedServer) -> None:
    events: list[Event] = []
    supervision = asyncio.create_task(embedded_server.supervise(report=events.append))
    process_id = embedded_server.process_id or 0
    await asyncio.sleep(0)

    await embedded_server.stop()
    await supervision

    assert not is_alive(process_id)
    assert events == []


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
async def test_the_server_of_a_killed_parent_stops_and_its_successor_has_the_rows(server_data: Path) -> None:
    first = parent(server_data)
    first.kill()

    second = parent(server_data)  # at once: it waits for the orphan's shutdown
    await until(lambda: not is_alive(first.server_id))
    exit_code = second.finish()
    survivor = EmbeddedServer(server_data)
    await survivor.start()
    rows = ask(survivor, "SELECT count(*) FROM acknowledged")
    await survivor.stop()

    assert exit_code == 0
    assert not is_alive(second.server_id)
    assert rows == "2"


@as_root
def test_an_ordinary_user_runs_it_too(open_directory: Path) -> None:
    python = python_for(NOBODY)
    if python is None:
        pytest.skip("no interpreter that an ordinary user can execute")
    os.chown(open_directory, NOBODY, NOBODY)

    ordinary = parent(open_directory / "data", python=python, user=NOBODY, path=[Path(sysconfig.get_path("purelib"))])
    owner = Path(f"/proc/{ordinary.server_id}").stat().st_uid
    exit_code = ordinary.finish()

    assert owner == NOBODY
    assert exit_code == 0
    assert (open_directory / "data" / "cluster").stat().st_uid == NOBODY


@as_root
def test_as_root_programs_in_a_closed_place_are_copied(server_data: Path) -> None:
    closed = server_data.with_name("closed")
    closed.mkdir(mode=0o700)
    package = find_binaries(None).parents[1]
    for part in package.parent.glob(f"{package.name}*"):
        shutil.copytree(part, closed / part.name)

    process = parent(server_data, path=[closed])
    program = Path(f"/proc/{process.server_id}/exe").readlink()
    exit_code = process.finish()

    assert exit_code == 0
    assert program.is_relative_to(server_data)


def test_the_address_of_a_running_server_is_found_by_its_directory(idle_server: EmbeddedServer) -> None:
    found = running_address(idle_server.directory)

    assert found == idle_server.address


def test_no_address_is_found_where_no_server_runs(server_data: Path, open_directory: Path) -> None:
    found = [running_address(server_data), running_address(open_directory)]

    assert found == [None, None]


async def test_a_pid_file_whose_number_went_to_another_process_stops_no_start(server_data: Path) -> None:
    server = EmbeddedServer(server_data)
    pid_file = server_data / "cluster" / "postmaster.pid"
    await server.start()
    stale = pid_file.read_text().splitlines(keepends=True)
    await server.stop()
    pid_file.write_text("".join([f"{os.getppid()}\n", *stale[1:]]))

    await server.start()
    answer = ask(server, "SELECT 1")
    await server.stop()

    assert answer == "1"


async def test_a_long_path_gets_a_socket_elsewhere(server_data: Path) -> None:
    shutil.move(server_data, long_path := server_data.with_name("long" * 30))
    server = EmbeddedServer(long_path)
    await server.start()
    sockets = server.address.socket_directory

    answer = ask(server, "SELECT 1")
    await server.stop()

    assert answer == "1"
    assert len(str(sockets)) < 50
    assert not sockets.exists()


async def test_a_cluster_half_made_by_a_crash_is_made_anew(open_directory: Path) -> None:
    (open_directory / "cluster.new").mkdir()
    (open_directory / "cluster.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(open_directory)

    await server.start()
    answer = ask(server, "SELECT 1")
    await server.stop()

    assert answer == "1"


async def test_a_strict_umask_closes_no_directory_that_the_server_must_pass(open_directory: Path) -> None:
    server = EmbeddedServer(open_directory / "made" / "on" / "the" / "way")
    before = os.umask(0o077)

    try:
        await server.start()
        answer = ask(server, "SELECT 1")
        await server.stop()
    finally:
        os.umask(before)

    assert answer == "1"
