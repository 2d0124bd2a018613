"""The entries of a payout over every path of the table: each balances, and every clearing account returns to zero."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.journal.chart import is_clearing
from ledger.journal.entry import JournalEntry, Posting, Side, Source
from ledger.money import Money
from ledger.payouts.payout import (
    IN_TRANSIT_STATES,
    TRANSITIONS,
    Effect,
    Event,
    Move,
    PayoutMoney,
    State,
    effect_entry,
    reserve_entry,
)
from tests.ledger.payouts.shop import (
    ACCOUNTS,
    CHARGES,
    CLAWBACK,
    DEFERRED,
    FEES,
    FLOAT,
    IN_TRANSIT,
    MOMENT,
    OWED,
    PREFUND,
    SHORTAGE,
    UNKNOWN,
)

amounts = st.integers(1, 10**12).map(lambda units: Money("KES", units))
fees = st.integers(0, 10**9).map(lambda units: Money("KES", units))
charges = st.none() | fees
payouts = st.builds(
    PayoutMoney,
    public_id=st.just("pay_0000000000001"),
    funding=st.just(PREFUND),
    accounts=st.just(ACCOUNTS),
    amount=amounts,
    fee=fees,
    reserve_entry_id=st.just(41),
)

# Where each effect may happen.
DRAWN = sorted(
    {
        (state, move.effect)
        for states in TRANSITIONS.values()
        for state, move in states.items()
        if isinstance(move, Move) and move.effect is not Effect.NONE
    },
    key=str,
)


def entry_of(effect: Effect, payout: PayoutMoney, *, state: State, charge: Money | None) -> JournalEntry:
    return effect_entry(effect, payout, state=state, at=MOMENT, source=Source.CALLBACK, reference="R1", charge=charge)


@dataclass
class Life:
    """A payout walked through the table, with the net debit of every account it touched."""

    payout: PayoutMoney
    charge: Money | None
    state: State = State.RESERVED
    net: Counter[str] = field(default_factory=Counter)
    kinds: list[str] = field(default_factory=list)
    decided: Effect = Effect.NONE

    def __post_init__(self) -> None:
        self.post(reserve_entry(self.payout, at=MOMENT, reference="order-1"))

    def post(self, entry: JournalEntry) -> None:
        self.kinds.append(entry.kind)
        for line in entry.postings:
            self.net[line.account] += line.money.minor_units * (1 if line.side is Side.DEBIT else -1)

    def meet(self, event: Event) -> None:
        """Applies the event, if it moves the payout."""
        move = TRANSITIONS[event][self.state]
        if not isinstance(move, Move):
            return
        if move.effect is not Effect.NONE:
            self.post(entry_of(move.effect, self.payout, state=self.state, charge=self.charge))
        if move.effect in {Effect.CHARGE, Effect.CLAW_BACK}:
            self.decided = move.effect
        self.state = move.target

    def expected(self) -> dict[str, int]:
        """The net debits that the state alone implies."""
        amount, fee = self.payout.amount.minor_units, self.payout.fee.minor_units
        charge = self.charge.minor_units if self.charge else 0
        in_transit, unknown = self.state in IN_TRANSIT_STATES, self.state is State.UNKNOWN
        moved = self.state in {State.SETTLED, State.CONFLICTED}
        settled = self.state is State.SETTLED and self.decided is Effect.NONE
        is_open = in_transit or unknown
        return {
            PREFUND: (amount + fee) * (is_open or settled) + amount * (self.decided is Effect.CHARGE),
            IN_TRANSIT: -amount * in_transit,
            UNKNOWN: -amount * unknown,
            DEFERRED: -fee * is_open,
            FLOAT: -amount * moved,
            FEES: -fee * settled,
            CHARGES: charge * moved,
            OWED: -charge * moved,
            SHORTAGE: amount * (self.state is State.CONFLICTED),
            CLAWBACK: amount * (self.decided is Effect.CLAW_BACK),
        }


@given(payouts, charges, st.lists(st.sampled_from(Event), max_size=12))
def test_whatever_happens_the_money_is_where_the_state_says(
    payout: PayoutMoney, charge: Money | None, events: list[Event]
) -> None:
    life = Life(payout, charge)

    for event in events:
        life.meet(event)

        assert {account: life.net[account] for account in life.expected()} == life.expected()
        assert sum(life.net.values()) == 0
        assert set(life.net) <= set(life.expected())


def test_no_path_through_the_table_posts_a_kind_of_entry_twice() -> None:
    """Walks every reachable (state, kinds posted): the database's rule of one entry per kind never stops an outcome."""
    fresh = Life(PayoutMoney("pay_0000000000001", PREFUND, ACCOUNTS, Money("KES", 1), Money("KES", 1), 41), None)
    seen = {(fresh.state, tuple(fresh.kinds))}
    frontier = list(seen)

    while frontier:
        state, kinds = frontier.pop()
        for event in Event:
            life = Life(fresh.payout, None)
            life.state, life.kinds = state, list(kinds)
            life.meet(event)
            assert len(set(life.kinds)) == len(life.kinds)
            place = (life.state, tuple(life.kinds))
            if place not in seen:
                seen.add(place)
                frontier.append(place)

    assert {state for state, _ in seen} == set(State)


@given(payouts, charges)
def test_a_settled_released_or_cancelled_payout_leaves_nothing_in_a_clearing_account(
    payout: PayoutMoney, charge: Money | None
) -> None:
    roads = [(Event.CANCELLED,), (Event.SETTLED,), (Event.FAILED,), (Event.UNCLEAR, Event.SETTLED)]
    roads += [(Event.CANCELLED, Event.SETTLED, Event.CHARGED), (Event.FAILED, Event.SETTLED, Event.CLAWED_BACK)]
    roads += [(Event.UNCLEAR, Event.FAILED), (Event.STARTED, Event.NOT_SENT, Event.STARTED, Event.REJECTED)]

    for road in roads:
        life = Life(payout, charge)
        for event in road:
            life.meet(event)

        assert {account: units for account, units in life.net.items() if is_clearing(account) and units} == {}


@given(payouts, st.sampled_from(sorted(IN_TRANSIT_STATES, key=str)))
def test_a_release_is_line_for_line_the_opposite_of_the_reserve(payout: PayoutMoney, state: State) -> None:
    reserve = reserve_entry(payout, at=MOMENT, reference="order-1")

    release = entry_of(Effect.RELEASE, payout, state=state, charge=None)

    assert release.reverses_id == payout.reserve_entry_id
    assert list(release.postings) == [opposite(line) for line in reserve.postings]


@given(payouts)
def test_a_release_from_unknown_gives_back_the_same_but_is_no_reversal_of_the_reserve(payout: PayoutMoney) -> None:
    """Its money rests in another account than the reserve credited, so the two cannot be linked line by line."""
    reserve = reserve_entry(payout, at=MOMENT, reference="order-1")

    release = entry_of(Effect.RELEASE, payout, state=State.UNKNOWN, charge=None)

    assert release.reverses_id is None
    given_back = [opposite(line) for line in reserve.postings]
    assert list(release.postings) == [
        Posting(UNKNOWN, line.side, line.money) if line.account == IN_TRANSIT else line for line in given_back
    ]


def opposite(line: Posting) -> Posting:
    return Posting(line.account, line.side.opposite, line.money)


@given(payouts, charges, st.sampled_from(DRAWN))
def test_only_a_success_credits_the_float_and_only_by_the_amount(
    payout: PayoutMoney, charge: Money | None, drawn: tuple[State, Effect]
) -> None:
    state, effect = drawn

    entry = entry_of(effect, payout, state=state, charge=charge)

    succeeded = effect in {Effect.SETTLE, Effect.LATE_SUCCESS}
    expected = [Posting(FLOAT, Side.CREDIT, payout.amount)] if succeeded else []
    assert [line for line in entry.postings if line.account == FLOAT] == expected


@pytest.mark.parametrize(("state", "effect"), DRAWN)
def test_every_entry_names_its_payout_once_and_its_evidence(state: State, effect: Effect) -> None:
    payout = PayoutMoney("pay_0000000000001", PREFUND, ACCOUNTS, Money("KES", 150_000), Money("KES", 0), 41)

    entry = entry_of(effect, payout, state=state, charge=None)

    assert (entry.kind, entry.subject, entry.once) == (effect.value, payout.subject, True)
    assert (entry.effective_at, entry.source, entry.reference) == (MOMENT, Source.CALLBACK, "R1")
