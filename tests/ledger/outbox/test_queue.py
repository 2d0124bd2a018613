"""The instruction queue: who may claim what and when, what is lost, and that a lease is held by its token alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, driver, run, transaction
from ledger.outbox import queue
from ledger.outbox.queue import Claimed, Finished
from tests.ledger.payouts.roads import STARTED
from tests.ledger.payouts.shop import Shop, open_shop

LEASE = timedelta(seconds=60)
KINDS, RAILS = (queue.SUBMIT, queue.QUERY), ("daraja",)
Result = TypeVar("Result")


class ProcessDied(Exception):
    """Before the COMMIT."""


async def within(shop: Shop, function: Callable[[Driver], Awaitable[Result]]) -> Result:
    """One committed transaction."""

    async def inside(connection: AsyncConnection) -> Result:
        return await function(await driver(connection))

    return await run(shop.engine, inside)


async def claim(shop: Shop, *, token: int = 1, limit: int = 100) -> list[Claimed]:
    return await within(
        shop,
        lambda session: queue.claim(
            session, kinds=KINDS, rails=RAILS, now=shop.now(), lease=LEASE, token=token, limit=limit
        ),
    )


async def start(shop: Shop, claimed: list[Claimed]) -> None:
    """Stores the tries about to be made."""
    attempts = [(one, one.id.to_bytes(32)[:-1] + bytes([one.attempt])) for one in claimed]
    await within(
        shop, lambda session: queue.start_attempts(session, ledger_id=shop.ledger.id, attempts=attempts, now=shop.now())
    )


async def finish(shop: Shop, claimed: list[Claimed], *, answer: str = "NotSent") -> None:
    finished = [Finished(one.id, one.attempt, answer, "") for one in claimed]
    await within(
        shop,
        lambda session: queue.finish_attempts(session, ledger_id=shop.ledger.id, finished=finished, now=shop.now()),
    )


async def put_back(shop: Shop, claimed: list[Claimed], *, token: int, due_at: datetime) -> None:
    due = [(one.id, due_at) for one in claimed]
    await within(shop, lambda session: queue.put_back(session, ledger_id=shop.ledger.id, token=token, due=due))


async def test_what_is_due_is_claimed_once_and_numbered(shop: Shop) -> None:
    ids = await shop.request_many(3)

    claimed, again = await claim(shop), await claim(shop)

    assert [one.payout_id for one in claimed] == ids
    assert {(one.kind, one.attempt, one.lost) for one in claimed} == {(queue.SUBMIT, 1, False)}
    assert again == []


async def test_the_oldest_are_claimed_first_up_to_the_limit(shop: Shop) -> None:
    old = await shop.request_many(2)
    shop.clock.advance(seconds=1)
    new = await shop.request_many(2)

    first, second = await claim(shop, limit=3), await claim(shop, limit=3)

    assert {one.payout_id for one in first} > set(old)
    assert {one.payout_id for one in first + second} == set(old + new)


async def test_nothing_is_claimed_before_it_is_due(shop: Shop) -> None:
    await shop.request()
    shop.clock.advance(seconds=-1)

    assert await claim(shop) == []


async def test_concurrent_claims_share_the_work_without_overlap(shop: Shop) -> None:
    ids = await shop.request_many(60)

    batches = await asyncio.gather(*(claim(shop, token=token, limit=10) for token in range(1, 9)))
    while batch := await claim(shop, limit=10):
        batches.append(batch)

    claimed = [one.payout_id for batch in batches for one in batch]
    assert sorted(claimed) == sorted(ids)


async def test_a_claim_that_is_not_committed_leaves_its_instructions_to_others(shop: Shop) -> None:
    (payout_id,) = await shop.request_many(1)

    with contextlib.suppress(ProcessDied):
        async with transaction(shop.engine) as connection:
            session = await driver(connection)
            await queue.claim(session, kinds=KINDS, rails=RAILS, now=shop.now(), lease=LEASE, token=1, limit=10)
            raise ProcessDied

    assert [(one.payout_id, one.attempt) for one in await claim(shop)] == [(payout_id, 1)]


async def test_a_claim_whose_try_has_no_answer_is_lost_once_the_lease_ends(shop: Shop) -> None:
    await shop.request()
    await start(shop, await claim(shop))

    shop.clock.advance(seconds=LEASE.total_seconds() - 1)
    held = await claim(shop, token=2)
    shop.clock.advance(seconds=1)
    (found,) = await claim(shop, token=2)

    assert held == []
    assert (found.attempt, found.lost) == (2, True)


async def test_a_claim_whose_try_was_answered_is_not_lost(shop: Shop) -> None:
    await shop.request()
    claimed = await claim(shop)
    await start(shop, claimed)
    await finish(shop, claimed)

    shop.clock.advance(seconds=LEASE.total_seconds())
    (found,) = await claim(shop, token=2)

    assert (found.attempt, found.lost) == (2, False)


async def test_a_claim_that_made_no_try_is_not_lost(shop: Shop) -> None:
    """Nothing can have been sent: the attempt is committed before every call."""
    await shop.request()
    await claim(shop)

    shop.clock.advance(seconds=LEASE.total_seconds())
    (found,) = await claim(shop, token=2)

    assert (found.attempt, found.lost) == (2, False)


async def test_what_is_put_back_is_claimed_at_its_time(shop: Shop) -> None:
    await shop.request()
    claimed = await claim(shop)
    await put_back(shop, claimed, token=1, due_at=shop.now() + timedelta(seconds=30))

    early = await claim(shop)
    shop.clock.advance(seconds=30)

    assert early == []
    assert [one.attempt for one in await claim(shop)] == [2]


async def test_only_the_holder_of_the_lease_puts_back(shop: Shop) -> None:
    await shop.request()
    stale = await claim(shop, token=1)
    shop.clock.advance(seconds=LEASE.total_seconds())
    await claim(shop, token=2)

    await put_back(shop, stale, token=1, due_at=shop.now())

    assert await claim(shop, token=3) == []


async def test_what_is_complete_is_never_claimed_or_put_back_again(shop: Shop) -> None:
    payout_id = await shop.request()
    claimed = await claim(shop)
    await shop.cancel(payout_id)

    await put_back(shop, claimed, token=1, due_at=shop.now())
    shop.clock.advance(seconds=10 * LEASE.total_seconds())

    assert await claim(shop) == []


async def test_a_try_keeps_its_first_answer(shop: Shop) -> None:
    await shop.request()
    claimed = await claim(shop)
    await start(shop, claimed)

    await finish(shop, claimed, answer="lost")
    await finish(shop, claimed, answer="Acknowledged")

    (row,) = await shop.rows("SELECT answer FROM attempts WHERE ledger_id = :ledger")
    assert row.answer == "lost"


async def test_one_try_has_one_number_and_one_path(shop: Shop) -> None:
    await shop.request()
    claimed = await claim(shop)
    await start(shop, claimed)

    with pytest.raises(psycopg.errors.UniqueViolation):
        await start(shop, claimed)


async def test_a_payout_has_one_instruction_of_a_kind_for_ever(shop: Shop) -> None:
    payout_id = await shop.request()
    for _ in range(2):
        await within(
            shop,
            lambda session: queue.enqueue(
                session,
                ledger_id=shop.ledger.id,
                kind=queue.SUBMIT,
                subject_ids=[payout_id],
                ids=shop.ids,
                now=shop.now(),
                due_at=shop.now(),
            ),
        )

    assert len(await claim(shop)) == 1


async def test_claims_come_grouped_by_ledger(shop: Shop) -> None:
    async with open_shop(shop.engine) as other:
        for one in (shop, other, shop, other):
            await one.request()

        claimed = await claim(shop)

        assert [one.ledger_id for one in claimed] == sorted([shop.ledger.id, other.ledger.id] * 2)


async def test_a_lost_claim_of_a_payout_that_moved_on_is_harmless(shop: Shop) -> None:
    """Evidence came by another way while the worker was away: the queue forgets the payout."""
    payout_id = await shop.request()
    await start(shop, await claim(shop))
    await shop.record((payout_id, STARTED))
    await shop.cancel(await shop.request())
    shop.clock.advance(seconds=LEASE.total_seconds())

    (found,) = await claim(shop, token=2)

    assert (found.payout_id, found.lost) == (payout_id, True)
