"""Broken rules, each of which a search must find: cells of the real state table, and steps of the workers and doors.

A search proves only what it can see; these are the measure of that. Each is named by what it gets wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import pytest

from adapters import judging
from ledger import outcomes, resolutions
from ledger.payouts import payout
from ledger.payouts.payout import TRANSITIONS, Effect, Event, Move, Standing, State, Stay
from ledger.resolutions import Verb
from tests.lifecycle import books, surrounding, working
from tests.lifecycle.books import Ground, record
from tests.lifecycle.world import Answer, Case, Kind, Surroundings, Worker, World

Mutation: TypeAlias = Callable[[pytest.MonkeyPatch], None]

# Where they are looked for, unless a mutation needs more: every actor, one crash, one pause that outlasts a lease.
USUAL = Surroundings(refuses_repeats=False, lies=True, crashes_max=1, pauses_max=1)
REFUSING, MISTYPING = USUAL._replace(refuses_repeats=True), USUAL._replace(mistypes=True)
MISJUDGING, CONFIRMING = REFUSING._replace(misjudges=True), USUAL._replace(confirms=True)
MUTATIONS: dict[str, tuple[Mutation, Surroundings]] = {}

_RELEASE = Move(State.RELEASED, Effect.RELEASE)


@contextmanager
def broken_by(name: str) -> Iterator[Surroundings]:
    """The rules with one of them broken, and the surroundings in which it shows."""
    mutation, around = MUTATIONS[name]
    with pytest.MonkeyPatch.context() as patch:
        mutation(patch)
        yield around


def mutation(change: Mutation, *, around: Surroundings = USUAL) -> Mutation:
    """Keeps a mutation under the name of its function."""
    MUTATIONS[change.__name__.replace("_", "-")] = (change, around)
    return change


def _cell(patch: pytest.MonkeyPatch, event: Event, state: State, meaning: Move | Standing) -> None:
    patch.setitem(TRANSITIONS[event], state, meaning)


@mutation
def reserve_released_on_a_timeout(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.UNCLEAR, State.SUBMITTING, _RELEASE)


@mutation
def silence_taken_for_failure_by_the_table(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.UNCLEAR, State.SUBMITTED, _RELEASE)


@mutation
def late_success_dropped(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.SETTLED, State.RELEASED, Standing.OUTDATED)


@mutation
def late_success_settled(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.SETTLED, State.RELEASED, Move(State.SETTLED, Effect.SETTLE))


@mutation
def success_of_an_unknown_payout_ignored(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.SETTLED, State.UNKNOWN, Standing.OUTDATED)


@mutation
def cancelled_after_the_start(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.CANCELLED, State.SUBMITTING, Move(State.CANCELLED, Effect.RELEASE))


@mutation
def cancelled_after_submission(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.CANCELLED, State.SUBMITTED, Move(State.CANCELLED, Effect.RELEASE))


@mutation
def failure_after_settlement_released(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.FAILED, State.SETTLED, _RELEASE)


@mutation
def unknown_payout_queued_again(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.NOT_SENT, State.UNKNOWN, Move(State.RESERVED))


@mutation
def refuted_success_left_settled(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.REFUTED, State.CONFLICTED, Move(State.SETTLED, Effect.REFUTE))


def refusal_of_a_first_try_released_after_a_second(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(working, "was_sent_again", lambda _: False)


mutation(refusal_of_a_first_try_released_after_a_second, around=REFUSING)


def second_receipt_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.delitem(payout._OF_ANOTHER_RECEIPT, (Event.SETTLED, State.SETTLED))


mutation(second_receipt_dropped, around=MISTYPING)


@mutation
def receipt_booked_twice(patch: pytest.MonkeyPatch) -> None:
    judge = outcomes.judge

    def forgetful(outcome: Any, locked: Any, known: outcomes.Known) -> Move | Stay | Standing:
        return judge(outcome, locked, replace(known, suspended=frozenset()))

    patch.setattr(outcomes, "judge", forgetful)


@mutation
def lost_submission_sent_again(patch: pytest.MonkeyPatch) -> None:
    def start(world: World, around: Surroundings) -> World:
        if world.submit.unanswered:
            return world.with_workers(*world.workers, Worker(Kind.SUBMIT))
        return working.start_submission(world, around)

    patch.setitem(working.START, Kind.SUBMIT, start)


@mutation
def try_not_written_down_before_its_call(patch: pytest.MonkeyPatch) -> None:
    def start(world: World, around: Surroundings) -> World:
        started = working.start_submission(world, around)
        return started._replace(submit=started.submit._replace(unanswered=False))

    patch.setitem(working.START, Kind.SUBMIT, start)


@mutation
def sent_again_on_a_rail_that_pays_repeats(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(working, "may_repeat", lambda _: True)


def refused_repeat_released(patch: pytest.MonkeyPatch) -> None:
    def finish(world: World, worker: Worker) -> World:
        finished = working.finish_resubmission(world, worker)
        return working.told(finished, worker.answer) if worker.answer is Answer.REJECTED else finished

    patch.setitem(working.FINISH, Kind.RESUBMIT, finish)


mutation(refused_repeat_released, around=REFUSING._replace(pauses_max=0))


def refused_repeat_called_a_refused_payment(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(working, "refusal_of_a_repeat", lambda _: Answer.REJECTED)


mutation(refused_repeat_called_a_refused_payment, around=MISJUDGING)


def success_of_a_reserved_payout_ignored(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.SETTLED, State.RESERVED, Standing.OUTDATED)


mutation(success_of_a_reserved_payout_ignored, around=MISJUDGING)


def success_of_a_cancelled_payout_settled(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Event.SETTLED, State.CANCELLED, Move(State.SETTLED, Effect.SETTLE))


mutation(success_of_a_cancelled_payout_settled, around=MISJUDGING)


def large_failure_believed_unasked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(judging, "_needs_confirmation", lambda *_: False)


mutation(large_failure_believed_unasked, around=CONFIRMING)


@mutation
def not_found_taken_for_failed(patch: pytest.MonkeyPatch) -> None:
    ask = working.ask

    def certain(world: World, around: Surroundings) -> Iterator[tuple[str, Answer, World]]:
        if not world.provider.seen:
            yield "the provider does not know the payout", Answer.FAILED, world
        yield from ask(world, around)

    patch.setattr(working, "ask", certain)


@mutation
def nobody_told_after_the_last_question(patch: pytest.MonkeyPatch) -> None:
    def start(world: World, around: Surroundings) -> World:
        return working.start_question(world, around)._replace(cases=world.cases)

    patch.setitem(working.START, Kind.QUERY, start)


@mutation
def silence_called_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(surrounding, "call_silence_unknown", partial(record, saying=books.FAILED, ground=Ground.GUESS))


@mutation
def instructions_outlive_the_payout(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(books, "complete", lambda world: world)


@mutation
def unknown_payout_dismissed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(resolutions, "_check_dismissible", lambda *_: None)


@mutation
def submitting_payout_given_back_by_a_person(patch: pytest.MonkeyPatch) -> None:
    movable = resolutions._MOVABLE[Verb.RELEASE] | {State.SUBMITTING}
    patch.setitem(resolutions._MOVABLE, Verb.RELEASE, movable)


@mutation
def not_sent_told_of_a_payout_that_moved_on(patch: pytest.MonkeyPatch) -> None:
    def finish(world: World, worker: Worker) -> World:
        finished = working.finish_submission(world, worker)
        return books.with_case(finished, Case.NOT_SENT) if worker.answer is Answer.NOT_SENT else finished

    patch.setitem(working.FINISH, Kind.SUBMIT, finish)
