"""What payments and returns make of an order: every decision stays on the drawn edges."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ledger.collections.order import EDGES, Event, OrderMoney, State, after_payment, after_return, refusal
from ledger.money import Money
from tests.ledger.payouts.shop import MOMENT

FINAL = {State.EXPIRED, State.CANCELLED, State.REVERSED}
amounts = st.integers(1, 10**12).map(lambda units: Money("KES", units))
nothing_or_more = st.integers(0, 10**12).map(lambda units: Money("KES", units))
seconds = st.integers(-(10**6), 10**6)
orders = st.builds(
    OrderMoney, state=st.sampled_from(State), amount=amounts, paid=nothing_or_more, expires_at=st.just(MOMENT)
)


def test_an_order_ends_for_good_and_only_a_paid_one_is_reversed() -> None:
    assert {source for source, _ in EDGES} == set(State) - FINAL
    assert {target for _, target in EDGES} == set(State) - {State.OPEN}
    assert {source for source, target in EDGES if target is State.REVERSED} == {State.PAID}


@given(orders, amounts, seconds)
def test_an_order_takes_money_only_while_it_is_open_in_time_and_in_its_currency(
    order: OrderMoney, amount: Money, late: int
) -> None:
    taken = refusal(order, amount, paid_at=MOMENT + timedelta(microseconds=late)) is None

    assert taken == (order.state is State.OPEN and late < 0)
    assert refusal(order, Money("USD", amount.minor_units), paid_at=MOMENT - timedelta(days=1)) is not None


@given(orders, amounts)
def test_a_payment_completes_an_order_exactly_when_nothing_is_missing_any_more(
    order: OrderMoney, amount: Money
) -> None:
    paid = order.paid + amount

    turn = after_payment(order, paid)

    complete = amount.minor_units >= order.missing
    assert (turn.state is State.PAID) == (turn.event is Event.PAID) == complete
    assert turn.event is Event.PAID or turn.event is Event.PART_PAID
    assert (State.OPEN, turn.state) in EDGES or turn.state is State.OPEN


@given(orders, nothing_or_more)
def test_a_return_reverses_a_paid_order_of_which_nothing_is_left_and_leaves_every_other_where_it_is(
    order: OrderMoney, left: Money
) -> None:
    turn = after_return(order, left)

    reversed_now = order.state is State.PAID and left.minor_units == 0
    assert (turn.state is State.REVERSED and turn.event is Event.REVERSED) == reversed_now or order.state is turn.state
    assert (order.state, turn.state) in EDGES if reversed_now else turn.state is order.state
    assert turn.event is (Event.REVERSED if reversed_now else Event.PART_RETURNED)


@given(orders)
def test_what_is_missing_is_never_negative_and_makes_up_the_amount(order: OrderMoney) -> None:
    assert order.missing >= 0
    assert order.missing == 0 or order.missing + order.paid.minor_units == order.amount.minor_units


@given(amounts, st.lists(st.tuples(st.booleans(), st.integers(1, 10**12)), max_size=20))
def test_whatever_is_paid_and_returned_an_order_moves_along_its_edges(
    amount: Money, happened: list[tuple[bool, int]]
) -> None:
    """Each (comes in, minor units): what an order refuses is not paid, and no more is returned than is there."""
    order = OrderMoney(State.OPEN, amount, Money("KES", 0), MOMENT)

    for comes_in, units in happened:
        before = order.state
        if comes_in and refusal(order, Money("KES", units), paid_at=MOMENT - timedelta(1)) is None:
            paid = order.paid.minor_units + units
            turn = after_payment(order, Money("KES", paid))
        elif not comes_in and order.paid.minor_units:
            paid = max(0, order.paid.minor_units - units)
            turn = after_return(order, Money("KES", paid))
        else:
            continue
        order = OrderMoney(turn.state, amount, Money("KES", paid), MOMENT)

        assert order.state is before or (before, order.state) in EDGES
        assert order.state is not State.REVERSED or paid == 0
        assert before is not State.OPEN or (order.state is State.PAID) == (paid >= amount.minor_units)
