"""The prompt: its states, the moves that are drawn, and which receipt may be its money. Pure.

    REQUESTED ⇄ SUBMITTING ──taken in──▶ WAITING ──paid──▶ PAID
                    └──nobody knows──▶ UNKNOWN ◀┘   └──▶ FAILED ──paid late──▶ PAID

Nothing is posted for a prompt: asking for money moves none. A receipt is booked by the door for receipts, whatever
state its prompt is in, and the prompt follows it. Only the provider's definite word fails one; a receipt outranks it.
"""

from __future__ import annotations

import enum
import hashlib

from ledger.msisdn import Msisdn
from ledger.outbox.collecting import Payer, PayerForm

_HIDDEN = "*"


class State(enum.Enum):
    """Where a prompt stands. FAILED ends unless money comes after all; PAID is final."""

    REQUESTED = "REQUESTED"
    SUBMITTING = "SUBMITTING"
    WAITING = "WAITING"
    UNKNOWN = "UNKNOWN"
    PAID = "PAID"
    FAILED = "FAILED"


class Event(enum.Enum):
    """What happened to a prompt. TOLD_PAID is the provider's word that names no receipt; LEARNED an id to ask by."""

    REQUESTED = "requested"
    STARTED = "started"
    NOT_SENT = "not_sent"
    TAKEN_IN = "taken_in"
    LOST = "lost"
    LEARNED = "learned"
    TOLD_PAID = "told_paid"
    PAID = "paid"
    FAILED = "failed"


class Standing(enum.Enum):
    """Why an event changes nothing."""

    REPEATED = "repeated"
    OUTDATED = "outdated"
    CONFLICT = "conflict"


_S = State
_DRAWN: dict[Event, dict[State, State]] = {
    Event.STARTED: {_S.REQUESTED: _S.SUBMITTING},
    Event.NOT_SENT: {_S.SUBMITTING: _S.REQUESTED},
    # The answer to a call that was given up as lost may come after all.
    Event.TAKEN_IN: {_S.SUBMITTING: _S.WAITING, _S.UNKNOWN: _S.WAITING},
    Event.LOST: {_S.SUBMITTING: _S.UNKNOWN, _S.WAITING: _S.UNKNOWN},
    Event.LEARNED: {_S.UNKNOWN: _S.UNKNOWN},
    Event.TOLD_PAID: {_S.WAITING: _S.WAITING, _S.UNKNOWN: _S.UNKNOWN},
    Event.PAID: {state: _S.PAID for state in State if state is not _S.PAID},
    Event.FAILED: dict.fromkeys((_S.REQUESTED, _S.SUBMITTING, _S.WAITING, _S.UNKNOWN), _S.FAILED),
}

# All ways from one state to another. The database holds the same; a test compares the two.
EDGES: frozenset[tuple[Event, State, State]] = frozenset(
    (event, source, target) for event, ways in _DRAWN.items() for source, target in ways.items()
)
OPEN_STATES = frozenset({State.REQUESTED, State.SUBMITTING, State.WAITING, State.UNKNOWN})


def transition(event: Event, state: State, *, told_paid: bool) -> State | Standing:
    """What an event makes of a prompt, or why nothing. `told_paid`: the provider has said before that it is paid."""
    if told_paid and event is Event.FAILED and state is not State.PAID:
        return Standing.CONFLICT
    if told_paid and event is Event.TOLD_PAID:
        return Standing.REPEATED
    target = _DRAWN.get(event, {}).get(state)
    if target is not None:
        return target
    if (event, state) in {(Event.FAILED, State.FAILED), (Event.PAID, State.PAID)}:
        return Standing.REPEATED
    # That it was paid is not forgotten, though it failed by the provider's word before.
    return Standing.CONFLICT if (event, state) == (Event.TOLD_PAID, State.FAILED) else Standing.OUTDATED


def payer_hash(payer: Payer | Msisdn) -> str | None:
    """The SHA-256 of a payer's number in hexadecimal, which providers show as well; None where some digits are
    hidden."""
    if isinstance(payer, Msisdn):
        return hashlib.sha256(payer.digits.encode()).hexdigest()
    if payer.form is PayerForm.HASHED:
        return payer.number.lower()
    return hashlib.sha256(payer.number.encode()).hexdigest() if payer.form is PayerForm.PLAIN else None


def masks_agree(one: str, other: str) -> bool:
    """Whether two numbers with their middles hidden may be the same: what both show of either end is alike."""
    heads = one.partition(_HIDDEN)[0].strip(), other.partition(_HIDDEN)[0].strip()
    tails = one.rpartition(_HIDDEN)[2].strip(), other.rpartition(_HIDDEN)[2].strip()
    head, tail = min(map(len, heads)), min(map(len, tails))
    return heads[0][:head] == heads[1][:head] and tails[0][len(tails[0]) - tail :] == tails[1][len(tails[1]) - tail :]
