"""The state table of loans: total, closed, and safe to act on."""

from __future__ import annotations

import pytest

from ledger.loans import entries, shares
from ledger.loans.loan import (
    BORN_STATES,
    ENDED_STATES,
    TRANSITIONS,
    Effect,
    Event,
    Move,
    Standing,
    State,
    Stay,
    transition,
)

ALL = [(event, state) for event in Event for state in State]
EVIDENCE = {Event.DISBURSED, Event.REPAID, Event.PAID_OFF, Event.REPAYMENT_RETURNED, Event.OVERPAYMENT_RETURNED}


def moves() -> list[tuple[Event, State, Move]]:
    """Every drawn transition."""
    found = [(event, state, TRANSITIONS[event][state]) for event, state in ALL]
    return [(event, state, move) for event, state, move in found if isinstance(move, Move)]


def test_the_table_answers_every_event_in_every_state() -> None:
    answered = {(event, state) for event, states in TRANSITIONS.items() for state in states}

    assert answered == set(ALL)


def test_every_state_is_reached_and_every_effect_used() -> None:
    verdicts = [
        transition(event, state, of_another_payout=another) for event, state in ALL for another in (False, True)
    ]

    assert {State.REQUESTED} | {move.target for _, _, move in moves()} == set(State)
    assert {verdict.effect for verdict in verdicts if isinstance(verdict, Move | Stay)} == set(Effect)
    assert {verdict for verdict in verdicts if isinstance(verdict, Standing)} == set(Standing)


def test_every_effect_names_the_function_that_makes_it() -> None:
    named = {effect.value for effect in Effect if effect is not Effect.NONE}

    assert {name for name in named if not callable(getattr(entries, name, getattr(shares, name, None)))} == set()


def test_a_loan_is_paid_out_only_when_approved_and_one_payout_at_a_time() -> None:
    starting = {(event, state) for event, state, move in moves() if move.target is State.DISBURSING}

    assert starting == {(Event.DISBURSEMENT_STARTED, State.APPROVED)}


def test_a_loan_is_born_by_a_receipt_alone_even_a_late_one() -> None:
    born = {(event, state) for event, state, move in moves() if state not in BORN_STATES and move.target in BORN_STATES}

    assert born == {
        (Event.DISBURSED, state)
        for state in (State.DISBURSING, State.APPROVED, State.DISBURSEMENT_FAILED, State.CANCELLED)
    }


def test_a_failed_payout_leaves_the_loan_to_a_decision() -> None:
    after = {(event, move.target) for event, state, move in moves() if state is State.DISBURSEMENT_FAILED}

    assert after == {
        (Event.APPROVED, State.APPROVED),
        (Event.CANCELLED, State.CANCELLED),
        (Event.DISBURSED, State.ACTIVE),
    }


def test_what_has_ended_moves_only_by_evidence() -> None:
    leaving = {event for event, state, _ in moves() if state in ENDED_STATES}

    assert leaving == {Event.DISBURSED, Event.REPAYMENT_RETURNED}


@pytest.mark.parametrize("state", sorted(BORN_STATES, key=str))
def test_money_for_a_loan_that_exists_is_always_booked(state: State) -> None:
    for event in (Event.REPAID, Event.PAID_OFF, Event.REPAYMENT_RETURNED, Event.OVERPAYMENT_RETURNED):
        assert isinstance(transition(event, state, of_another_payout=False), Move | Stay), event


@pytest.mark.parametrize("state", sorted(BORN_STATES, key=str))
def test_a_second_payout_that_arrives_is_booked_and_a_second_that_fails_changes_nothing(state: State) -> None:
    assert transition(Event.DISBURSED, state, of_another_payout=True) == Stay(Effect.DISBURSE_TWICE)
    assert transition(Event.DISBURSED, state, of_another_payout=False) is Standing.REPEATED
    assert transition(Event.DISBURSEMENT_FAILED, state, of_another_payout=True) is Standing.OUTDATED
    assert transition(Event.DISBURSEMENT_FAILED, state, of_another_payout=False) is Standing.CONFLICT


@pytest.mark.parametrize(("event", "state"), [pair for pair in ALL if pair[0] in EVIDENCE])
def test_evidence_is_never_refused_nor_called_outdated(event: Event, state: State) -> None:
    for another in (False, True):
        assert transition(event, state, of_another_payout=another) not in (Standing.REFUSED, Standing.OUTDATED)


def test_only_a_living_loan_earns_and_is_written_off() -> None:
    for event in (Event.ACCRUED, Event.CHARGED, Event.WRITTEN_OFF):
        moving = {state for state in State if isinstance(TRANSITIONS[event][state], Move | Stay)}

        assert moving == {State.ACTIVE}
