"""The batch: its states and the one table of its transitions. Pure.

    DRAFT ──activated──▶ ACTIVE ──paused──▶ PAUSED
      │                   │  ▲───resumed───────│
      ▼                   ▼                    ▼
    EXPIRED, CANCELLED (final)

Codes of a draft are worth nothing; those that are live in an active or paused batch are owed. The database holds the
same moves and refuses any other.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo


class State(enum.Enum):
    """Where a batch stands; EXPIRED and CANCELLED are final."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Funding(enum.Enum):
    """Who pays: the partner out of its prefunded account, or we against revenue."""

    PREFUND = "prefund"
    BUDGET = "budget"


class Event(enum.Enum):
    """What may happen to a batch. Redemptions are no events of it: they change its counts alone."""

    GENERATED = "generated"
    IMPORTED = "imported"
    EXPORTED = "exported"
    ACTIVATED = "activated"
    PAUSED = "paused"
    RESUMED = "resumed"
    DISABLED = "disabled"
    STOLEN = "stolen"
    VOIDED = "voided"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Effect(enum.Enum):
    """What a transition does to the money; the value is the kind of its entry."""

    NONE = ""
    ISSUE = "promotion.issued"
    ACTIVATE = "promotion.activated"
    VOID = "promotion.voided"
    EXPIRE = "promotion.expired"
    CANCEL = "promotion.cancelled"


@dataclass(frozen=True, slots=True)
class Move:
    """A transition: the state it leads to, which may be the same, and what it does to the money."""

    target: State
    effect: Effect = Effect.NONE


class Standing(enum.Enum):
    """What an event means where no transition is drawn."""

    REPEATED = "it stands there already"
    REFUSED = "its state does not allow this"


Verdict: TypeAlias = Move | Standing

_DRA, _ACT, _PAU, _EXP, _CAN = State
_REPEATED, _REFUSED = Standing.REPEATED, Standing.REFUSED
_ENDED: dict[State, Verdict] = {_EXP: _REFUSED, _CAN: _REFUSED}


def _in_place(effect: Effect) -> dict[State, Verdict]:
    return {_DRA: Move(_DRA, effect), _ACT: Move(_ACT, effect), _PAU: Move(_PAU, effect), **_ENDED}


# The one table: every event against every state. A test walks all of it.
TRANSITIONS: dict[Event, dict[State, Verdict]] = {
    Event.GENERATED: {_DRA: Move(_DRA, Effect.ISSUE), _ACT: _REFUSED, _PAU: _REFUSED, **_ENDED},
    Event.IMPORTED: {_DRA: Move(_DRA, Effect.ISSUE), _ACT: _REFUSED, _PAU: _REFUSED, **_ENDED},
    Event.EXPORTED: _in_place(Effect.NONE),
    Event.ACTIVATED: {_DRA: Move(_ACT, Effect.ACTIVATE), _ACT: _REPEATED, _PAU: _REFUSED, **_ENDED},
    Event.PAUSED: {_DRA: _REFUSED, _ACT: Move(_PAU), _PAU: _REPEATED, **_ENDED},
    Event.RESUMED: {_DRA: _REFUSED, _ACT: _REPEATED, _PAU: Move(_ACT), **_ENDED},
    Event.DISABLED: _in_place(Effect.VOID),
    Event.STOLEN: _in_place(Effect.VOID),
    Event.VOIDED: _in_place(Effect.VOID),
    Event.EXPIRED: {_DRA: Move(_EXP, Effect.EXPIRE), _ACT: Move(_EXP, Effect.EXPIRE), _PAU: Move(_EXP, Effect.EXPIRE),
                    _EXP: _REPEATED, _CAN: _REFUSED},
    Event.CANCELLED: {_DRA: Move(_CAN, Effect.CANCEL), _ACT: Move(_CAN, Effect.CANCEL),
                      _PAU: Move(_CAN, Effect.CANCEL), _EXP: _REFUSED, _CAN: _REPEATED},
}  # fmt: skip

# The states in which live codes are owed.
OWING_STATES = frozenset({State.ACTIVE, State.PAUSED})
OPEN_STATES = OWING_STATES | {State.DRAFT}


def transition(event: Event, state: State) -> Verdict:
    """What an event means in a state."""
    return TRANSITIONS[event][state]


def is_breakage(*, activated_at: datetime, ended_at: datetime, zone: ZoneInfo) -> bool:
    """Whether what our own budget promised and nobody took is income: where the promise reduced the revenue of an
    earlier year. Within the same year the reduction itself is taken back."""
    return activated_at.astimezone(zone).year < ended_at.astimezone(zone).year
