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
    OF_A_RECEIPT,
    TRANSITIONS,
    Effect,
    Event,
    Move,
    PayoutMoney,
    Standing,
    State,
    Suspended,
    decided_entry,
    effect_entry,
    receipt_subject,
    reserve_entry,
    suspending_entry,
    transition,
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

# Where each effect on the reserved money may happen.
DRAWN = sorted(
    {
        (state, move.effect)
        for states in TRANSITIONS.values()
        for state, move in states.items()
        if isinstance(move, Move) and move.effect not in {Effect.NONE, *OF_A_RECEIPT}
    },
    key=str,
)
DECIDED = {Event.CHARGED, Event.CLAWED_BACK, Event.REFUTED}
RECEIPTS = ("R1", "R2", "R3")


def entry_of(effect: Effect, payout: PayoutMoney, *, state: State, charge: Money | None) -> JournalEntry:
    return effect_entry(effect, payout, state=state, at=MOMENT, source=Source.CALLBACK, reference="R1", charge=charge)


def late_entry(payout: PayoutMoney, receipt: str, charge: Money | None) -> JournalEntry:
    return suspending_entry(payout, rail="x", receipt=receipt, at=MOMENT, source=Source.CALLBACK, charge=charge)


def verdict_on(effect: Effect, payout: PayoutMoney, held: Suspended) -> JournalEntry:
    return decided_entry(effect, payout, held, rail="x", at=MOMENT, source=Source.MANUAL)


@dataclass
class Life:
    """A payout walked through the table, with the net debit of every account it touched, the receipt that settled it,
    and what left under others: in suspense, and as a person decided."""

    payout: PayoutMoney
    charge: Money | None
    state: State = State.RESERVED
    receipt: str | None = None
    net: Counter[str] = field(default_factory=Counter)
    posted: list[tuple[str, str]] = field(default_factory=list)
    held: dict[str, Suspended] = field(default_factory=dict)
    decided: dict[str, Effect] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.post(reserve_entry(self.payout, at=MOMENT, reference="order-1"))

    def post(self, entry: JournalEntry) -> None:
        assert entry.subject is not None
        self.posted.append((entry.subject.id, entry.kind))
        for line in entry.postings:
            self.net[line.account] += line.money.minor_units * (1 if line.side is Side.DEBIT else -1)

    def meet(self, event: Event, receipt: str = "R1") -> None:
        """Applies the event, about this receipt, if it moves anything."""
        if event is Event.SETTLED and receipt in {*self.held, *self.decided}:
            return
        if event in DECIDED and receipt not in self.held:
            return
        another = self.receipt not in {None, receipt} or (event in DECIDED and len(self.held) > 1)
        if event is Event.SETTLED:
            another = self.receipt != receipt
        move = transition(event, self.state, of_another_receipt=another)
        if isinstance(move, Standing):
            return
        self.apply(move.effect, receipt)
        if isinstance(move, Move):
            self.receipt = receipt if move.target is State.SETTLED else self.receipt
            self.state = move.target

    def apply(self, effect: Effect, receipt: str) -> None:
        if effect is Effect.LATE_SUCCESS:
            entry = late_entry(self.payout, receipt, self.charge)
            self.held[receipt] = Suspended(77, receipt, MOMENT, entry.postings)
            self.post(entry)
        elif effect in OF_A_RECEIPT:
            self.decided[receipt] = effect
            self.post(verdict_on(effect, self.payout, self.held.pop(receipt)))
        elif effect is not Effect.NONE:
            self.post(entry_of(effect, self.payout, state=self.state, charge=self.charge))

    def expected(self) -> dict[str, int]:
        """The net debits that the state and the receipts alone imply."""
        amount, fee = self.payout.amount.minor_units, self.payout.fee.minor_units
        charge = self.charge.minor_units if self.charge else 0
        in_transit, unknown = self.state in IN_TRANSIT_STATES, self.state is State.UNKNOWN
        settled = self.state is State.SETTLED and self.receipt not in self.decided
        left = settled + len(self.held) + sum(effect is not Effect.REFUTE for effect in self.decided.values())
        counts = Counter(self.decided.values())
        is_open = in_transit or unknown
        return {
            PREFUND: (amount + fee) * (is_open or settled) + amount * counts[Effect.CHARGE],
            IN_TRANSIT: -amount * in_transit,
            UNKNOWN: -amount * unknown,
            DEFERRED: -fee * is_open,
            FLOAT: -amount * left,
            FEES: -fee * settled,
            CHARGES: charge * left,
            OWED: -charge * left,
            SHORTAGE: amount * len(self.held),
            CLAWBACK: amount * counts[Effect.CLAW_BACK],
        }


NEWS = st.tuples(st.sampled_from(Event), st.sampled_from(RECEIPTS))


@given(payouts, charges, st.lists(NEWS, max_size=16))
def test_whatever_happens_the_money_is_where_the_state_and_the_receipts_say(
    payout: PayoutMoney, charge: Money | None, news: list[tuple[Event, str]]
) -> None:
    life = Life(payout, charge)

    for event, receipt in news:
        life.meet(event, receipt)

        assert {account: life.net[account] for account in life.expected()} == life.expected()
        assert sum(life.net.values()) == 0
        assert set(life.net) <= set(life.expected())


@given(payouts, st.lists(NEWS, max_size=24))
def test_no_path_posts_a_kind_of_entry_twice_for_a_payout_or_a_receipt(
    payout: PayoutMoney, news: list[tuple[Event, str]]
) -> None:
    """So the database's rule of one entry per subject and kind never stops an outcome."""
    life = Life(payout, None)

    for event, receipt in news:
        life.meet(event, receipt)

    assert len(set(life.posted)) == len(life.posted)


@given(st.lists(NEWS, max_size=24))
def test_a_payout_is_in_conflict_while_money_is_in_suspense_and_nothing_settled_it(
    news: list[tuple[Event, str]],
) -> None:
    life = Life(PayoutMoney("pay_0000000000001", PREFUND, ACCOUNTS, Money("KES", 1), Money("KES", 1), 41), None)

    for event, receipt in news:
        life.meet(event, receipt)

        assert (life.state is State.CONFLICTED) == (bool(life.held) and life.receipt is None)
        assert (life.state is State.SETTLED) == (life.receipt is not None)


@given(payouts, charges)
def test_a_settled_released_or_cancelled_payout_leaves_nothing_in_a_clearing_account(
    payout: PayoutMoney, charge: Money | None
) -> None:
    roads = [(Event.CANCELLED,), (Event.SETTLED,), (Event.FAILED,), (Event.UNCLEAR, Event.SETTLED)]
    roads += [(Event.CANCELLED, Event.SETTLED, Event.CHARGED), (Event.FAILED, Event.SETTLED, Event.CLAWED_BACK)]
    roads += [(Event.CANCELLED, Event.SETTLED, Event.REFUTED)]
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

    expected = [Posting(FLOAT, Side.CREDIT, payout.amount)] if effect is Effect.SETTLE else []
    assert [line for line in entry.postings if line.account == FLOAT] == expected


@pytest.mark.parametrize(("state", "effect"), DRAWN)
def test_every_entry_names_its_payout_once_and_its_evidence(state: State, effect: Effect) -> None:
    payout = PayoutMoney("pay_0000000000001", PREFUND, ACCOUNTS, Money("KES", 150_000), Money("KES", 0), 41)

    entry = entry_of(effect, payout, state=state, charge=None)

    assert (entry.kind, entry.subject, entry.once) == (effect.value, payout.subject, True)
    assert (entry.effective_at, entry.source, entry.reference) == (MOMENT, Source.CALLBACK, "R1")


@given(payouts, charges)
def test_what_is_refuted_never_left_charge_included(payout: PayoutMoney, charge: Money | None) -> None:
    late = late_entry(payout, "R2", charge)

    refuted = verdict_on(Effect.REFUTE, payout, Suspended(77, "R2", MOMENT, late.postings))

    assert refuted.reverses_id == 77
    assert list(refuted.postings) == [opposite(line) for line in late.postings]


@pytest.mark.parametrize("effect", sorted(OF_A_RECEIPT, key=str))
def test_what_left_under_another_receipt_is_booked_under_that_receipt_once(effect: Effect) -> None:
    payout = PayoutMoney("pay_0000000000001", PREFUND, ACCOUNTS, Money("KES", 150_000), Money("KES", 0), 41)
    late = late_entry(payout, "R2", None)
    held = Suspended(77, "R2", MOMENT, late.postings)

    entry = late if effect is Effect.LATE_SUCCESS else verdict_on(effect, payout, held)

    assert (entry.kind, entry.subject, entry.once) == (effect.value, receipt_subject(rail="x", receipt="R2"), True)
    assert (entry.reference, entry.facts) == ("R2", {"payout": "pay_0000000000001"})


def test_receipts_of_any_length_have_a_subject_of_their_own() -> None:
    long = [f"{'x' * 90}{number}" for number in range(3)]

    subjects = {receipt_subject(rail="daraja", receipt=receipt).id for receipt in ("R1", "R2", *long)}

    assert len(subjects) == 5
