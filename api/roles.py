"""What a process does: it decides what the process runs, and which keys and credentials it may hold."""

from __future__ import annotations

import enum


class Role(enum.Enum):
    """What a process does; one process may do all of it."""

    GRPC = "grpc"
    HTTP = "http"
    WORKER = "worker"


ALL_ROLES = frozenset(Role)
