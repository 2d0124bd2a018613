"""The last step before `postgres` runs, in a process of its own: gives up root, asks to die with its parent, executes.

Run as a script by ledger.embedded and imported by nobody. Doing this between fork and exec of the service itself would
run Python in a copy of a process full of other threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
EXIT_CANNOT_EXECUTE = 126  # as a shell has it


def main(arguments: list[str]) -> None:
    """`parent-pid uid gid program argument...`; never returns. Exits with 126 when the program cannot be executed."""
    parent, uid, gid, program = int(arguments[0]), int(arguments[1]), int(arguments[2]), arguments[3]
    _become(uid, gid)
    _die_with(parent)
    try:
        os.execv(program, arguments[3:])  # noqa: S606  (an absolute path, no shell: that is the point)
    except OSError as error:
        sys.stderr.write(f"cannot execute {program}: {error.strerror}\n")
        sys.exit(EXIT_CANNOT_EXECUTE)


def _become(uid: int, gid: int) -> None:
    os.umask(0o077)
    if os.geteuid() == 0:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)


def _die_with(parent: int) -> None:
    """Linux only. After the change of user, which would clear it. SIGINT is PostgreSQL's fast shutdown."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    # The parent may have died before the line above: then nobody would ever send the signal.
    if os.getppid() != parent:
        sys.exit(EXIT_CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1:])
