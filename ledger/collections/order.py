"""The payment order: what a shop expects to be paid, its states, and what a payment makes of it. Pure.

    OPEN ──paid in full──▶ PAID ──all of it returned──▶ REVERSED
      ├──time is up──────▶ EXPIRED
      └──the shop's wish─▶ CANCELLED

An order takes money while it is open and its time is not up. What comes later, or after it was paid, waits for a
person: the shop may have sold the goods to somebody else.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from ledger.money import Money


class State(enum.Enum):
    """Where an order stands; all but OPEN and PAID are final."""

    OPEN = "OPEN"
    PAID = "PAID"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    REVERSED = "REVERSED"


# All ways from one state to another; within one, money may come and go. The database holds the same; a test compares
# the two.
EDGES: frozenset[tuple[State, State]] = frozenset(
    {
        (State.OPEN, State.PAID),
        (State.OPEN, State.EXPIRED),
        (State.OPEN, State.CANCELLED),
        (State.PAID, State.REVERSED),
    }
)


class Event(enum.Enum):
    """What happened to an order; the value, after "order.", is the word partners see."""

    CREATED = "created"
    PART_PAID = "part_paid"
    PAID = "paid"
    PART_RETURNED = "part_returned"
    REVERSED = "reversed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OrderMoney:
    """What an order asks for, and what was paid towards it so far. `amount` and `paid` share a currency."""

    state: State
    amount: Money
    paid: Money
    expires_at: datetime

    @property
    def missing(self) -> int:
        """How many minor units are still to be paid; 0 where it is paid in full or beyond."""
        return max(0, self.amount.minor_units - self.paid.minor_units)


@dataclass(frozen=True, slots=True)
class Turn:
    """What an order becomes, and what is told of that."""

    state: State
    event: Event


def refusal(order: OrderMoney, amount: Money, *, paid_at: datetime) -> str | None:
    """Why an order does not take a payment, in words; None where it does. Too much is taken as well: the shop is told,
    and may return the rest."""
    if amount.currency != order.amount.currency:
        return f"the order is in {order.amount.currency}"
    if order.state is not State.OPEN:
        return f"the order is {order.state.value}"
    if paid_at >= order.expires_at:
        return "the order had expired when it was paid"
    return None


def after_payment(order: OrderMoney, paid: Money) -> Turn:
    """What an order that took a payment becomes, `paid` being all that was paid now."""
    if paid.minor_units >= order.amount.minor_units:
        return Turn(State.PAID, Event.PAID)
    return Turn(State.OPEN, Event.PART_PAID)


def after_return(order: OrderMoney, paid: Money) -> Turn:
    """What an order becomes when money was taken back from it, `paid` being what is left."""
    if order.state is State.PAID and paid.minor_units == 0:
        return Turn(State.REVERSED, Event.REVERSED)
    return Turn(order.state, Event.PART_RETURNED)
