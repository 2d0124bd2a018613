"""What an outcome of a return is to the state table, and what it changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ledger.collections.returning import Change, Event, Return, Standing, State, transition
from ledger.journal.entry import Source
from ledger.outbox.collecting import Returned, ReturnFailed, ReversalAnswer
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown, Rejected

UNKNOWN_QUEUE, RACE_QUEUE, UNALLOCATED_QUEUE = "submit-unknown", "reversal-race", "receipt-unallocated"
CONVERSATION_KIND, ORIGINATOR_KIND = ".conversation_id", ".originator_conversation_id"
_RETURNED_BEFORE = "the provider says that it was returned before, which nothing here knows of"
_FAILED = "its return failed"


@dataclass(frozen=True, slots=True)
class Started:
    """The return is about to be sent."""


Outcome: TypeAlias = Started | ReversalAnswer | Returned | ReturnFailed
_EVENTS: Mapping[type, Event] = {
    Started: Event.STARTED,
    Acknowledged: Event.TAKEN_IN,
    NotSent: Event.NOT_SENT,
    OutcomeUnknown: Event.LOST,
    Rejected: Event.FAILED,
    Returned: Event.RETURNED,
    ReturnFailed: Event.FAILED,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of a return."""

    return_id: int
    outcome: Outcome
    actor: str
    inbox_id: int | None = None
    source: Source = Source.CALLBACK


def event_of(outcome: Outcome) -> Event:
    """That it was returned before is no failure: where that money went, nobody here knows."""
    if isinstance(outcome, ReturnFailed) and outcome.returned_before:
        return Event.LOST
    return _EVENTS[type(outcome)]


def judge(report: Report, subject: Return) -> State | Standing:
    """The state that a report leads to, or why it leads to none. The money goes back under one receipt of its own."""
    outcome = report.outcome
    if isinstance(outcome, Returned) and subject.return_receipt not in (None, outcome.receipt):
        return Standing.CONFLICT
    return transition(event_of(outcome), subject.state)


def change_of(report: Report, subject: Return, state: State, entry_id: int | None) -> Change:
    """What is to be written of a report that leads to a state, with the entry that was posted for it."""
    outcome = report.outcome
    failure = (outcome.code, outcome.description) if isinstance(outcome, Rejected | ReturnFailed) else None
    reason = outcome.reason if isinstance(outcome, NotSent | OutcomeUnknown) else None
    known = dict(outcome.references) if isinstance(outcome, Acknowledged) else {}
    return Change(
        subject=subject,
        event=event_of(outcome),
        state=state,
        actor=report.actor,
        entry_id=entry_id,
        detail=reason or (f"{failure[0]} {failure[1]}".strip() if failure else None),
        conversation=next((value for kind, value in known.items() if kind.endswith(CONVERSATION_KIND)), None),
        originator=next((value for kind, value in known.items() if kind.endswith(ORIGINATOR_KIND)), None),
        return_receipt=outcome.receipt if isinstance(outcome, Returned) else None,
        failure=failure if state is State.FAILED else None,
    )


def concerns_of(report: Report, subject: Return, state: State | Standing) -> list[tuple[str, str]]:
    """The cases that an outcome opens: (queue, reason)."""
    if isinstance(report.outcome, ReturnFailed) and report.outcome.returned_before:
        return [(RACE_QUEUE, _RETURNED_BEFORE)]
    if state is Standing.CONFLICT:
        return [(RACE_QUEUE, f"a return that is {subject.state.value} is told to be {event_of(report.outcome).value}")]
    if state is State.UNKNOWN:
        return [(UNKNOWN_QUEUE, "whether its money went back to the payer is not known")]
    return [(UNALLOCATED_QUEUE, _FAILED)] if state is State.FAILED else []


def waves_of(reports: Sequence[Report], asked: Mapping[int, Return]) -> list[list[tuple[int, Report]]]:
    """The n-th report about every receipt together."""
    waves: list[list[tuple[int, Report]]] = []
    seen: dict[int, int] = {}
    for index, report in enumerate(reports):
        receipt_id = asked[report.return_id].receipt_id
        depth = seen[receipt_id] = seen.get(receipt_id, -1) + 1
        if depth == len(waves):
            waves.append([])
        waves[depth].append((index, report))
    return waves
