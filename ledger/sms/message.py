"""The text message: its states, the moves that are drawn, its question and answers at the edge of the ledger. Pure.

    QUEUED ──sent──▶ SENT ──delivered──▶ DELIVERED
      │ │              └──undelivered──▶ FAILED ──resent, by a person──▶ QUEUED
      │ └──refused, withheld──▶ FAILED
      └──nobody knows──▶ UNKNOWN

Providers take no reference that would refuse a repeat: what may have been sent is never sent again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeAlias

from ledger.msisdn import Msisdn
from ledger.outbox.instruction import NotSent, OutcomeUnknown

PREFIX = "sms"
MICROS = 1_000_000


class State(enum.Enum):
    """Where a message stands. DELIVERED is final; UNKNOWN ends unless the answer comes late."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class Event(enum.Enum):
    """What happened to a message. REROUTED: nothing was sent, and another provider is tried; WITHHELD: its recipient
    wants none."""

    SENT = "sent"
    REROUTED = "rerouted"
    REFUSED = "refused"
    WITHHELD = "withheld"
    LOST = "lost"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    RESENT = "resent"


_S = State
_DRAWN: dict[Event, dict[State, State]] = {
    # The answer to a call that was given up as lost may come after all.
    Event.SENT: {_S.QUEUED: _S.SENT, _S.UNKNOWN: _S.SENT},
    Event.REROUTED: {_S.QUEUED: _S.QUEUED},
    Event.REFUSED: {_S.QUEUED: _S.FAILED},
    Event.WITHHELD: {_S.QUEUED: _S.FAILED},
    Event.LOST: {_S.QUEUED: _S.UNKNOWN},
    Event.DELIVERED: {_S.SENT: _S.DELIVERED},
    Event.UNDELIVERED: {_S.SENT: _S.FAILED},
    Event.RESENT: {_S.FAILED: _S.QUEUED},
}

# All ways from one state to another. The database holds the same; a test compares the two.
EDGES: frozenset[tuple[Event, State, State]] = frozenset(
    (event, source, target) for event, ways in _DRAWN.items() for source, target in ways.items()
)


def transition(event: Event, state: State) -> State | None:
    """What an event makes of a message; None where it changes nothing."""
    return _DRAWN[event].get(state)


@dataclass(frozen=True, slots=True)
class Text:
    """One message for a provider. What it says and to whom is for the wire and for no repr."""

    provider: str
    sender: str
    to: Msisdn
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cost:
    """What the provider says a message costs, in millionths of the currency's unit."""

    currency: str
    micros: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it in, and names it by its own id; `cost` where it told one."""

    message_id: str
    cost: Cost | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider certainly sent nothing. `elsewhere`: the reason lies with our account there, so that another
    provider may send it."""

    code: str
    description: str
    elsewhere: bool = False


SmsAnswer: TypeAlias = Accepted | Refused | NotSent | OutcomeUnknown
