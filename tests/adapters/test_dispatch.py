"""The outbound door: what is sent, how often, and what a crash at any point leaves behind. Real HTTP and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from adapters.sandbox.magic import magic_msisdn
from ledger.database import transaction
from ledger.errors import PayoutNotCancellable
from ledger.journal import accounts
from tests.journeys.rig import CALLS_MAX, LEASE_SECONDS, Rig
from tests.ledger.payouts.shop import FLOAT, IN_TRANSIT, PREFUND, UNKNOWN

NO_CALLBACK = magic_msisdn("201")
REFUSED, RATE_LIMITED = magic_msisdn("312"), magic_msisdn("309")


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


async def cut_off(task: asyncio.Task[int]) -> None:
    """The process dies at this point: nothing after it happens."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def attempts(rig: Rig, payout_id: int) -> list[tuple[int, str | None]]:
    """The tries at sending, with their answers."""
    found = await rig.rows(
        "SELECT a.number, a.answer FROM attempts AS a JOIN instructions AS i "
        "ON i.ledger_id = a.ledger_id AND i.id = a.instruction_id "
        "WHERE i.ledger_id = :ledger AND i.payout_id = :payout AND i.kind = 'payout.submit' ORDER BY a.number",
        payout=payout_id,
    )
    return [(number, answer) for number, answer in found]


async def test_an_attempt_is_committed_before_the_call_and_answered_after_it(rig: Rig) -> None:
    payout_id = await rig.request()
    rig.rail.before.shut()

    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.before.reached.wait()
    during = await rig.state(payout_id), await attempts(rig, payout_id), len(await rig.seen(payout_id))
    rig.rail.before.open()
    await step

    assert during == ("SUBMITTING", [(1, None)], 0)
    assert await attempts(rig, payout_id) == [(1, "Acknowledged")]
    assert await rig.state(payout_id) == "SUBMITTED"
    assert len(await rig.seen(payout_id)) == 1


async def test_a_crash_between_the_claim_and_the_call_leaves_the_outcome_unknown_and_never_sends(rig: Rig) -> None:
    payout_id = await rig.request()
    rig.rail.before.shut()
    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.before.reached.wait()
    await cut_off(step)
    rig.rail.before.open()

    early = await rig.another_dispatcher().step()
    rig.clock.advance(seconds=LEASE_SECONDS)
    await rig.another_dispatcher().step()
    await rig.another_dispatcher().step()

    assert early == 0
    assert await rig.state(payout_id) == "UNKNOWN"
    assert await rig.balance(UNKNOWN) == 150_000
    assert await attempts(rig, payout_id) == [(1, "lost")]
    assert await rig.seen(payout_id) == []


async def test_a_crash_between_the_call_and_the_record_leaves_the_outcome_unknown_and_sends_once(rig: Rig) -> None:
    payout_id = await rig.request(msisdn=NO_CALLBACK)
    rig.rail.after.shut()
    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.after.reached.wait()
    await cut_off(step)
    rig.rail.after.open()

    rig.clock.advance(seconds=LEASE_SECONDS)
    for _ in range(3):
        await rig.another_dispatcher().step()

    assert await rig.state(payout_id) == "UNKNOWN"
    assert await rig.balance(UNKNOWN) == 150_000
    assert len(await rig.seen(payout_id)) == 1


async def test_a_callback_settles_what_a_crash_left_without_its_answer(rig: Rig) -> None:
    early, late = await rig.request(), await rig.request()
    rig.rail.after.shut()
    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.after.reached.wait()
    await rig.sandbox.idle()
    await cut_off(step)
    rig.rail.after.open()

    await rig.inbound.step(limit=1)
    rig.clock.advance(seconds=LEASE_SECONDS)
    await rig.another_dispatcher().step()
    between = {await rig.state(one) for one in (early, late)}
    await rig.inbound.step(limit=100)

    assert between == {"SETTLED", "UNKNOWN"}
    assert {await rig.state(one) for one in (early, late)} == {"SETTLED"}
    assert [len(await rig.seen(one)) for one in (early, late)] == [1, 1]


@pytest.mark.parametrize(
    ("msisdn", "answer", "ends"),
    [
        (NO_CALLBACK, "Acknowledged", "UNKNOWN"),
        (REFUSED, "Rejected", "RELEASED"),
        (RATE_LIMITED, "NotSent", "UNKNOWN"),
    ],
)
async def test_a_slow_worker_whose_lease_ran_out_adds_its_evidence_and_doubles_nothing(
    rig: Rig, msisdn: str, answer: str, ends: str
) -> None:
    payout_id = await rig.request(msisdn=msisdn)
    rig.rail.after.shut()
    slow = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.after.reached.wait()
    rig.clock.advance(seconds=LEASE_SECONDS)
    await rig.another_dispatcher().step()
    given_up = await rig.state(payout_id)

    rig.rail.after.open()
    await slow
    rig.clock.advance(seconds=3600)
    for _ in range(3):
        await rig.another_dispatcher().step()

    assert given_up == "UNKNOWN"
    assert await rig.state(payout_id) == ends
    assert await attempts(rig, payout_id) == [(1, "lost")]
    assert len(await rig.seen(payout_id)) == 1
    assert (await rig.entries(payout_id)).count("payout.unknown") == 1
    known = await rig.rows("SELECT kind FROM provider_references WHERE ledger_id = :ledger")
    assert bool(known) == (answer == "Acknowledged")


async def test_several_dispatchers_never_send_one_instruction_twice(rig: Rig) -> None:
    ids = await rig.request_many(3 * CALLS_MAX)
    dispatchers = [rig.another_dispatcher() for _ in range(4)]

    claimed = await asyncio.gather(*(one.step() for one in dispatchers for _ in range(2)))
    await rig.sandbox.idle()
    await rig.inbound.step(limit=100)

    assert sum(claimed) == len(ids)
    assert [len(await rig.seen(one)) for one in ids] == [1] * len(ids)
    assert {await rig.state(one) for one in ids} == {"SETTLED"}


async def test_what_was_provably_not_sent_is_sent_again_later_under_the_same_reference(rig: Rig) -> None:
    payout_id = await rig.request(msisdn=RATE_LIMITED)
    waits = []
    for _ in range(8):
        await rig.dispatcher.step()
        (due,) = await rig.rows("SELECT due_at FROM instructions WHERE ledger_id = :ledger")
        waits.append((due.due_at - rig.now()).total_seconds())
        rig.clock.advance(seconds=waits[-1] - 1)
        assert await rig.dispatcher.step() == 0
        rig.clock.advance(seconds=1)

    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]
    assert await rig.state(payout_id) == "RESERVED"
    assert await rig.balance(IN_TRANSIT) == 150_000
    assert [answer for _, answer in await attempts(rig, payout_id)] == ["NotSent"] * 8
    assert len(await rig.seen(payout_id)) == 8


async def test_what_was_not_sent_at_first_settles_at_the_second_try(rig: Rig) -> None:
    await rig.script("rate-limited", count=2)
    payout_id = await rig.request()
    for seconds in (30, 60, 0):
        await rig.work_until_quiet()
        rig.clock.advance(seconds=seconds)

    assert await rig.state(payout_id) == "SETTLED"
    assert [answer for _, answer in await attempts(rig, payout_id)] == ["NotSent", "NotSent", "Acknowledged"]
    assert len({urls.result_url for urls in rig.rail.urls[(await rig.payout(payout_id)).provider_reference]}) == 3
    assert await rig.balance(FLOAT) == rig.float_opening - 150_000


async def test_an_unclear_answer_is_never_a_reason_to_send_again(rig: Rig) -> None:
    suffixes = ("302", "303", "305", "307", "308", "311")
    ids = [await rig.request(msisdn=magic_msisdn(suffix)) for suffix in suffixes]
    await rig.work_until_quiet()

    for _ in range(4):
        rig.clock.advance(seconds=3600)
        await rig.dispatcher.step()

    assert {await rig.state(one) for one in ids} == {"UNKNOWN"}
    assert [len(await rig.seen(one)) for one in ids] == [1] * len(ids)


async def test_no_transaction_is_open_while_a_call_is_under_way(rig: Rig) -> None:
    """Asked of PostgreSQL itself, from inside the calls."""
    open_transactions: list[int] = []

    async def look() -> None:
        (row,) = await rig.rows(
            "SELECT count(*) AS open FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL "
            "AND backend_type = 'client backend'"
        )
        open_transactions.append(row.open)

    rig.rail.meanwhile = look
    await rig.request()
    await rig.dispatcher.step()

    assert open_transactions == [0]


async def test_an_adapter_that_breaks_leaves_its_payout_unknown_and_its_neighbours_alone(rig: Rig) -> None:
    broken, sound = await rig.request_many(2)
    reference = (await rig.payout(broken)).provider_reference

    async def break_once() -> None:
        if len(rig.rail.urls) == 1 and reference in rig.rail.urls:
            raise RuntimeError("a bug of the adapter")

    rig.rail.meanwhile = break_once
    await rig.work_until_quiet()

    assert await rig.state(sound) == "SETTLED"
    assert await rig.state(broken) == "UNKNOWN"
    assert (await rig.events(broken))[-1].detail == "the adapter failed with RuntimeError"


async def test_a_payout_cancelled_before_it_is_claimed_is_never_sent(rig: Rig) -> None:
    payout_id = await rig.request()
    await rig.cancel(payout_id)

    await rig.dispatcher.step()

    assert await rig.seen(payout_id) == []
    assert await rig.state(payout_id) == "CANCELLED"


async def test_a_payout_is_either_cancelled_or_sent_never_both(rig: Rig) -> None:
    ids = await rig.request_many(12)

    async def cancel(payout_id: int) -> None:
        with contextlib.suppress(PayoutNotCancellable):
            await rig.cancel(payout_id)

    await asyncio.gather(rig.dispatcher.step(), *(cancel(one) for one in ids))
    await rig.work_until_quiet()

    for payout_id in ids:
        sent = len(await rig.seen(payout_id))
        assert (await rig.state(payout_id), sent) in {("CANCELLED", 0), ("SETTLED", 1)}


@pytest.mark.parametrize("outcome", ["SUBMITTED", "SETTLED", "UNKNOWN", "RELEASED"])
async def test_a_payout_that_may_have_left_is_not_cancelled(rig: Rig, outcome: str) -> None:
    suffix = {"SUBMITTED": "201", "SETTLED": "000", "UNKNOWN": "303", "RELEASED": "140"}[outcome]
    payout_id = await rig.request(msisdn=magic_msisdn(suffix))
    await rig.work_until_quiet()
    before = await rig.payout(payout_id)

    with pytest.raises(PayoutNotCancellable) as caught:
        await rig.cancel(payout_id)

    assert caught.value.facts["state"] == outcome
    assert await rig.payout(payout_id) == before


async def test_a_rail_that_this_worker_does_not_run_is_left_to_another_worker(rig: Rig) -> None:
    payout_id = await rig.request()
    without_rails = replace(rig.application, rails={}).dispatcher(public_url=rig.public_url)

    claimed = await without_rails.step()
    await rig.work_until_quiet()

    assert claimed == 0
    assert await rig.state(payout_id) == "SETTLED"
    assert len(await rig.seen(payout_id)) == 1


async def test_an_answer_that_the_books_refuse_loses_no_other_and_ends_unknown(rig: Rig) -> None:
    """The refused payout's money cannot go back: the account it came from was closed meanwhile."""
    refused, sound = await rig.request(msisdn=REFUSED, shillings=98_500), await rig.request(shillings=1_500)
    async with transaction(rig.engine) as connection:
        await accounts.close_account(connection, ledger_id=rig.ledger.id, path=PREFUND, currency="KES", now=rig.now())

    await rig.work_until_quiet()
    meanwhile = await rig.state(refused)
    rig.clock.advance(seconds=LEASE_SECONDS)
    await rig.dispatcher.step()

    assert await rig.state(sound) == "SETTLED"
    assert (meanwhile, await rig.state(refused)) == ("SUBMITTING", "UNKNOWN")
    assert await attempts(rig, refused) == [(1, "lost")]
    assert len(await rig.seen(refused)) == 1
