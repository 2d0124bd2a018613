"""Concurrent callers at one till: no money is given twice, none is taken that was spent, and nobody waits in a ring."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from ledger.collections.allocation import Target, TargetKind
from ledger.collections.moving import Made
from ledger.collections.order import State
from ledger.collections.receipt import Holdings
from ledger.database import run, transaction
from ledger.errors import FloorWouldBreak, OrderNotOpen, ReceiptShort
from ledger.journal.decide import Refused
from ledger.money import Money
from ledger.payouts.request import Requested
from tests.ledger.collections.hands import AMINA, cancelling, expiring, giving, taking_back
from tests.ledger.collections.till import PREFUND, SUSPENSE, WALLET, Till
from tests.ledger.payouts.test_races import until_waiting

ROUNDS = 6


@asynccontextmanager
async def account_held(till: Till, path: str) -> AsyncIterator[None]:
    """Nobody can post to the account meanwhile."""
    async with transaction(till.shop.engine) as connection:
        await connection.execute(text(_HOLD), {"ledger": till.shop.ledger.id, "path": path})
        yield


_HOLD = """
SELECT FROM account_balances AS b JOIN accounts AS a ON a.ledger_id = b.ledger_id AND a.id = b.account_id
WHERE b.ledger_id = :ledger AND a.path = :path FOR UPDATE OF b
"""


async def suspended(till: Till, *, shillings: int) -> int:
    """The id of a receipt that waits for a person."""
    receipt_id = await till.take(reference="nobody", shillings=shillings)
    till.shop.clock.advance(seconds=301)
    await till.settle_waiting()
    return receipt_id


async def test_receipts_that_each_pay_an_order_in_full_at_once_pay_it_once(till: Till) -> None:
    order = await till.order(shillings=10)
    paid = [till.paid(reference=order.reference, shillings=10) for _ in range(8)]

    await asyncio.gather(*(till.tell(one) for one in paid))

    found = (await till.read_order(order)).money
    assert (found.state, found.paid) == (State.PAID, Money("KES", 1000))
    assert await till.order_events(order) == [("created", 0), ("paid", 1000)]
    assert await till.balances(SUSPENSE) == [70]
    assert [queue for queue, _ in await till.cases()] == ["receipt-unallocated"] * 7


async def test_parts_of_an_order_paid_at_once_are_counted_one_after_the_other(till: Till) -> None:
    order = await till.order(shillings=40)
    paid = [till.paid(reference=order.reference, shillings=10) for _ in range(4)]

    await asyncio.gather(*(till.tell(one) for one in paid))

    steps = [("created", 0), ("part_paid", 1000), ("part_paid", 2000), ("part_paid", 3000), ("paid", 4000)]
    assert await till.order_events(order) == steps


async def test_money_is_taken_back_from_a_partner_or_spent_by_it_and_never_both(till: Till) -> None:
    await till.shop.request(shillings=200_000)

    for number in range(ROUNDS):
        order = await till.order(shillings=1000)
        receipt_id = await till.take(reference=order.reference)
        back = run(till.shop.engine, taking_back(till, receipt_id))
        spent = till.shop.request_all(till.shop.draft(shillings=1000))

        answers = await asyncio.gather(*([back, spent] if number % 2 else [spent, back]), return_exceptions=True)

        kept = [one for one in answers if isinstance(one, FloorWouldBreak)]
        refused = [one for one in answers if isinstance(one, list) and isinstance(one[0], Refused)]
        assert len(kept) + len(refused) == 1, answers
        assert await till.balances(PREFUND) == [0]
        assert (await till.receipt(receipt_id)).holdings.allocated == (100_000 if kept else 0)
        assert (await till.read_order(order)).money.state is (State.PAID if kept else State.REVERSED)
        assert kept or isinstance(refused[0][0].error, FloorWouldBreak)
        assert refused or any(isinstance(one, list) and isinstance(one[0], Requested) for one in answers)


async def test_one_of_two_hands_gives_the_money(till: Till) -> None:
    receipt_id = await suspended(till, shillings=300)
    shop = Target(TargetKind.ACCOUNT, PREFUND)

    answers = await asyncio.gather(
        *(run(till.shop.engine, giving(till, receipt_id, target, 30_000)) for target in (AMINA, shop)),
        return_exceptions=True,
    )

    assert sorted(type(one).__name__ for one in answers) == ["Made", "ReceiptShort"]
    assert await till.holdings(receipt_id) == Holdings(0, allocated=30_000)
    assert await till.events(receipt_id) == ["received", "parked", "allocated"]


async def test_many_hands_give_exactly_what_is_there(till: Till) -> None:
    receipt_id = await suspended(till, shillings=300)

    answers = await asyncio.gather(
        *(run(till.shop.engine, giving(till, receipt_id, AMINA, 10_000)) for _ in range(8)), return_exceptions=True
    )

    assert [type(one) for one in answers].count(Made) == 3
    assert [type(one) for one in answers].count(ReceiptShort) == 5
    assert await till.balances(WALLET, SUSPENSE) == [300, 0]


async def test_what_two_take_back_at_once_is_taken_back_once(till: Till) -> None:
    await till.add_reference("amina")
    receipt_id = await till.take(reference="amina", shillings=300)

    answers = await asyncio.gather(*(run(till.shop.engine, taking_back(till, receipt_id)) for _ in range(4)))

    assert sorted(len(one) for one in answers) == [0, 0, 0, 1]
    assert await till.events(receipt_id) == ["received", "allocated", "undone"]


async def test_an_order_is_cancelled_or_paid_at_one_moment(till: Till) -> None:
    for number in range(ROUNDS):
        order = await till.order(shillings=10)
        pair = [
            run(till.shop.engine, cancelling(till, order.id)),
            till.tell(till.paid(reference=order.reference, shillings=10)),
        ]

        answers = await asyncio.gather(*(pair if number % 2 else reversed(pair)), return_exceptions=True)

        found = (await till.read_order(order)).money
        refused = any(isinstance(one, OrderNotOpen) for one in answers)
        assert (found.state, found.paid.minor_units) == ((State.PAID, 1000) if refused else (State.CANCELLED, 0))


async def test_an_order_expires_or_is_paid_at_one_moment(till: Till) -> None:
    for _ in range(ROUNDS):
        order = await till.order(shillings=10, minutes=1)
        paid = till.paid(reference=order.reference, shillings=10)
        till.shop.clock.advance(seconds=60)

        await asyncio.gather(till.tell(paid), run(till.shop.engine, expiring(till)))

        found = (await till.read_order(order)).money
        assert (found.state, found.paid.minor_units) in {(State.PAID, 1000), (State.EXPIRED, 0)}


async def test_the_same_order_requested_many_times_at_once_is_one_order(till: Till) -> None:
    answers = await asyncio.gather(*(till.request_order(key="k1", reference="SHOES-1") for _ in range(8)))

    assert len({order.id for order, _ in answers}) == 1
    assert [repeated for _, repeated in answers].count(False) == 1


async def test_money_given_to_an_order_and_taken_back_from_it_at_once_waits_in_no_ring(till: Till) -> None:
    """Each in one try: PostgreSQL would break a ring, and undo one of the two, after a second."""
    order = await till.order(shillings=1000)
    target = Target(TargetKind.ORDER, str(order.id))
    first, second = await suspended(till, shillings=300), await suspended(till, shillings=300)
    await run(till.shop.engine, giving(till, first, target, 30_000))

    async def once(number: int) -> object:
        async with transaction(till.shop.engine) as connection:
            if number == 0:
                return await taking_back(till, first)(connection)
            return await giving(till, second, target, 30_000)(connection)

    async with account_held(till, SUSPENSE):
        racing = []
        for number in range(2):
            racing.append(asyncio.create_task(once(number)))
            await until_waiting(till.shop, number + 1)
    await asyncio.gather(*racing)

    assert (await till.read_order(order)).money.paid == Money("KES", 30_000)
    assert await till.order_events(order) == [
        ("created", 0),
        ("part_paid", 30_000),
        ("part_returned", 0),
        ("part_paid", 30_000),
    ]
