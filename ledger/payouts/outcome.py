"""What may become of a payout outside, as values, and the event of the state table each stands for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ledger.journal.entry import Source
from ledger.outbox.instruction import Acknowledged, Failed, NotSent, OutcomeUnknown, Rejected, Settled
from ledger.payouts.payout import Event


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt is about to be made; the money may leave from now on."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody took the payout back before it was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Charged:
    """A person found that money in suspense did leave; the partner pays for it. `held_entry_id` put it there."""

    evidence: str
    held_entry_id: int


@dataclass(frozen=True, slots=True)
class ClawedBack:
    """A person found that money in suspense did leave; the payee owes it, and the partner is not charged."""

    evidence: str
    held_entry_id: int


@dataclass(frozen=True, slots=True)
class Refuted:
    """A person found that money in suspense never left: the float holds it."""

    evidence: str
    held_entry_id: int


Decision: TypeAlias = Charged | ClawedBack | Refuted
Outcome: TypeAlias = (
    Started | Acknowledged | NotSent | OutcomeUnknown | Rejected | Settled | Failed | Cancelled | Decision
)


_EVENTS: dict[type[Outcome], Event] = {
    Started: Event.STARTED,
    Acknowledged: Event.ACKNOWLEDGED,
    NotSent: Event.NOT_SENT,
    OutcomeUnknown: Event.UNCLEAR,
    Rejected: Event.REJECTED,
    Settled: Event.SETTLED,
    Failed: Event.FAILED,
    Cancelled: Event.CANCELLED,
    Charged: Event.CHARGED,
    ClawedBack: Event.CLAWED_BACK,
    Refuted: Event.REFUTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One outcome of one payout, who reports it and what it rests on."""

    payout_id: int
    outcome: Outcome
    source: Source
    actor: str


def event_of(outcome: Outcome) -> Event:
    """The event of the state table an outcome stands for."""
    return _EVENTS[type(outcome)]


def detail_of(outcome: Outcome) -> str | None:
    """What of an outcome is kept beside the event, for people; it holds no secret."""
    match outcome:
        case NotSent(reason=text) | OutcomeUnknown(reason=text) | Cancelled(reason=text):
            return text[:200]
        case Charged(evidence=text) | ClawedBack(evidence=text) | Refuted(evidence=text):
            return text[:200]
        case Rejected(code=code, description=text) | Failed(code=code, description=text):
            return f"{code}: {text}"[:200]
        case Settled(receipt=receipt):
            return receipt
        case _:
            return None
