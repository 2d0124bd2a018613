"""Who the embedded PostgreSQL runs as, and how its programs are started. Knows nothing of what they do."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ledger.errors import EmbeddedUnavailable

_LAUNCHER = Path(__file__).with_name("embedded_launcher.py")
_UNPRIVILEGED = ("postgres", "nobody", "daemon")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The operating system's user that `postgres` runs as; it refuses to run as root."""

    uid: int
    gid: int
    home: str


def server_user(cluster: Path) -> ServerUser:
    """Ourselves; as root the owner of an existing `cluster`, otherwise the first unprivileged system user there is."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid(), _home_of(os.geteuid()))
    if cluster.exists() and cluster.stat().st_uid != 0:
        owner = cluster.stat()
        return ServerUser(owner.st_uid, owner.st_gid, _home_of(owner.st_uid))
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_dir)
    raise EmbeddedUnavailable("PostgreSQL does not run as root: add a system user postgres, or start as another user")


def _home_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


def launch(command: list[str], user: ServerUser, *, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Runs `command` (an absolute path and arguments) as `user`, with both outputs to `output` and none of our
    environment, in a session of its own: Ctrl-C is ours to handle. Linux ends it when the calling thread ends."""
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(user.uid), str(user.gid)]
    return subprocess.Popen(  # noqa: S603  (programs found by us, no shell)
        [*launcher, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={"HOME": user.home, "PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        cwd="/",
        start_new_session=True,
    )


def closed_parent(path: Path, user: ServerUser) -> Path | None:
    """The outermost directory above `path` whose mode keeps `user` from passing through it, or None."""
    for parent in reversed(path.parents):
        if not parent.exists():
            return None
        entry = parent.stat()
        group_or_others = stat.S_IXGRP if entry.st_gid == user.gid else stat.S_IXOTH
        needed = stat.S_IXUSR if entry.st_uid == user.uid else group_or_others
        if not entry.st_mode & needed:
            return parent
    return None
