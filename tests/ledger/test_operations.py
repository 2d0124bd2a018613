"""The operator's view of made-up states, each figure known beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import operations
from ledger.database import driver, run, transaction
from ledger.operations import OpenPayouts, OperationsStatus, QueueLength, UnknownPayouts
from ledger.outbox import inbox, queue
from ledger.outbox.inbox import Received
from ledger.payouts import reviews
from ledger.payouts.payout import State
from ledger.sealing import Sealer
from tests.ledger.payouts.roads import road_to
from tests.ledger.payouts.shop import SECRET, Shop, open_shop

AGES = {
    "under 5 minutes": (0, 299),
    "under 30 minutes": (300, 1_799),
    "under 2 hours": (1_800, 7_199),
    "under a day": (7_200, 86_399),
    "a day or more": (86_400, 500_000),
}


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """A ledger without payouts."""
    async with open_shop(engine) as opened:
        yield opened


async def status(shop: Shop) -> OperationsStatus:
    """What is told of this ledger."""
    async with transaction(shop.engine) as connection:
        found = await operations.operations_status(connection, now=shop.now())
    return OperationsStatus(
        tuple(one for one in found.queues if one.ledger_id == shop.ledger.id),
        tuple(one for one in found.open_payouts if one.ledger_id == shop.ledger.id),
        tuple(one for one in found.unknown if one.ledger_id == shop.ledger.id),
    )


async def test_of_books_where_nothing_waits_nothing_is_told(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.SETTLED, payout_id))

    assert await status(shop) == OperationsStatus((), (), ())


async def test_payouts_under_way_are_counted_by_state_with_their_amounts_and_the_oldest(shop: Shop) -> None:
    start = shop.now()
    for state in State:
        payout_id = await shop.request(shillings=1_500)
        await shop.record(*road_to(state, payout_id))
        shop.clock.advance(seconds=60)
    await shop.request(shillings=500)

    found = await status(shop)

    places = {state: start + timedelta(seconds=60 * number) for number, state in enumerate(State)}
    expected = {
        OpenPayouts(shop.ledger.id, state.value, "KES", 1, 150_000, places[state])
        for state in (State.SUBMITTING, State.SUBMITTED, State.UNKNOWN, State.CONFLICTED)
    } | {OpenPayouts(shop.ledger.id, "RESERVED", "KES", 2, 200_000, places[State.RESERVED])}
    assert set(found.open_payouts) == expected
    assert found.ledger_ids == {shop.ledger.id}


@pytest.mark.parametrize(("age", "seconds"), [(age, end) for age, ends in AGES.items() for end in ends])
async def test_payouts_of_unknown_outcome_are_told_by_age(shop: Shop, age: str, seconds: int) -> None:
    payout_id = await shop.request(shillings=700)
    await shop.record(*road_to(State.UNKNOWN, payout_id))

    shop.clock.advance(seconds=seconds)

    assert (await status(shop)).unknown == (UnknownPayouts(shop.ledger.id, "KES", age, 1, 70_000),)


async def test_instructions_count_once_they_are_due(shop: Shop) -> None:
    waiting, unknown = await shop.request_many(2)
    start = shop.now()
    await shop.record(*road_to(State.UNKNOWN, unknown))

    before = (await status(shop)).queues
    shop.clock.advance(seconds=60)
    after = (await status(shop)).queues

    submit = QueueLength(shop.ledger.id, f"instructions: {queue.SUBMIT}", 1, start)
    assert before == (submit,)
    assert after == (QueueLength(shop.ledger.id, f"instructions: {queue.QUERY}", 1, shop.now()), submit)
    await shop.cancel(waiting)
    assert [one.name for one in (await status(shop)).queues] == [f"instructions: {queue.QUERY}"]


async def test_messages_and_open_cases_are_counted_and_closed_ones_are_not(shop: Shop) -> None:
    start = shop.now()

    async def command(connection: AsyncConnection) -> None:
        session = await driver(connection)
        for number in range(3):
            message = Received(shop.ledger.id, shop.ids.next(shop.now()), "daraja", "result", bytes([number]) * 32,
                               b"{}", None)  # fmt: skip
            await inbox.store(session, messages=[message], sealer=Sealer(SECRET, purpose="inbox"), now=shop.now())
        cases = [reviews.Case(None, f"case {number}") for number in range(4)]
        await reviews.open_reviews(
            session, ledger_id=shop.ledger.id, queue="callback-orphan", cases=cases, ids=shop.ids, now=shop.now()
        )
        first, *_ = await reviews.list_open(connection, ledger_id=shop.ledger.id, queue="", after=0, limit=1)
        await reviews.write_resolution(
            session,
            ledger_id=shop.ledger.id,
            review_id=first.id,
            verb="dismiss",
            evidence="seen",
            actor="amina",
            entry_id=None,
            now=shop.now(),
        )

    await run(shop.engine, command)
    shop.clock.advance(seconds=5)

    assert (await status(shop)).queues == (
        QueueLength(shop.ledger.id, "callbacks to judge", 3, start),
        QueueLength(shop.ledger.id, "review: callback-orphan", 3, start),
    )
