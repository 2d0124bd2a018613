"""Which call this task is making: what entitles it, and nobody else, to have secrets opened. Set by the doors alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ledger.errors import VaultSealed
from ledger.vault import Grant

_grant: ContextVar[Grant] = ContextVar("grant")


@contextmanager
def granted(grant: Grant) -> Iterator[None]:
    """Within this block, in this task, the vault opens for the grant's call."""
    token = _grant.set(grant)
    try:
        yield
    finally:
        _grant.reset(token)


def current_grant() -> Grant:
    """The grant of the call under way. Raises VaultSealed outside of one."""
    found = _grant.get(None)
    if found is None:
        raise VaultSealed("secrets are opened for a call that carries a committed instruction, and for nothing else")
    return found
