"""What is not taken in all its tries, or wanted no more: a case for a person, replay, no harm to what follows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import run
from ledger.ids import decode
from ledger.webhooks import endpoints, history
from tests.webhooks.desk import RESTS, Desk, open_desk, retry_policy
from tests.webhooks.receiver import Arrival, Receiver, answering

SHORT = tuple(timedelta(seconds=1) for _ in range(9))
_OPEN_CASES = """
SELECT r.queue, r.payout_id, r.reason FROM reviews AS r WHERE r.ledger_id = :ledger AND NOT EXISTS (
    SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) ORDER BY r.id
"""


@pytest.fixture
async def hasty(fresh_engine: AsyncEngine) -> AsyncIterator[Desk]:
    """A desk that tries ten times within ten seconds or so."""
    async with open_desk(fresh_engine, retry=retry_policy(*SHORT)) as opened:
        yield opened


async def give_up(desk: Desk) -> None:
    """Time enough for every pending delivery to be given up."""
    await desk.pass_time(timedelta(seconds=40), step=timedelta(seconds=2))


async def replay(desk: Desk, delivery_id: int) -> None:
    async def command(connection: AsyncConnection) -> None:
        await history.replay_delivery(
            connection,
            ledger_id=desk.shop.ledger.id,
            partner_id=None,
            delivery_id=delivery_id,
            now=desk.clock(),
        )

    await run(desk.shop.engine, command)


async def test_the_shipped_schedule_makes_eight_tries_and_more_over_three_days_and_more(
    desk: Desk, receiver: Receiver
) -> None:
    """Walked, not added up: the last scheduled try is after 72 hours, and only then is it dead."""
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(500)
    await desk.settle()
    begun = desk.clock()
    await desk.pass_time(timedelta(hours=72), step=timedelta(hours=1))
    before = await desk.deliveries(told.endpoint)

    await desk.pass_time(timedelta(hours=24), step=timedelta(hours=1))
    (dead,) = await desk.deliveries(told.endpoint)

    assert [one.state.value for one in before] == ["PENDING"]
    assert (dead.state.value, dead.tries) == ("DEAD", len(RESTS) + 1)
    assert dead.tries >= 8
    assert dead.tried_at is not None
    assert dead.tried_at - begun >= timedelta(hours=72)


@given(st.integers(0, 10_000), st.sampled_from(RESTS))
def test_a_rest_is_never_shorter_than_the_schedule_says(seed: int, rest: timedelta) -> None:
    policy = retry_policy()
    for _ in range(seed % 7):
        policy.drawn_out(rest)

    assert rest <= policy.drawn_out(rest) <= rest * 1.1


async def test_a_dead_delivery_opens_a_case_and_lets_the_next_version_through(hasty: Desk, receiver: Receiver) -> None:
    told = await hasty.endpoint(receiver.url)

    async def refuse_unknown(arrival: Arrival) -> int:
        return 500 if arrival.content["type"] == "payout.unknown" else 200

    receiver.behave = refuse_unknown
    payout = await hasty.doubt_then_settle()
    await give_up(hasty)

    first, second = await hasty.deliveries(told.endpoint)
    assert (first.state.value, first.tries, second.state.value) == ("DEAD", 10, "DELIVERED")
    ((queue, payout_id, reason),) = await hasty.shop.rows(_OPEN_CASES)
    assert (queue, payout_id) == ("webhook-dead", decode("pay", payout))
    assert first.event_id in reason


async def test_a_replayed_delivery_carries_its_id_and_bytes_and_closes_its_case(
    hasty: Desk, receiver: Receiver
) -> None:
    told = await hasty.endpoint(receiver.url)
    receiver.behave = answering(500)
    await hasty.settle(2)
    await give_up(hasty)
    tried = {arrival.id: arrival.body for arrival in receiver.arrivals}
    opened = await hasty.shop.rows(_OPEN_CASES)
    receiver.behave = answering(200)

    dead, other = await hasty.deliveries(told.endpoint)
    await replay(hasty, dead.id)
    await hasty.work()

    assert len(opened) == 2
    assert {arrival.id: arrival.body for arrival in receiver.taken} == {dead.event_id: tried[dead.event_id]}
    receiver.taken[0].verify(told.secret)
    assert await hasty.states(told.endpoint) == ["DELIVERED", "DEAD"]
    assert [reason for _, _, reason in await hasty.shop.rows(_OPEN_CASES)] == [
        reason for _, _, reason in opened if other.event_id in reason
    ]


async def test_all_dead_deliveries_of_an_endpoint_are_replayed_in_order(hasty: Desk, receiver: Receiver) -> None:
    told = await hasty.endpoint(receiver.url)
    receiver.behave = answering(500)
    payout = await hasty.doubt_then_settle()
    await hasty.pass_time(timedelta(seconds=80), step=timedelta(seconds=2))
    dead = await hasty.states(told.endpoint)
    receiver.behave = answering(200)

    async def command(connection: AsyncConnection) -> int:
        return await history.replay_dead(
            connection,
            ledger_id=hasty.shop.ledger.id,
            partner_id=None,
            endpoint_id=told.endpoint.id,
            now=hasty.clock(),
        )

    replayed = await run(hasty.shop.engine, command)
    await hasty.work()

    assert (dead, replayed) == (["DEAD", "DEAD"], 2)
    assert [one.content["type"] for one in receiver.taken] == ["payout.unknown", "payout.settled"]
    assert {one.content["disbursement_id"] for one in receiver.taken} == {payout}
    assert await hasty.shop.rows(_OPEN_CASES) == []


async def test_one_poisonous_event_is_given_up_by_its_schedule_whatever_the_others_do(
    desk: Desk, receiver: Receiver
) -> None:
    """Others that are taken say that the endpoint is well; that must not hurry the one towards its death."""
    told = await desk.endpoint(receiver.url)
    (poison,) = await desk.settle()

    async def refuse_one(arrival: Arrival) -> int:
        return 500 if arrival.content["disbursement_id"] == poison else 200

    receiver.behave = refuse_one
    for _ in range(12):
        await desk.pass_time(timedelta(minutes=20), step=timedelta(minutes=20))
        await desk.settle()
        await desk.work()

    poisoned, *others = await desk.deliveries(told.endpoint)
    assert {one.state.value for one in others} == {"DELIVERED"}
    assert poisoned.state.value == "PENDING"
    assert poisoned.tries <= 6
    assert poisoned.due_at > desk.clock()


async def test_gone_disables_the_endpoint_and_enabling_it_tells_what_waited(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(410)
    await desk.settle()
    await desk.work()
    disabled = await desk.look(told.endpoint)
    cases = await desk.shop.rows(_OPEN_CASES)

    await desk.settle()
    await desk.pass_time(timedelta(hours=5), step=timedelta(hours=1))
    while_disabled = len(receiver.arrivals)

    receiver.behave = answering(200)

    async def enable(connection: AsyncConnection) -> endpoints.Endpoint:
        return await endpoints.enable_endpoint(
            connection,
            ledger_id=desk.shop.ledger.id,
            partner_id=None,
            endpoint_id=told.endpoint.id,
            now=desk.clock(),
        )

    enabled = await run(desk.shop.engine, enable)
    await desk.work()

    assert disabled.disabled_why == "the receiver answered 410 Gone"
    assert [queue for queue, _, _ in cases] == ["webhook-dead"]
    assert while_disabled == 1
    assert enabled.disabled_at is None
    assert await desk.states(told.endpoint) == ["DELIVERED"]


async def test_a_ping_is_tried_once_and_tells_how_things_are(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(503)

    async def ping(connection: AsyncConnection) -> history.Delivery:
        return await history.ping_endpoint(
            connection,
            ledger_id=desk.shop.ledger.id,
            partner_id=None,
            endpoint_id=told.endpoint.id,
            ids=desk.shop.ids,
            now=desk.clock(),
        )

    first = await run(desk.shop.engine, ping)
    repeated = await run(desk.shop.engine, ping)
    await desk.work()
    await desk.pass_time(timedelta(hours=2), step=timedelta(minutes=20))

    (delivery,) = await desk.deliveries(told.endpoint)
    assert first == repeated
    assert (delivery.event, delivery.state.value, delivery.answer) == ("webhook.ping", "DEAD", "HTTP 503")
    assert len(receiver.arrivals) == 1
    assert receiver.arrivals[0].verify(told.secret)["type"] == "webhook.ping"
    assert await desk.shop.rows(_OPEN_CASES) == []
