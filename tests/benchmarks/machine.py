"""Facts that a figure means little without: the machine, the versions, how busy and how durable it is. Names no host."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter

from psycopg import sql

from ledger.database import Driver

KILOBYTE = 1024
_MEGABYTE = KILOBYTE * KILOBYTE
_FLUSHES = 50
_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


def machine_facts(directory: Path) -> dict[str, str]:
    """What runs the benchmark; `directory` lies on the disk that PostgreSQL writes to."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; load before the run {load}",
        "disk": f"{_flush_milliseconds(directory):.2f} ms to write and flush 8 kB (median of {_FLUSHES})",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in ("grpcio", "uvloop", "psycopg", "protobuf")),
    }


async def server_facts(session: Driver) -> Mapping[str, str]:
    """PostgreSQL's version and the settings that decide what a commit costs."""
    shown = []
    for name in ("server_version", *_SETTINGS):
        row = await (await session.execute(sql.SQL("SHOW {}").format(sql.Identifier(name)))).fetchone()
        shown.append(str(row[0]) if row is not None else "")
    settings = ", ".join(f"{name} {value}" for name, value in zip(_SETTINGS, shown[1:], strict=True))
    return {"PostgreSQL": f"{shown[0]}; {settings}"}


def resident_megabytes(process_id: int) -> float | None:
    """A process's resident memory in megabytes (2^20 bytes); None where the system does not tell it as Linux does."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KILOBYTE / _MEGABYTE
    return None


def _flush_milliseconds(directory: Path) -> float:
    taken = []
    with TemporaryFile(dir=directory) as file:
        for _ in range(_FLUSHES):
            before = perf_counter()
            os.pwrite(file.fileno(), bytes(8 * KILOBYTE), 0)
            os.fsync(file.fileno())
            taken.append(perf_counter() - before)
    return 1000 * median(taken)
