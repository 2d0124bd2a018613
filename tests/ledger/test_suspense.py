"""Money that left though nothing waited for it: in suspense until a person charges it, claws it back or refutes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import ReviewNotResolvable
from ledger.outcomes import Unchanged
from ledger.payouts.payout import Standing, State
from ledger.resolutions import Verb
from tests.ledger.cases import ABOUT_SUSPENSE, AMOUNT, case_of, decision, holding_case, open_queues, payout_in, resolve
from tests.ledger.payouts.roads import settled
from tests.ledger.payouts.shop import CHARGE, CHARGES, CLAWBACK, FLOAT, OWED, PREFUND, SHORTAGE, Shop, open_shop


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """Prefunded with KES 200,000; each payout costs the partner KES 10."""
    async with open_shop(engine, fee=1_000) as opened:
        yield opened


async def test_charging_a_late_success_takes_it_from_the_partner(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.CONFLICTED)
    suspended = await shop.balance(SHORTAGE)
    review_id = await holding_case(shop, payout_id)

    await resolve(shop, review_id, decision(Verb.CHARGE))

    assert suspended == AMOUNT
    assert await shop.balance(SHORTAGE) == await shop.balance(CLAWBACK) == 0
    assert await shop.balance(PREFUND) == shop.prefunded - AMOUNT


async def test_clawing_back_a_late_success_leaves_it_with_the_payee_as_a_debt(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.CONFLICTED)
    review_id = await holding_case(shop, payout_id)

    await resolve(shop, review_id, decision(Verb.CLAW_BACK))

    assert await shop.balance(SHORTAGE) == 0
    assert await shop.balance(CLAWBACK) == AMOUNT
    assert await shop.balance(PREFUND) == shop.prefunded


async def test_what_is_refuted_never_left_and_its_receipt_is_believed_no_more(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.CONFLICTED)

    await resolve(shop, await holding_case(shop, payout_id), decision(Verb.REFUTE))
    (again,) = await shop.record((payout_id, settled(payout_id)))

    assert again == Unchanged(State.RELEASED, Standing.REPEATED)
    assert await shop.balance(SHORTAGE) == await shop.balance(CHARGES) == await shop.balance(OWED) == 0
    assert await shop.balance(FLOAT) == shop.float_opening
    assert await shop.balance(PREFUND) == shop.prefunded
    (linked,) = await shop.rows(
        "SELECT sum(amount) FROM reversal_links WHERE ledger_id = :ledger AND original_entry_id = :held",
        held=await shop.held(payout_id),
    )
    assert linked[0] == 2 * (AMOUNT + CHARGE)
    assert await open_queues(shop) == []


async def test_after_a_refuted_success_another_receipt_is_a_late_success_like_the_first(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.CONFLICTED)
    await resolve(shop, await holding_case(shop, payout_id), decision(Verb.REFUTE))

    await shop.record((payout_id, settled(payout_id, receipt="QKJ7LATER")))
    state = await shop.state(payout_id)
    await resolve(shop, await holding_case(shop, payout_id), decision(Verb.CHARGE))

    assert state == "CONFLICTED"
    assert (await shop.payout(payout_id)).receipt == "QKJ7LATER"
    assert await shop.balance(PREFUND) == shop.prefunded - AMOUNT


@pytest.mark.parametrize("verb", sorted(ABOUT_SUSPENSE, key=str))
async def test_what_left_again_after_the_settlement_is_decided_without_moving_the_payout(
    shop: Shop, verb: Verb
) -> None:
    payout_id = await payout_in(shop, State.SETTLED)
    await shop.record((payout_id, settled(payout_id, receipt="QKJ7AGAIN")))
    before, prefund, gone = await shop.payout(payout_id), await shop.balance(PREFUND), await shop.balance(FLOAT)

    await resolve(shop, await holding_case(shop, payout_id), decision(verb))

    assert await shop.payout(payout_id) == before
    assert await shop.balance(SHORTAGE) == 0
    assert prefund - await shop.balance(PREFUND) == AMOUNT * (verb is Verb.CHARGE)
    assert await shop.balance(CLAWBACK) == AMOUNT * (verb is Verb.CLAW_BACK)
    assert await shop.balance(FLOAT) - gone == AMOUNT * (verb is Verb.REFUTE)


@pytest.mark.parametrize("order", [("R", "QKJ7AGAIN"), ("QKJ7AGAIN", "R")])
@pytest.mark.parametrize("verbs", list(product(sorted(ABOUT_SUSPENSE, key=str), repeat=2)))
async def test_of_two_successes_after_a_release_each_is_decided_and_the_payout_ends_as_they_say(
    shop: Shop, verbs: tuple[Verb, Verb], order: tuple[str, str]
) -> None:
    payout_id = await payout_in(shop, State.CONFLICTED)
    await shop.record((payout_id, settled(payout_id, receipt="QKJ7AGAIN")))
    receipts = [f"R{payout_id}" if receipt == "R" else receipt for receipt in order]

    for receipt, verb in zip(receipts, verbs, strict=True):
        await resolve(shop, await holding_case(shop, payout_id, receipt=receipt), decision(verb))

    genuine = [receipt for receipt, verb in zip(receipts, verbs, strict=True) if verb is not Verb.REFUTE]
    payout = await shop.payout(payout_id)
    assert (payout.state, payout.receipt) == ((State.SETTLED, genuine[0]) if genuine else (State.RELEASED, None))
    assert await shop.balance(SHORTAGE) == 0
    assert await shop.balance(FLOAT) == shop.float_opening - AMOUNT * len(genuine)
    assert await shop.balance(PREFUND) == shop.prefunded - AMOUNT * verbs.count(Verb.CHARGE)
    assert await open_queues(shop) == []


async def test_money_in_suspense_is_decided_about_once(shop: Shop) -> None:
    """Not by another case of the payout, and not again."""
    payout_id = await payout_in(shop, State.CONFLICTED)
    holding, other = await holding_case(shop, payout_id), await case_of(shop, payout_id)

    with pytest.raises(ReviewNotResolvable):
        await resolve(shop, other, decision(Verb.CHARGE))
    with pytest.raises(ReviewNotResolvable):
        await resolve(shop, holding, decision(Verb.DISMISS))
    await resolve(shop, holding, decision(Verb.CHARGE))
    with pytest.raises(ReviewNotResolvable):
        await resolve(shop, holding, decision(Verb.REFUTE))

    assert await shop.balance(PREFUND) == shop.prefunded - AMOUNT
