"""Concurrent callers: one request is one payout, no prefund is overdrawn, one receipt settles one payout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from ledger.errors import FloorWouldBreak, IdempotencyKeyReused, PartnerReferenceReused
from ledger.journal.decide import Refused
from ledger.outcomes import Applied, Unchanged
from ledger.payouts.payout import Standing, State
from ledger.payouts.request import Requested, RequestResult
from tests.ledger.payouts.roads import STARTED, road_to, settled
from tests.ledger.payouts.shop import FLOAT, PREFUND, Shop, open_shop


async def request_at_once(
    shop: Shop, count: int, *, key: str | None = None, reference: str | None = None
) -> list[RequestResult]:
    """Each request in a transaction of its own, all at the same time."""
    drafts = [shop.draft(key=key, reference=reference) for _ in range(count)]
    return [one for (one,) in await asyncio.gather(*(shop.request_all(draft) for draft in drafts))]


@asynccontextmanager
async def float_held(shop: Shop) -> AsyncIterator[None]:
    """Nobody can post to the float meanwhile."""
    async with transaction(shop.engine) as connection:
        await connection.execute(text(_HOLD), {"ledger": shop.ledger.id, "path": FLOAT})
        yield


_HOLD = """
SELECT FROM account_balances AS b JOIN accounts AS a ON a.ledger_id = b.ledger_id AND a.id = b.account_id
WHERE b.ledger_id = :ledger AND a.path = :path FOR UPDATE OF b
"""
_WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def until_waiting(shop: Shop, sessions: int) -> None:
    """Returns once so many sessions wait for a lock. Fails after ten seconds."""
    async with asyncio.timeout(10):
        while (await shop.rows(_WAITING))[0][0] < sessions:  # noqa: ASYNC110  (another session sets no Event)
            await asyncio.sleep(0.01)


async def test_sixty_four_concurrent_identical_requests_make_one_payout(shop: Shop) -> None:
    verdicts = await request_at_once(shop, 64, key="same", reference="order-1")

    made = [one for one in verdicts if isinstance(one, Requested)]
    assert len(made) == 64
    assert len({one.payout_id for one in made}) == 1
    assert [one.replayed for one in made].count(False) == 1
    assert await shop.balance(PREFUND) == shop.prefunded - 150_000


async def test_of_concurrent_requests_with_one_key_and_different_content_one_is_answered(shop: Shop) -> None:
    drafts = [shop.draft(key="same", shillings=10 + number) for number in range(8)]

    verdicts = [one for (one,) in await asyncio.gather(*(shop.request_all(draft) for draft in drafts))]

    assert [type(one) for one in verdicts].count(Requested) == 1
    refusals = {type(one.error) for one in verdicts if isinstance(one, Refused)}
    assert refusals == {IdempotencyKeyReused}


async def test_of_concurrent_requests_with_one_reference_one_is_accepted(shop: Shop) -> None:
    verdicts = await request_at_once(shop, 8, reference="order-1")

    assert [type(one) for one in verdicts].count(Requested) == 1
    refusals = {type(one.error) for one in verdicts if isinstance(one, Refused)}
    assert refusals == {PartnerReferenceReused}


async def test_two_hundred_concurrent_payouts_on_a_prefund_for_a_hundred_take_exactly_all_of_it(
    engine: AsyncEngine,
) -> None:
    async with open_shop(engine, prefunded=100 * (150_000 + 750), fee=750) as shop:
        verdicts = await request_at_once(shop, 200)

        assert [type(one) for one in verdicts].count(Requested) == 100
        refusals = {type(one.error) for one in verdicts if isinstance(one, Refused)}
        assert refusals == {FloorWouldBreak}
        assert await shop.balance(PREFUND) == 0


async def test_concurrent_sets_of_new_payees_neither_deadlock_nor_double_a_payee(shop: Shop) -> None:
    numbers = [f"2547120000{number:02}" for number in range(20)]
    forwards = [shop.draft(msisdn=number, shillings=10) for number in numbers]
    backwards = [shop.draft(msisdn=number, shillings=10) for number in reversed(numbers)]

    answers = await asyncio.gather(*(shop.request_all(*drafts) for drafts in (forwards, backwards)))

    assert all(isinstance(one, Requested) for verdicts in answers for one in verdicts)
    (row,) = await shop.rows("SELECT count(*), count(DISTINCT payee_masked) FROM parties WHERE ledger_id = :ledger")
    assert tuple(row) == (20, 20)


async def test_two_payouts_settled_at_once_under_one_receipt_are_one_settlement_and_one_conflict(shop: Shop) -> None:
    """Both have looked the receipt up before either has stored it, if looking up is all that protects it."""
    ids = await shop.request_many(2)
    await shop.record(*((one, STARTED) for one in ids))

    async with float_held(shop):
        racing = [asyncio.create_task(shop.record((one, settled(one, receipt="UI10000001")))) for one in ids]
        await until_waiting(shop, 2)
    verdicts = [verdict for task in racing for verdict in await task]

    assert sorted(type(one).__name__ for one in verdicts) == ["Applied", "Unchanged"]
    assert Unchanged(State.SUBMITTING, Standing.CONFLICT) in verdicts
    assert await shop.balance(FLOAT) == shop.float_opening - 150_000


async def test_contradictory_outcomes_at_once_are_recorded_one_after_the_other(shop: Shop) -> None:
    ids = await shop.request_many(10)
    for one in ids:
        await shop.record(*road_to(State.SUBMITTED, one))

    verdicts = await asyncio.gather(*(shop.record((one, settled(one))) for one in ids for _ in range(3)))

    applied = [one for (one,) in verdicts if isinstance(one, Applied)]
    assert len(applied) == 10
    assert {one for (one,) in verdicts if isinstance(one, Unchanged)} == {Unchanged(State.SETTLED, Standing.REPEATED)}
