"""Deliveries over real HTTP: signed, in order, at least once, and none delayed by another's receiver."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from standardwebhooks import Webhook, WebhookVerificationError

from adapters.egress import Answered
from adapters.webhooks import signed_headers
from ledger.database import driver, run
from ledger.payouts.announcing import EVENTS
from ledger.payouts.outcome import Charged
from ledger.webhooks import deliveries
from ledger.webhooks.deliveries import Claimed, ClaimLimits, Taken
from tests.ledger.payouts.roads import road_to
from tests.ledger.payouts.shop import PAYEE
from tests.webhooks.desk import LEASE, PER_ENDPOINT, SEALER, Desk, open_desk, retry_policy
from tests.webhooks.readme import documented
from tests.webhooks.receiver import Arrival, Receiver, answering

_IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""


async def claim(desk: Desk) -> list[Claimed]:
    """What a worker claims, which then dies."""
    now = desk.clock()
    limits = ClaimLimits(per_endpoint=PER_ENDPOINT, total=10)
    token = desk.shop.ids.next(now)

    async def claimed(connection: AsyncConnection) -> list[Claimed]:
        session = await driver(connection)
        return await deliveries.claim(session, limits=limits, lease=LEASE, token=token, sealer=SEALER, now=now)

    return await run(desk.shop.engine, claimed)


async def test_a_settled_payout_is_told_in_words_that_verify(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)

    (payout_id,) = await desk.settle()
    await desk.work()

    (arrival,) = receiver.arrivals
    content = arrival.verify(told.secret)
    assert content["type"] == "payout.settled"
    assert content["id"] == arrival.id
    assert set(content) == documented("payouts")
    assert content["disbursement_id"] == payout_id
    assert (content["status"], content["amount"], content["currency"]) == ("succeeded", "100.00", "KES")
    assert content["transaction_receipt"].startswith("R")
    assert PAYEE not in arrival.body.decode()
    assert arrival.method == "POST"
    assert arrival.headers["content-type"] == "application/json"
    assert await desk.states(told.endpoint) == ["DELIVERED"]


async def test_each_state_a_partner_acts_on_is_told_once_and_no_other(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    expected = []
    for state in EVENTS:
        payout_id = await desk.shop.request(shillings=1500)
        await desk.shop.record(*road_to(state, payout_id))
        expected.append((payout_id, EVENTS[state]))

    queued = await desk.deliveries(told.endpoint)
    await desk.work()

    last = {one.subject.id: one.event for one in queued if one.subject is not None}
    assert [last[payout_id] for payout_id, _ in expected] == [event for _, event in expected]
    assert sorted(arrival.content["type"] for arrival in receiver.taken) == sorted(one.event for one in queued)
    assert len({(one.subject, one.version) for one in queued}) == len(queued)


async def test_a_payout_that_settles_after_a_conflict_is_told_of_both_settlements(
    desk: Desk, receiver: Receiver
) -> None:
    told = await desk.endpoint(receiver.url)
    payout_id = await desk.shop.request(shillings=1500)
    await desk.shop.record(*road_to(next(s for s in EVENTS if s.value == "CONFLICTED"), payout_id))
    await desk.shop.record((payout_id, Charged("the statement shows it", await desk.shop.held(payout_id))))

    await desk.work()

    events = [arrival.verify(told.secret)["type"] for arrival in receiver.taken]
    assert events == ["payout.released", "payout.conflicted", "payout.settled"]
    versions = [arrival.content["version"] for arrival in receiver.taken]
    assert versions == sorted(set(versions))


async def test_a_refused_change_leaves_nothing_to_tell(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    payout_id = await desk.shop.request(shillings=1500)
    await desk.shop.record(*road_to(next(s for s in EVENTS if s.value == "SETTLED"), payout_id))
    before = len(await desk.deliveries(told.endpoint))

    await desk.shop.record(*road_to(next(s for s in EVENTS if s.value == "SETTLED"), payout_id))

    assert len(await desk.deliveries(told.endpoint)) == before


async def test_a_receiver_down_for_three_days_gets_everything_in_order_within_minutes_of_its_return(
    desk: Desk, receiver: Receiver
) -> None:
    """Scenario 24. While it is down every payout gains events; no id or byte changes from try to try."""
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(503)
    payouts = []
    for _ in range(4):
        payouts.append(await desk.doubt_then_settle())
        await desk.pass_time(timedelta(hours=18), step=timedelta(minutes=45))
    refused = {arrival.id: arrival.body for arrival in receiver.arrivals}
    assert set(await desk.states(told.endpoint)) == {"PENDING"}

    receiver.behave = answering(200)
    await desk.pass_time(timedelta(minutes=15), step=timedelta(minutes=3))

    assert set(await desk.states(told.endpoint)) == {"DELIVERED"}
    assert len(receiver.taken) == 2 * len(payouts)
    for payout in payouts:
        own = [one.content for one in receiver.taken if one.content["disbursement_id"] == payout]
        assert [one["type"] for one in own] == ["payout.unknown", "payout.settled"]
        assert own[0]["version"] < own[1]["version"]
    assert {one.id: one.body for one in receiver.taken if one.id in refused} == refused
    for arrival in receiver.arrivals:
        assert is_signed_by(told.secret, arrival)
    stamps = [one.headers["webhook-timestamp"] for one in receiver.arrivals if one.id == receiver.arrivals[0].id]
    assert len(set(stamps)) == len(stamps) > 1
    assert (await desk.look(told.endpoint)).failing_since is None


def is_signed_by(secret: str, arrival: Arrival) -> bool:
    """As the library signs; its own verify() refuses timestamps that are not of this moment."""
    stamp = datetime.fromtimestamp(int(arrival.headers["webhook-timestamp"]), tz=UTC)
    made = Webhook(secret).sign(arrival.id, stamp, arrival.body.decode())
    return made in arrival.headers["webhook-signature"].split(" ")


async def test_a_receiver_that_fails_after_taking_it_gets_the_duplicate_under_the_same_id(
    desk: Desk, receiver: Receiver
) -> None:
    told = await desk.endpoint(receiver.url)
    answers = iter([500, 200])

    async def take_then_fail(arrival: Arrival) -> int:
        return next(answers)

    receiver.behave = take_then_fail
    await desk.settle()
    await desk.work()
    desk.clock.advance(seconds=6)
    await desk.work()

    first, second = receiver.arrivals
    assert (first.id, first.body) == (second.id, second.body)
    assert second.verify(told.secret)["type"] == "payout.settled"
    assert await desk.states(told.endpoint) == ["DELIVERED"]


async def test_a_worker_killed_between_send_and_record_repeats_under_the_same_id(
    desk: Desk, receiver: Receiver
) -> None:
    told = await desk.endpoint(receiver.url)
    await desk.settle()
    (lost,) = await claim(desk)
    sent = await desk.egress.post(lost.url, headers=signed_headers(lost, now=desk.clock()), body=lost.payload)
    await desk.work()
    while_leased = len(receiver.arrivals)

    desk.clock.advance(seconds=LEASE.total_seconds() + 1)
    await desk.work()

    assert sent == Answered(204)
    assert while_leased == 1
    first, second = receiver.arrivals
    assert (first.id, first.body) == (second.id, second.body)
    (delivery,) = await desk.deliveries(told.endpoint)
    assert (delivery.state.value, delivery.tries) == ("DELIVERED", 1)


async def test_a_worker_that_comes_back_after_its_lease_changes_nothing(desk: Desk, receiver: Receiver) -> None:
    """Scenario 39: the other worker's record stands."""
    told = await desk.endpoint(receiver.url)
    await desk.settle()
    (late,) = await claim(desk)
    desk.clock.advance(seconds=LEASE.total_seconds() + 1)
    await desk.work()
    (before,) = await desk.deliveries(told.endpoint)

    async def record(connection: AsyncConnection) -> bool:
        session = await driver(connection)
        (kept,) = await deliveries.record_tries(
            session, tried=[(late, Taken("late"))], retry=retry_policy(), ids=desk.shop.ids, now=desk.clock()
        )
        return kept

    kept = await run(desk.shop.engine, record)

    assert kept is False
    assert (await desk.deliveries(told.endpoint)) == [before]


async def test_a_hanging_receiver_delays_no_other_and_holds_no_transaction(
    desk: Desk, receiver: Receiver, other_receiver: Receiver
) -> None:
    """Scenario 25. The hanging one holds as many calls as one endpoint may, and the other gets all of its events."""
    released = asyncio.Event()

    async def hang(arrival: Arrival) -> int:
        await released.wait()
        return 200

    receiver.behave = hang
    slow = await desk.endpoint(receiver.url)
    fast = await desk.endpoint(other_receiver.url, request_id="other")
    await desk.settle(20)

    async with asyncio.timeout(30):
        while set(await desk.states(fast.endpoint)) != {"DELIVERED"}:
            await desk.deliverer.step()
    await receiver.until(lambda: len(receiver.arrivals) == PER_ENDPOINT)
    in_transaction = await desk.shop.rows(_IN_TRANSACTION)

    assert not released.is_set()
    assert len(other_receiver.taken) == 20
    assert (len(receiver.arrivals), receiver.taken) == (PER_ENDPOINT, [])
    assert set(await desk.states(slow.endpoint)) == {"PENDING"}
    assert in_transaction[0][0] == 0
    released.set()
    await desk.deliverer.drain()
    await desk.work()
    assert set(await desk.states(slow.endpoint)) == {"DELIVERED"}


async def test_an_endpoint_that_fails_is_tried_one_at_a_time(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(500)
    await desk.settle(12)
    await desk.deliverer.step()
    await desk.deliverer.drain()
    desk.clock.advance(seconds=10)

    claimed = await desk.deliverer.step()
    await desk.deliverer.drain()

    assert claimed == 1
    assert len(receiver.arrivals) == PER_ENDPOINT + 1
    assert (await desk.look(told.endpoint)).failing_since is not None


async def test_two_deliverers_together_stay_within_the_bound_of_an_endpoint(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    await desk.settle(20)

    claimed = await asyncio.gather(*(claim(desk) for _ in range(4)))

    taken = [one.id for batch in claimed for one in batch]
    assert 0 < len(taken) <= PER_ENDPOINT
    assert len(set(taken)) == len(taken)


async def test_a_later_version_waits_for_the_earlier_one(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(500)
    await desk.doubt_then_settle()

    await desk.pass_time(timedelta(hours=1), step=timedelta(minutes=5))

    assert {arrival.content["type"] for arrival in receiver.arrivals} == {"payout.unknown"}
    assert await desk.states(told.endpoint) == ["PENDING", "PENDING"]


async def test_secrets_rotate_without_a_reject(desk: Desk, receiver: Receiver) -> None:
    """The partner deploys the new secret at some time within the overlap; every event verifies before and after."""
    told = await desk.endpoint(receiver.url)
    deployed = [told.secret]

    async def verify(arrival: Arrival) -> int:
        try:
            arrival.verify(deployed[-1])
        except WebhookVerificationError:
            return 401
        return 200

    receiver.behave = verify
    await desk.settle()
    await desk.work()

    renewed = await desk.rotate(told.endpoint, overlap=timedelta(seconds=60))
    await desk.settle()
    await desk.work()
    deployed.append(renewed.secret)
    await desk.settle()
    await desk.work()
    during = receiver.arrivals[-1]
    desk.clock.advance(seconds=61)
    await desk.settle()
    await desk.work()
    after = receiver.arrivals[-1]

    assert set(await desk.states(told.endpoint)) == {"DELIVERED"}
    assert len(receiver.taken) == len(receiver.arrivals) == 4
    assert is_signed_by(told.secret, during)
    assert is_signed_by(renewed.secret, during)
    assert not is_signed_by(told.secret, after)


async def test_a_redirect_is_not_followed(desk: Desk, receiver: Receiver, other_receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(307)
    receiver.extra_head = f"Location: {other_receiver.url}\r\n"

    await desk.settle()
    await desk.work()

    assert other_receiver.connections == 0
    (delivery,) = await desk.deliveries(told.endpoint)
    assert (delivery.state.value, delivery.answer) == ("PENDING", "HTTP 307")


async def test_what_a_receiver_answers_is_not_read(fresh_engine: AsyncEngine, receiver: Receiver) -> None:
    """A body without end takes neither memory nor time: the status is enough."""
    receiver.extra_head = "Transfer-Encoding: chunked\r\n"
    async with open_desk(fresh_engine, retry=retry_policy()) as desk:
        told = await desk.endpoint(receiver.url)

        await desk.settle()
        await desk.work()

        assert await desk.states(told.endpoint) == ["DELIVERED"]
