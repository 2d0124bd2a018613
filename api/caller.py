"""Who is calling, and how: set by the interceptor before a service method runs, read by the method. Holds no key."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whom a key speaks for: an operator of every ledger (`ledger_id` None), of one ledger, or one partner."""

    client_id: int
    name: str
    ledger_id: int | None
    partner_id: int | None
    permissions: frozenset[str]

    def may_see(self, ledger_id: int) -> bool:
        """Whether the ledger lies within the key's scope."""
        return self.ledger_id is None or self.ledger_id == ledger_id


@dataclass(frozen=True, slots=True)
class Call:
    """One call under way. `deadline` is on the monotonic clock the interceptor was given; None for no deadline."""

    caller: Caller
    request_id: str
    deadline: float | None


_current: ContextVar[Call] = ContextVar("call")


def current_call() -> Call:
    """The call this code runs for. Raises LookupError outside of one: a wiring bug, never a caller's fault."""
    return _current.get()


def enter_call(call: Call) -> None:
    """Makes `call` the current one for the rest of this task; each call runs in a task of its own."""
    _current.set(call)
