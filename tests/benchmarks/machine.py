"""Facts that a figure means little without: the machine, the versions, how busy and how durable it is. Names no host."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction

KILOBYTE = 1024
_MEGABYTE = KILOBYTE * KILOBYTE
_FLUSHES = 50
_SETTING_NAMES = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
_SETTINGS = text("SELECT name, current_setting(name) AS shown FROM pg_settings WHERE name = ANY(:names)")


def machine_facts(directory: Path) -> dict[str, str]:
    """What runs the benchmark; `directory` lies on the disk that PostgreSQL writes to."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; load before the run {load}",
        "disk": f"{_flush_milliseconds(directory):.2f} ms to write and flush 8 kB (median of {_FLUSHES})",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in ("grpcio", "uvloop", "psycopg", "protobuf")),
    }


async def server_facts(engine: AsyncEngine) -> dict[str, str]:
    """PostgreSQL's version and the settings that decide what a commit costs."""
    async with transaction(engine) as connection:
        rows = await connection.execute(_SETTINGS, {"names": list(_SETTING_NAMES)})
        shown = {row.name: row.shown for row in rows}
    settings = ", ".join(f"{name} {shown[name]}" for name in _SETTING_NAMES[1:])
    return {"PostgreSQL": f"{shown['server_version']}; {settings}"}


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
