"""The reply to a COMMIT is lost, before it arrives or after it was carried out: the same command again is the same
answer (scenario 13)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

import pytest

from ledger.database import connect
from ledger.errors import CommitUnknown
from ledger.outcomes import Applied
from ledger.payouts.request import PayoutRequest, Requested
from tests.fix_database import Database
from tests.ledger.payouts.roads import STARTED, settled
from tests.ledger.payouts.shop import FLOAT, PREFUND, Shop
from tests.ledger.test_database import Cut, Proxy

Command: TypeAlias = Callable[[Shop], Awaitable[object]]

ROUNDS = 10
AMOUNT = 150_000


@asynccontextmanager
async def cut_off(shop: Shop, database: Database, cut: Cut) -> AsyncIterator[Shop]:
    """The shop as a process sees it whose connection is cut at its next COMMIT."""
    async with Proxy(database.app, cut).listening() as url:
        engine = connect(url, pool_size=1, application_name="tests")
        yield replace(shop, engine=engine)
        await engine.dispose()


def requesting(draft: PayoutRequest) -> Command:
    return lambda shop: shop.request_all(draft)


def settling(payout_id: int) -> Command:
    return lambda shop: shop.record((payout_id, settled(payout_id)))


async def unheard(shop: Shop, database: Database, cut: Cut, command: Command) -> None:
    """The command is given, and nobody knows what became of it."""
    async with cut_off(shop, database, cut) as severed:
        with pytest.raises(CommitUnknown, match="repeat with the same request id"):
            await command(severed)


@pytest.mark.parametrize("cut", Cut)
async def test_a_request_repeated_after_it_is_one_payout_and_one_answer(
    shop: Shop, database: Database, cut: Cut
) -> None:
    drafts = [shop.draft() for _ in range(ROUNDS)]

    for draft in drafts:
        await unheard(shop, database, cut, requesting(draft))
    first, again = await shop.request_all(*drafts), await shop.request_all(*drafts)

    answers = [one for one in first if isinstance(one, Requested)]
    assert [one.replayed for one in answers] == [cut is Cut.AFTER_COMMIT_IS_DONE] * ROUNDS
    assert [replace(one, replayed=True) for one in answers] == again
    assert await shop.rows("SELECT count(*) FROM payouts WHERE ledger_id = :ledger") == [(ROUNDS,)]
    assert await shop.balance(PREFUND) == shop.prefunded - ROUNDS * AMOUNT


@pytest.mark.parametrize("cut", Cut)
async def test_an_outcome_recorded_again_after_it_is_one_settlement(shop: Shop, database: Database, cut: Cut) -> None:
    ids = await shop.request_many(ROUNDS)
    await shop.record(*((one, STARTED) for one in ids))

    for one in ids:
        await unheard(shop, database, cut, settling(one))
    verdicts = await shop.record(*((one, settled(one)) for one in ids))

    assert [isinstance(one, Applied) for one in verdicts] == [cut is Cut.BEFORE_COMMIT_ARRIVES] * ROUNDS
    assert [await shop.entries(one) for one in ids] == [["payout.reserved", "payout.settled"]] * ROUNDS
    assert await shop.balance(FLOAT) == shop.float_opening - ROUNDS * AMOUNT
