"""Bugs in the state table and in what is booked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ledger.payouts.payout import TRANSITIONS, Effect, Event, Move, Standing, State
from tests.simulation.mutants import Change, part, planted

decide, payout, posting = part("ledger.journal.decide"), part("ledger.payouts.payout"), part("ledger.payouts.posting")


def edge(change: Change, event: Event, states: Sequence[State], meaning: Move | Standing) -> None:
    """Gives an event another meaning in some states."""
    for state in states:
        change(TRANSITIONS[event], state, meaning)


@planted
def reserve_released_on_a_timeout(change: Change) -> None:
    edge(
        change,
        Event.UNCLEAR,
        [State.RESERVED, State.SUBMITTING, State.SUBMITTED],
        Move(State.RELEASED, Effect.RELEASE),
    )


@planted
def late_success_dropped(change: Change) -> None:
    edge(change, Event.SETTLED, [State.RELEASED, State.CANCELLED], Standing.OUTDATED)


@planted
def failure_after_success_releases(change: Change) -> None:
    edge(change, Event.FAILED, [State.SETTLED], Move(State.RELEASED, Effect.RELEASE))


@planted
def success_of_the_unknown_dropped(change: Change) -> None:
    edge(change, Event.SETTLED, [State.UNKNOWN], Standing.OUTDATED)


@planted
def charge_booked_twice(change: Change) -> None:
    lines = payout._charge_lines
    change(payout, "_charge_lines", lambda *given: [*lines(*given), *lines(*given)])


@planted
def fee_kept_on_a_release(change: Change) -> None:
    def stingy(money: Any, resting: str) -> Any:
        return [payout.credit(money.funding, money.amount), payout.debit(resting, money.amount)]

    change(payout, "_release", stingy)


@planted
def late_success_not_taken_from_the_float(change: Change) -> None:
    entry = posting.suspending_entry

    def wrong(money: Any, **named: Any) -> Any:
        accounts = replace(money.accounts, float_account=money.accounts.clawback)
        return entry(replace(money, accounts=accounts), **named)

    change(posting, "suspending_entry", wrong)


@planted
def floor_not_asked(change: Change) -> None:
    change(decide, "_check_bounds", lambda *_: None)
