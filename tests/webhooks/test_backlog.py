"""A failing endpoint's backlog costs a claim nothing; what is set aside behind an earlier version goes in its turn."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from ledger.database import conninfo
from ledger.ids import decode
from ledger.webhooks.deliveries import LOOKED_AT_MAX
from tests.fix_database import Database
from tests.webhooks.backlog import Shape, claim, pile_up
from tests.webhooks.desk import Desk
from tests.webhooks.receiver import Arrival, Receiver, answering

# A claim looks at so many deliveries of an endpoint by each of two indexes, asks what is before each, and changes each.
ROWS_READ_MAX = 2 * 3 * LOOKED_AT_MAX
# Large enough that the planner does not rather read the whole table, as it does of a small one.
BACKLOG = 15_000
_BEHIND = "SELECT version FROM webhook_deliveries WHERE payout_id = %s AND behind ORDER BY version"
# As a worker of the version before this one ends a delivery, which knows of no mark.
_END = "UPDATE webhook_deliveries SET state = 'DEAD' WHERE payout_id = %s AND version = %s"


@pytest.mark.parametrize("shape", Shape, ids=lambda shape: shape.name)
async def test_a_claim_reads_as_few_rows_however_much_waits_at_a_failing_endpoint(
    fresh_database: Database, desk: Desk, receiver: Receiver, other_receiver: Receiver, shape: Shape
) -> None:
    failing = await desk.endpoint(receiver.url)
    rows_read = []
    for _ in range(2):
        await pile_up(fresh_database, endpoint=failing.endpoint, shape=shape, size=BACKLOG, now=desk.clock())
        rows_read += [(await claim(desk)).rows_read for _ in range(3)]
        desk.clock.advance(seconds=100)

    well = await desk.endpoint(other_receiver.url, request_id="other")
    await desk.settle()
    last = await claim(desk)

    assert max(*rows_read, last.rows_read) <= ROWS_READ_MAX
    assert well.endpoint.id in {one.endpoint_id for one in last.claimed}


async def behind(database: Database, payout: str) -> list[int]:
    """The versions of a payout that are marked as waiting for an earlier one."""
    with psycopg.connect(conninfo(database.app)) as session:
        return [version for (version,) in session.execute(_BEHIND, (decode("pay", payout),))]


async def test_what_is_set_aside_goes_when_the_version_before_it_is_taken(
    fresh_database: Database, desk: Desk, receiver: Receiver
) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(500)
    payout = await desk.doubt_then_settle()
    await desk.work()
    first, second = await desk.deliveries(told.endpoint)
    set_aside = await behind(fresh_database, payout)
    receiver.behave = answering(200)

    await desk.pass_time(timedelta(seconds=6), step=timedelta(seconds=6))

    assert set_aside == [second.version]
    assert await behind(fresh_database, payout) == []
    assert [one.id for one in receiver.taken] == [first.event_id, second.event_id]


async def test_nothing_waits_behind_what_has_ended_whoever_ended_it(
    fresh_database: Database, desk: Desk, receiver: Receiver
) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(500)
    payout = await desk.doubt_then_settle()
    await desk.work()
    first, second = await desk.deliveries(told.endpoint)

    with psycopg.connect(conninfo(fresh_database.app)) as session:
        session.execute(_END, (decode("pay", payout), first.version))
    left = await behind(fresh_database, payout)
    receiver.behave = answering(200)
    await desk.work()

    assert left == []
    assert [one.id for one in receiver.taken] == [second.event_id]


async def test_more_than_a_claim_looks_at_may_wait_behind_what_fails(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    receiver.behave = answering(500)
    payouts = [await desk.doubt_then_settle() for _ in range(LOOKED_AT_MAX + 8)]
    await desk.pass_time(timedelta(hours=1), step=timedelta(minutes=2))
    refused = {arrival.content["type"] for arrival in receiver.arrivals}

    async def refuse_one(arrival: Arrival) -> int:
        return 500 if arrival.content["disbursement_id"] == payouts[0] else 200

    receiver.behave = refuse_one
    await desk.pass_time(timedelta(minutes=30), step=timedelta(minutes=2))

    refused_first, *others = payouts
    found = await desk.deliveries(told.endpoint)
    states = {(one.subject.public_id, one.state.value) for one in found if one.subject is not None}
    assert refused == {"payout.unknown"}
    assert states == {(refused_first, "PENDING"), *((one, "DELIVERED") for one in others)}
    for payout in payouts[1:]:
        own = [one.content["type"] for one in receiver.taken if one.content["disbursement_id"] == payout]
        assert own == ["payout.unknown", "payout.settled"]
