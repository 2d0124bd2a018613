"""Large money that a callback alone told of: booked at once, given to nobody before the provider confirms it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections.order import State
from ledger.database import driver, run
from ledger.outbox.collecting import Channel
from ledger.receiving import PATIENCE, RACING_CONSTRAINTS
from tests.ledger.collections.till import WALLET, Till, open_till

LIMIT_SHILLINGS = 1_000


@pytest.fixture
async def till(engine: AsyncEngine) -> AsyncIterator[Till]:
    """A till that asks about more than KES 1,000."""
    async with open_till(engine) as opened:
        opened.recorder = replace(opened.recorder, verify_above=LIMIT_SHILLINGS * 100)
        yield opened


async def confirm(till: Till, *receipt_ids: int) -> None:
    """The provider, asked, says that they stand."""

    async def command(connection: AsyncConnection) -> None:
        stands = [(receipt_id, None) for receipt_id in receipt_ids]
        await till.recorder.confirm(
            await driver(connection), ledger=till.shop.ledger, stands=stands, now=till.shop.now()
        )

    await run(till.shop.engine, command, again_on=RACING_CONSTRAINTS)


async def questions(till: Till) -> int:
    """How many receipts are to be asked about."""
    return len(await till.shop.rows("SELECT FROM instructions WHERE ledger_id = :ledger AND kind = 'receipt.query'"))


@pytest.mark.parametrize("channel", [Channel.CONFIRMATION, Channel.PROMPT])
async def test_what_was_only_told_waits_until_it_is_confirmed_and_confirming_twice_gives_once(
    till: Till, channel: Channel
) -> None:
    order = await till.order(shillings=1_500)
    await till.tell(till.paid(shillings=1_500, reference=order.reference), channel=channel)
    ((receipt_id,),) = await till.shop.rows("SELECT id FROM receipts WHERE ledger_id = :ledger")
    waiting = (await till.holdings(receipt_id)).unallocated, (await till.read_order(order)).money.state

    await confirm(till, receipt_id)
    await confirm(till, receipt_id, receipt_id)

    assert waiting == (150_000, State.OPEN)
    assert (await till.read_order(order)).money.state is State.PAID
    assert await till.events(receipt_id) == ["received", "allocated"]
    assert await questions(till) == 1


@pytest.mark.parametrize("channel", [Channel.PULL, Channel.STATEMENT, Channel.QUERY])
async def test_what_the_provider_answered_needs_no_other_answer(till: Till, channel: Channel) -> None:
    order = await till.order(shillings=1_500)

    await till.tell(till.paid(shillings=1_500, reference=order.reference), channel=channel)

    till.shop.clock.moment += PATIENCE + timedelta(seconds=1)
    await till.settle_waiting()
    assert (await till.read_order(order)).money.state is State.PAID


async def test_neither_a_wallet_is_credited_by_a_callback_alone(till: Till) -> None:
    await till.add_reference("AMINA", path=WALLET)

    receipt_id = await till.take(shillings=1_500, reference="AMINA")

    assert await till.shop.balance(WALLET) == 0
    await confirm(till, receipt_id)
    assert await till.shop.balance(WALLET) == 150_000


async def test_what_nothing_confirms_in_time_awaits_a_person_and_stays_theirs(till: Till) -> None:
    order = await till.order(shillings=1_500, minutes=60)
    receipt_id = await till.take(shillings=1_500, reference=order.reference)
    till.shop.clock.moment += PATIENCE + timedelta(seconds=1)
    await till.settle_waiting()

    await confirm(till, receipt_id)

    assert (await till.holdings(receipt_id)).suspended == 150_000
    assert (await till.read_order(order)).money.state is State.OPEN
    assert await till.cases() == [("receipt-unallocated", "no status query has confirmed it")]


async def test_what_is_not_over_the_limit_is_given_at_once(till: Till) -> None:
    order = await till.order(shillings=LIMIT_SHILLINGS)

    await till.take(shillings=LIMIT_SHILLINGS, reference=order.reference)

    assert (await till.read_order(order)).money.state is State.PAID
    assert await questions(till) == 0
