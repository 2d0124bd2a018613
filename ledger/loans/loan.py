"""The loan: its states and the one table of its transitions. Pure.

    REQUESTED ──▶ APPROVED ──started──▶ DISBURSING ──receipt──▶ ACTIVE ──paid off──▶ CLOSED
        │          │    ▲                   │                    │ ▲                   │
        ▼          ▼    └──approved again───┤                    │ └──repayment back───┘
    REJECTED   CANCELLED ◀── DISBURSEMENT_FAILED                 ▼
                                                             WRITTEN_OFF

A loan exists when the receipt of its payout does, whatever was believed of that payout before: a late success makes
even a cancelled loan ACTIVE. What the payout does to the money is in its own entries (`ledger.payouts.payout`), funded
by `entries.disbursing_payout`; this table says what follows for the loan.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

SUBJECT_KIND = "loan"


class State(enum.Enum):
    """Where a loan stands; REJECTED is final, CANCELLED and CLOSED are unless evidence says otherwise."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    DISBURSING = "DISBURSING"
    DISBURSEMENT_FAILED = "DISBURSEMENT_FAILED"
    ACTIVE = "ACTIVE"
    CLOSED = "CLOSED"
    WRITTEN_OFF = "WRITTEN_OFF"


class Event(enum.Enum):
    """What may happen to a loan. PAID_OFF is the repayment that leaves nothing open. REPAYMENT_RETURNED is one going
    back that had paid something due; OVERPAYMENT_RETURNED is one that had not, or a recovery. WRITTEN_OFF_AGAIN follows
    a return to a loan that was given up after it was paid."""

    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    DISBURSEMENT_STARTED = "disbursement_started"
    DISBURSED = "disbursed"
    DISBURSEMENT_FAILED = "disbursement_failed"
    ACCRUED = "accrued"
    CHARGED = "charged"
    REPAID = "repaid"
    PAID_OFF = "paid_off"
    REPAYMENT_RETURNED = "repayment_returned"
    OVERPAYMENT_RETURNED = "overpayment_returned"
    WRITTEN_OFF = "written_off"
    WRITTEN_OFF_AGAIN = "written_off_again"


class Effect(enum.Enum):
    """What follows for the money; the value is the function of `entries` or `shares` that makes
    it."""

    NONE = "nothing, or what the payout's own entry does"
    DISBURSE = "disbursed_entry"
    DISBURSE_TWICE = "disbursed_twice_entry"
    ACCRUE = "day_entries"
    CHARGE = "fee_charged_entry"
    REPAY = "repayment_shares"
    RECOVER = "recovery_shares"
    RETURN = "returned_lines"
    WRITE_OFF = "written_off_entry"
    WRITE_OFF_AGAIN = "written_off_again_entry"


@dataclass(frozen=True, slots=True)
class Move:
    """A transition: the state it leads to and what it does to the money."""

    target: State
    effect: Effect = Effect.NONE


@dataclass(frozen=True, slots=True)
class Stay:
    """Money moves and the loan stays where it is."""

    effect: Effect


class Standing(enum.Enum):
    """What an event means where no transition is drawn."""

    REPEATED = "the loan shows this already"
    OUTDATED = "stronger evidence is in the books already"
    REFUSED = "a command that this state does not allow"
    EARLY = "the loan does not exist yet: the money waits unallocated"
    CONFLICT = "contradicts what the books show; a person decides"


Verdict: TypeAlias = Move | Stay | Standing

_DISBURSE = Move(State.ACTIVE, Effect.DISBURSE)
_REPAY, _RECOVER, _RETURN = Stay(Effect.REPAY), Stay(Effect.RECOVER), Stay(Effect.RETURN)
_REPEATED, _OUTDATED, _REFUSED = Standing.REPEATED, Standing.OUTDATED, Standing.REFUSED
_EARLY, _CONFLICT = Standing.EARLY, Standing.CONFLICT

_REQ, _APP, _REJ, _CAN, _ING = State.REQUESTED, State.APPROVED, State.REJECTED, State.CANCELLED, State.DISBURSING
_FAIL, _ACT, _CLO, _OFF = State.DISBURSEMENT_FAILED, State.ACTIVE, State.CLOSED, State.WRITTEN_OFF

# The one table: every event against every state. A test walks all of it.
TRANSITIONS: dict[Event, dict[State, Verdict]] = {
    Event.APPROVED: {_REQ: Move(_APP), _APP: _REPEATED, _REJ: _REFUSED, _CAN: _REFUSED, _ING: _OUTDATED,
                     _FAIL: Move(_APP), _ACT: _OUTDATED, _CLO: _OUTDATED, _OFF: _OUTDATED},
    Event.REJECTED: {_REQ: Move(_REJ), _APP: _REFUSED, _REJ: _REPEATED, _CAN: _REFUSED, _ING: _REFUSED,
                     _FAIL: _REFUSED, _ACT: _REFUSED, _CLO: _REFUSED, _OFF: _REFUSED},
    Event.CANCELLED: {_REQ: Move(_CAN), _APP: Move(_CAN), _REJ: _REFUSED, _CAN: _REPEATED, _ING: _REFUSED,
                      _FAIL: Move(_CAN), _ACT: _REFUSED, _CLO: _REFUSED, _OFF: _REFUSED},
    Event.DISBURSEMENT_STARTED: {_REQ: _REFUSED, _APP: Move(_ING), _REJ: _REFUSED, _CAN: _REFUSED, _ING: _REPEATED,
                                 _FAIL: _REFUSED, _ACT: _OUTDATED, _CLO: _OUTDATED, _OFF: _OUTDATED},
    Event.DISBURSED: {_REQ: _CONFLICT, _APP: _DISBURSE, _REJ: _CONFLICT, _CAN: _DISBURSE, _ING: _DISBURSE,
                      _FAIL: _DISBURSE, _ACT: _REPEATED, _CLO: _REPEATED, _OFF: _REPEATED},
    Event.DISBURSEMENT_FAILED: {_REQ: _CONFLICT, _APP: _OUTDATED, _REJ: _CONFLICT, _CAN: _OUTDATED, _ING: Move(_FAIL),
                                _FAIL: _REPEATED, _ACT: _CONFLICT, _CLO: _CONFLICT, _OFF: _CONFLICT},
    Event.ACCRUED: {_REQ: _EARLY, _APP: _EARLY, _REJ: _OUTDATED, _CAN: _OUTDATED, _ING: _EARLY, _FAIL: _EARLY,
                    _ACT: Stay(Effect.ACCRUE), _CLO: _OUTDATED, _OFF: _OUTDATED},
    Event.CHARGED: {_REQ: _REFUSED, _APP: _REFUSED, _REJ: _REFUSED, _CAN: _REFUSED, _ING: _REFUSED, _FAIL: _REFUSED,
                    _ACT: Stay(Effect.CHARGE), _CLO: _REFUSED, _OFF: _REFUSED},
    Event.REPAID: {_REQ: _EARLY, _APP: _EARLY, _REJ: _CONFLICT, _CAN: _CONFLICT, _ING: _EARLY, _FAIL: _EARLY,
                   _ACT: _REPAY, _CLO: _REPAY, _OFF: _RECOVER},
    Event.PAID_OFF: {_REQ: _EARLY, _APP: _EARLY, _REJ: _CONFLICT, _CAN: _CONFLICT, _ING: _EARLY, _FAIL: _EARLY,
                     _ACT: Move(_CLO, Effect.REPAY), _CLO: _REPAY, _OFF: _RECOVER},
    Event.REPAYMENT_RETURNED: {_REQ: _CONFLICT, _APP: _CONFLICT, _REJ: _CONFLICT, _CAN: _CONFLICT, _ING: _CONFLICT,
                               _FAIL: _CONFLICT, _ACT: _RETURN, _CLO: Move(_ACT, Effect.RETURN),
                               _OFF: _RETURN},
    Event.OVERPAYMENT_RETURNED: {_REQ: _CONFLICT, _APP: _CONFLICT, _REJ: _CONFLICT, _CAN: _CONFLICT, _ING: _CONFLICT,
                                 _FAIL: _CONFLICT, _ACT: _RETURN, _CLO: _RETURN, _OFF: _RETURN},
    Event.WRITTEN_OFF: {_REQ: _REFUSED, _APP: _REFUSED, _REJ: _REFUSED, _CAN: _REFUSED, _ING: _REFUSED,
                        _FAIL: _REFUSED, _ACT: Move(_OFF, Effect.WRITE_OFF), _CLO: _REFUSED, _OFF: _REPEATED},
    Event.WRITTEN_OFF_AGAIN: {_REQ: _REFUSED, _APP: _REFUSED, _REJ: _REFUSED, _CAN: _REFUSED, _ING: _REFUSED,
                              _FAIL: _REFUSED, _ACT: _REFUSED, _CLO: _REFUSED, _OFF: Stay(Effect.WRITE_OFF_AGAIN)},
}  # fmt: skip

# News of another payout than the one the loan waits for or rests on: money that reached the borrower again, or an
# attempt that was given up before.
_OF_ANOTHER_PAYOUT: dict[tuple[Event, State], Verdict] = {
    (Event.DISBURSED, _ACT): Stay(Effect.DISBURSE_TWICE),
    (Event.DISBURSED, _CLO): Stay(Effect.DISBURSE_TWICE),
    (Event.DISBURSED, _OFF): Stay(Effect.DISBURSE_TWICE),
    (Event.DISBURSEMENT_FAILED, _ING): _OUTDATED,
    (Event.DISBURSEMENT_FAILED, _ACT): _OUTDATED,
    (Event.DISBURSEMENT_FAILED, _CLO): _OUTDATED,
    (Event.DISBURSEMENT_FAILED, _OFF): _OUTDATED,
}


def transition(event: Event, state: State, *, of_another_payout: bool) -> Verdict:
    """What an event means in a state. `of_another_payout`: it is about a payout beside the one that the loan waits for
    (DISBURSING) or rests on (ACTIVE, CLOSED, WRITTEN_OFF)."""
    another = _OF_ANOTHER_PAYOUT.get((event, state)) if of_another_payout else None
    return another or TRANSITIONS[event][state]


# The states in which a loan exists: its accounts may hold something, its borrower may pay.
BORN_STATES = frozenset({State.ACTIVE, State.CLOSED, State.WRITTEN_OFF})
ENDED_STATES = frozenset({State.REJECTED, State.CANCELLED, State.CLOSED, State.WRITTEN_OFF})
