"""The redemption: its states, the one table of its transitions, and when a failed payout is tried again. Pure.

    PAYING ──paid──▶ PAID
      │ ▲             ▲
      ▼ └──retried──┐ │ the late success of its payout is charged to it
     FAILED ────────┘─┘

The code stays redeemed whatever becomes of its payout: the money of a failed one is owed to the winner and tried again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

# After the first, second and third failure; then a person decides.
RETRY_AFTER = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
# What could not be asked for again, for a stopped rail or a limit, is asked for after this.
PUT_OFF = timedelta(minutes=30)


class State(enum.Enum):
    """Where a redemption stands; PAID is final."""

    PAYING = "PAYING"
    PAID = "PAID"
    FAILED = "FAILED"


class Event(enum.Enum):
    """What may happen to a redemption. DISPUTED: its payout succeeded after all, and a person decides what that is."""

    PAID = "paid"
    FAILED = "failed"
    DISPUTED = "disputed"
    RETRIED = "retried"


@dataclass(frozen=True, slots=True)
class Move:
    """A transition: the state it leads to."""

    target: State


class Standing(enum.Enum):
    """What an event means where no transition is drawn."""

    REPEATED = "it shows this already"
    OUTDATED = "it is about a payout that was given up, or the winner has the money"
    REFUSED = "its state does not allow this"


Verdict: TypeAlias = Move | Standing

_ING, _PAI, _FAI = State

# The one table: every event against every state. A test walks all of it.
TRANSITIONS: dict[Event, dict[State, Verdict]] = {
    Event.PAID: {_ING: Move(_PAI), _PAI: Standing.REPEATED, _FAI: Move(_PAI)},
    Event.FAILED: {_ING: Move(_FAI), _PAI: Standing.OUTDATED, _FAI: Standing.REPEATED},
    Event.DISPUTED: {_ING: Standing.OUTDATED, _PAI: Standing.OUTDATED, _FAI: Move(_FAI)},
    Event.RETRIED: {_ING: Standing.REFUSED, _PAI: Standing.REFUSED, _FAI: Move(_ING)},
}


def transition(event: Event, state: State, *, of_another_payout: bool) -> Verdict:
    """What an event means in a state. `of_another_payout`: of one that the redemption does not rest on any more."""
    return Standing.OUTDATED if of_another_payout else TRANSITIONS[event][state]


def retry_at(*, tries: int, failed_at: datetime) -> datetime | None:
    """When the payout of a redemption that failed so often is tried again by itself; None where a person decides."""
    return failed_at + RETRY_AFTER[tries - 1] if tries <= len(RETRY_AFTER) else None
