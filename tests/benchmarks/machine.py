"""Facts that a figure means little without: the machine, its disk, the versions, how busy it is. Names no host."""

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
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
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
    return _told_megabytes(process_id, "VmRSS:")


def peak_megabytes(process_id: int) -> float | None:
    """The most that a process ever held resident since it began its program; None as above."""
    return _told_megabytes(process_id, "VmHWM:")


def _told_megabytes(process_id: int, name: str) -> float | None:
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * KILOBYTE / _MEGABYTE
    return None


def processor_seconds(process_id: int) -> float:
    """User and system time of a process and all its threads, where the system tells as Linux does; else 0."""
    return sum(_times(process_id)[1:])


def processor_seconds_of_children(process_id: int) -> float:
    """That of a process's children, those that ended included."""
    try:
        ended = sum(int(ticks) for ticks in _fields(process_id)[13:15]) / _TICKS_A_SECOND
        running = [int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit()]
    except OSError:
        return 0.0
    return ended + sum(sum(times) for parent, *times in map(_times, running) if parent == process_id)


def _times(process_id: int) -> tuple[int, float, float]:
    """The parent's id, and user and system seconds; zeros for a process that is not there."""
    try:
        fields = _fields(process_id)
    except OSError:
        return (0, 0.0, 0.0)
    return (int(fields[1]), int(fields[11]) / _TICKS_A_SECOND, int(fields[12]) / _TICKS_A_SECOND)


def _fields(process_id: int) -> list[str]:
    """See proc(5), /proc/pid/stat: what follows the program's name, which may hold spaces. Its third field is first."""
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()


def _flush_milliseconds(directory: Path) -> float:
    taken = []
    with TemporaryFile(dir=directory) as file:
        for _ in range(_FLUSHES):
            before = perf_counter()
            os.pwrite(file.fileno(), bytes(8 * KILOBYTE), 0)
            os.fsync(file.fileno())
            taken.append(perf_counter() - before)
    return 1000 * median(taken)
