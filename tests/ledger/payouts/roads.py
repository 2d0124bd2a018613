"""Outcomes with sensible defaults, and the road from a fresh payout to each state."""

from __future__ import annotations

from datetime import datetime

from ledger.money import Money
from ledger.outbox.instruction import Acknowledged, Failed, NotSent, OutcomeUnknown, Rejected, Settled
from ledger.payouts.outcome import Cancelled, Charged, ClawedBack, Outcome, Refuted, Started
from ledger.payouts.payout import Event, State
from tests.ledger.payouts.shop import MOMENT

STARTED, ACKNOWLEDGED = Started(), Acknowledged()
NOT_SENT, UNCLEAR = NotSent("no connection"), OutcomeUnknown("no answer in time")
REJECTED, FAILED = Rejected("400.002.02", "Bad Request"), Failed("2040", "not registered")
CANCELLED = Cancelled("ordered twice")


def settled(
    payout_id: int, *, receipt: str | None = None, shillings: int = 1500, completed_at: datetime = MOMENT
) -> Settled:
    """A success under a receipt of the payout's own, unless another is named."""
    return Settled(receipt or f"R{payout_id}", Money("KES", shillings * 100), completed_at)


def outcome_of(event: Event, payout_id: int, *, held_entry_id: int = 0) -> Outcome:
    """An outcome that stands for the event; a decision is about `held_entry_id`, by default an entry there is not."""
    outcomes: dict[Event, Outcome] = {
        Event.STARTED: STARTED,
        Event.ACKNOWLEDGED: ACKNOWLEDGED,
        Event.NOT_SENT: NOT_SENT,
        Event.UNCLEAR: UNCLEAR,
        Event.REJECTED: REJECTED,
        Event.SETTLED: settled(payout_id),
        Event.FAILED: FAILED,
        Event.CANCELLED: CANCELLED,
        Event.CHARGED: Charged("the statement shows it", held_entry_id),
        Event.CLAWED_BACK: ClawedBack("the statement shows it", held_entry_id),
        Event.REFUTED: Refuted("the statement does not show it", held_entry_id),
    }
    return outcomes[event]


ROADS: dict[State, tuple[Event, ...]] = {
    State.RESERVED: (),
    State.SUBMITTING: (Event.STARTED,),
    State.SUBMITTED: (Event.STARTED, Event.ACKNOWLEDGED),
    State.UNKNOWN: (Event.STARTED, Event.UNCLEAR),
    State.SETTLED: (Event.STARTED, Event.ACKNOWLEDGED, Event.SETTLED),
    State.RELEASED: (Event.STARTED, Event.ACKNOWLEDGED, Event.FAILED),
    State.CANCELLED: (Event.CANCELLED,),
    State.CONFLICTED: (Event.STARTED, Event.FAILED, Event.SETTLED),
}


def road_to(state: State, payout_id: int) -> list[tuple[int, Outcome]]:
    """The outcomes that take a reserved payout to the state, as one set."""
    return [(payout_id, outcome_of(event, payout_id)) for event in ROADS[state]]
