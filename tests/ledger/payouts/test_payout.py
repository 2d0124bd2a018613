"""The state table: total, closed, and safe to act on. The same edges stand in the database."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from ledger.payouts.payout import IN_TRANSIT_STATES, TRANSITIONS, Effect, Event, Move, Standing, State

ALL = [(event, state) for event in Event for state in State]
OPEN = {State.RESERVED, State.SUBMITTING, State.SUBMITTED, State.UNKNOWN}


def edges() -> dict[tuple[str, str], set[str]]:
    """Every drawn edge, with the kinds of entry that may go with it."""
    found: dict[tuple[str, str], set[str]] = {}
    for _, state, move in moves():
        kinds = {move.effect.value} if move.effect is not Effect.NONE else set()
        found.setdefault((state.value, move.target.value), set()).update(kinds)
    return found


def moves() -> list[tuple[Event, State, Move]]:
    """Every drawn transition."""
    found = [(event, state, TRANSITIONS[event][state]) for event, state in ALL]
    return [(event, state, move) for event, state, move in found if isinstance(move, Move)]


def test_the_table_answers_every_event_in_every_state() -> None:
    answered = {(event, state) for event, states in TRANSITIONS.items() for state in states}

    assert answered == set(ALL)


async def test_the_database_draws_the_same_edges_with_the_same_kinds_of_entry(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        found = await connection.execute(text("SELECT source, target, kinds FROM payout_edges"))
        drawn = {(source, target): set(kinds) for source, target, kinds in found}

    assert drawn == edges()


def test_the_database_knows_no_state_and_no_effect_that_the_table_does_not_reach() -> None:
    reached = {State.RESERVED} | {move.target for _, _, move in moves()}

    assert reached == set(State)
    assert {move.effect for _, _, move in moves()} == set(Effect)


def test_only_a_reserved_payout_is_sent_and_only_a_provable_miss_makes_it_reserved_again() -> None:
    into_submitting = {(event, state) for event, state, move in moves() if move.target is State.SUBMITTING}
    into_reserved = {(event, state) for event, state, move in moves() if move.target is State.RESERVED}

    assert into_submitting == {(Event.STARTED, State.RESERVED)}
    assert into_reserved == {(Event.NOT_SENT, State.SUBMITTING)}


def test_money_goes_back_to_the_partner_only_on_a_definite_answer() -> None:
    releasing = {event for event, _, move in moves() if move.effect is Effect.RELEASE}

    assert releasing == {Event.REJECTED, Event.FAILED, Event.CANCELLED}


def test_a_payout_is_cancelled_only_before_it_is_sent() -> None:
    assert {state for event, state, _ in moves() if event is Event.CANCELLED} == {State.RESERVED}


def test_a_final_state_is_left_only_for_a_conflict_and_a_conflict_only_by_a_person() -> None:
    leaving = {(state, move.target, event) for event, state, move in moves() if state not in OPEN}

    assert leaving == {
        (State.RELEASED, State.CONFLICTED, Event.SETTLED),
        (State.CANCELLED, State.CONFLICTED, Event.SETTLED),
        (State.CONFLICTED, State.SETTLED, Event.CHARGED),
        (State.CONFLICTED, State.SETTLED, Event.CLAWED_BACK),
        (State.CONFLICTED, State.RELEASED, Event.REFUTED),
    }


def test_a_persons_decision_moves_nothing_but_a_conflict() -> None:
    decided = {state for event, state, _ in moves() if event in {Event.CHARGED, Event.CLAWED_BACK, Event.REFUTED}}

    assert decided == {State.CONFLICTED}


def test_a_success_is_never_taken_for_outdated() -> None:
    standings = {standing for standing in TRANSITIONS[Event.SETTLED].values() if isinstance(standing, Standing)}

    assert standings == {Standing.REPEATED}


@pytest.mark.parametrize(("event", "state"), ALL)
def test_a_standing_contradiction_is_never_hidden(event: Event, state: State) -> None:
    """A definite failure of what is settled, or news of what was taken back, reaches a person or moves the money."""
    contradicts = (
        (state is State.SETTLED and event in {Event.FAILED, Event.REJECTED})
        or (state is State.SUBMITTED and event is Event.REJECTED)
        or (state is State.CANCELLED and event in {Event.ACKNOWLEDGED, Event.UNCLEAR})
    )

    assert (TRANSITIONS[event][state] is Standing.CONFLICT) == contradicts


def test_money_that_rests_in_transit_belongs_to_a_payout_that_may_still_move() -> None:
    settling = {state for _, state, move in moves() if move.effect is Effect.SETTLE}
    parking = {state for _, state, move in moves() if move.effect is Effect.PARK}

    assert settling == OPEN
    assert parking == IN_TRANSIT_STATES == OPEN - {State.UNKNOWN}
