"""The pure table of returns: what every event makes of every state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.collections.returning import EDGES, OPEN_STATES, Event, Standing, State, transition

events, states = st.sampled_from(Event), st.sampled_from(State)


@given(events, states)
def test_an_event_moves_a_return_along_a_drawn_edge_or_says_why_not(event: Event, state: State) -> None:
    outcome = transition(event, state)

    assert isinstance(outcome, Standing) or (event, state, outcome) in EDGES


@given(events, st.sampled_from(sorted(set(State) - OPEN_STATES, key=str)))
def test_only_a_late_success_moves_a_return_that_has_ended(event: Event, state: State) -> None:
    outcome = transition(event, state)

    late = (event, state) == (Event.RETURNED, State.FAILED)
    assert outcome is State.RETURNED if late else isinstance(outcome, Standing)


@given(events, states)
def test_only_a_definite_word_ends_a_return(event: Event, state: State) -> None:
    ended = transition(event, state) in set(State) - OPEN_STATES

    late = (event, state) == (Event.RETURNED, State.FAILED)
    assert ended == (late or (event in {Event.RETURNED, Event.FAILED} and state in OPEN_STATES))


def test_a_failure_told_of_what_was_returned_is_a_conflict() -> None:
    assert transition(Event.FAILED, State.RETURNED) is Standing.CONFLICT
