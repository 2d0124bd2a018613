"""Money that payees send back: to whoever funded the payout, and never more than was paid."""

from __future__ import annotations

import asyncio

import pytest

from ledger.collections.allocation import Target, TargetKind, Unfit
from ledger.collections.moving import Made
from ledger.collections.receipt import Holdings, Place
from ledger.database import run
from ledger.payouts.payout import State
from ledger.receiving import RACING_CONSTRAINTS
from tests.ledger.cases import payout_in
from tests.ledger.collections.hands import giving, taking_back
from tests.ledger.collections.till import Till
from tests.ledger.payouts.shop import PREFUND

PAID = 150_000


async def refund(till: Till, receipt_id: int, payout_id: int, units: int) -> Made | Unfit:
    """A person's hand."""
    target = Target(TargetKind.PAYOUT, str(payout_id))
    command = giving(till, receipt_id, target, units, source=Place.UNALLOCATED)
    result = await run(till.shop.engine, command, again_on=RACING_CONSTRAINTS)
    assert isinstance(result, Made | Unfit)
    return result


async def test_what_a_payee_sends_back_is_its_funders_again_in_part_and_in_full(till: Till) -> None:
    payout_id = await payout_in(till.shop, State.SETTLED)
    paid = await till.shop.balance(PREFUND)
    first, second = await till.take(receipt="UKR1", shillings=1000), await till.take(receipt="UKR2", shillings=1000)

    part = await refund(till, first, payout_id, 100_000)
    too_much = await refund(till, second, payout_id, PAID - 100_000 + 1)
    rest = await refund(till, second, payout_id, PAID - 100_000)

    assert (type(part), type(too_much), type(rest)) == (Made, Unfit, Made)
    assert await till.shop.balance(PREFUND) - paid == PAID
    assert await till.holdings(second) == Holdings(50_000, allocated=50_000)


async def test_a_refund_that_was_wrong_is_taken_back_and_leaves_room_again(till: Till) -> None:
    payout_id = await payout_in(till.shop, State.SETTLED)
    receipt_id = await till.take(receipt="UKR1", shillings=1500)
    await refund(till, receipt_id, payout_id, PAID)

    await run(till.shop.engine, taking_back(till, receipt_id))

    assert isinstance(await refund(till, receipt_id, payout_id, PAID), Made)


@pytest.mark.parametrize("state", [State.RESERVED, State.SUBMITTED, State.UNKNOWN, State.RELEASED], ids=str)
async def test_only_what_was_paid_can_be_sent_back(till: Till, state: State) -> None:
    payout_id = await payout_in(till.shop, state)
    receipt_id = await till.take(receipt="UKR1", shillings=1000)

    assert isinstance(await refund(till, receipt_id, payout_id, 1), Unfit)


async def test_racing_refunds_are_never_more_than_the_payout(till: Till) -> None:
    payout_id = await payout_in(till.shop, State.SETTLED)
    receipts = [await till.take(receipt=f"UKR{number}", shillings=600) for number in range(6)]

    results = await asyncio.gather(*(refund(till, receipt_id, payout_id, 60_000) for receipt_id in receipts))

    assert sum(isinstance(one, Made) for one in results) == PAID // 60_000
