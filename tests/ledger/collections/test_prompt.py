"""The pure table of prompts: what every event makes of every state, and who may have paid."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from ledger.collections.prompt import EDGES, Event, Standing, State, masks_agree, payer_hash, transition
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import Payer, PayerForm

events, states = st.sampled_from(Event), st.sampled_from(State)
numbers = st.from_regex(r"2547[0-9]{8}", fullmatch=True)


@given(events, states, st.booleans())
def test_an_event_moves_a_prompt_along_a_drawn_edge_or_says_why_not(event: Event, state: State, told: bool) -> None:
    outcome = transition(event, state, told_paid=told)

    assert isinstance(outcome, Standing) or (event, state, outcome) in EDGES


@given(states, st.booleans())
def test_money_pays_a_prompt_in_every_state(state: State, told: bool) -> None:
    outcome = transition(Event.PAID, state, told_paid=told)

    assert outcome is (Standing.REPEATED if state is State.PAID else State.PAID)


@given(events, st.booleans())
def test_nothing_undoes_a_prompt_that_is_paid(event: Event, told: bool) -> None:
    assert isinstance(transition(event, State.PAID, told_paid=told), Standing)


@given(events)
def test_what_is_told_to_be_paid_is_not_failed_afterwards(event: Event) -> None:
    for state in State:
        assert transition(event, state, told_paid=True) is not State.FAILED


@given(events, states)
def test_only_the_providers_definite_word_fails_a_prompt(event: Event, state: State) -> None:
    assert (transition(event, state, told_paid=False) is not State.FAILED) or event is Event.FAILED


@given(numbers)
def test_a_payer_is_the_same_in_each_form_that_providers_show(number: str) -> None:
    plain = payer_hash(Payer(PayerForm.PLAIN, number))
    hashed = payer_hash(Payer(PayerForm.HASHED, hashlib.sha256(number.encode()).hexdigest().upper()))

    assert plain == hashed == payer_hash(Msisdn(number))
    assert payer_hash(Payer(PayerForm.MASKED, "2547****126")) is None


@given(numbers, numbers)
def test_masks_agree_where_both_ends_are_alike(one: str, other: str) -> None:
    alike = one[:4] == other[:4] and one[-3:] == other[-3:]

    assert masks_agree(f"{one[:4]} ***** {one[-3:]}", Msisdn(other).masked) == alike
