"""Redeeming on real books: one winner per code, one payout per winner, the same answer to a repeated hop, and one
answer to everything that is not to be redeemed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.journal.decide import Refused
from ledger.payouts import switches
from ledger.payouts.limit_settings import LimitSetting, set_limit
from ledger.payouts.outcome import Outcome
from ledger.promotions.attempts import ThrottleRules
from ledger.promotions.batch import Event
from ledger.promotions.code import ALPHABET
from ledger.promotions.redeeming import Redeemed, RedeemResult
from ledger.promotions.redemption import State
from tests.ledger.payouts.roads import FAILED, REJECTED, STARTED, settled
from tests.ledger.promotions.fair import FACE, PHONE, Fair, open_fair, phone

OTHER = "254700000001"
NOT_VALID, LATER = "CODE_NOT_VALID", "TOO_MANY_ATTEMPTS"


def reason(result: RedeemResult) -> str:
    """Why an order was refused; "" where it was not."""
    return result.error.reason if isinstance(result, Refused) else ""


def guess(number: int) -> str:
    """One of many codes that nobody made."""
    digits = "".join(ALPHABET[number >> shift & 31] for shift in (0, 5, 10))
    return f"ZZZZZZ{digits}ZZZZZZZ"


async def test_a_redeemed_code_owes_its_winner_and_reserves_the_payout(fair: Fair) -> None:
    batch = await fair.active(codes=3)

    won = await fair.won(batch, 2)

    payout = await fair.shop.payout(won.payout_id)
    assert (won.state, won.number, won.msisdn_masked) == (State.PAYING, 2, "2547****5678")
    assert (payout.amount.minor_units, payout.purpose, payout.fee.minor_units) == (FACE, "promotion", 0)
    assert await fair.held(batch) == (2 * FACE, 0, 0)
    assert await fair.shop.balance("liab.payout.in_transit.daraja.600584") == FACE
    after = await fair.batch(batch.id)
    assert (after.live, after.redeemed, after.failed, after.version) == (2, 1, 0, batch.version)


async def test_codes_are_read_as_people_type_them(fair: Fair) -> None:
    batch = await fair.active(codes=1)
    printed = fair.codes[batch.id][1]
    typed = f"  {printed.lower().replace('-', ' . ').replace('0', 'o').replace('1', 'l')} "

    (result,) = await fair.redeem_all(fair.typed(typed))

    assert isinstance(result, Redeemed)


async def test_a_repeated_hop_gets_the_same_answer(fair: Fair) -> None:
    batch = await fair.active(codes=2)
    code = fair.codes[batch.id][1]
    first = fair.typed(code, name="hop", session="at-1")
    by_session, later = fair.typed(code, session="at-1"), fair.typed(code, session="at-2")

    results = [(await fair.redeem_all(one))[0] for one in (first, first, by_session, later)]

    redeemed = [one for one in results if isinstance(one, Redeemed)]
    assert [one.replayed for one in redeemed] == [False, True, True, True]
    assert len({one.redemption.id for one in redeemed}) == 1
    assert await fair.held(batch) == (FACE, 0, 0)


async def test_a_request_id_stands_for_one_code_and_phone(fair: Fair) -> None:
    batch = await fair.active(codes=2)
    one, two = (fair.typed(fair.codes[batch.id][number], name="hop") for number in (1, 2))

    together = await fair.redeem_all(one, two)

    assert [reason(result) for result in together] == ["", "IDEMPOTENCY_KEY_REUSED"]
    assert [reason(result) for result in await fair.redeem_all(two)] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_one_code_in_one_set_has_one_winner(fair: Fair) -> None:
    batch = await fair.active(codes=2)
    code = fair.codes[batch.id][1]
    orders = [fair.typed(code, msisdn=one) for one in (PHONE, OTHER, PHONE)]

    first, second, third = await fair.redeem_all(*orders)

    assert isinstance(first, Redeemed)
    assert isinstance(third, Redeemed)
    assert (first.replayed, reason(second), third.replayed) == (False, NOT_VALID, True)
    assert first.redemption == third.redemption


async def test_a_bad_item_never_fails_its_neighbours(fair: Fair) -> None:
    batch = await fair.active(codes=3)
    codes = fair.codes[batch.id]
    orders = [fair.typed(text, msisdn=phone(at)) for at, text in enumerate([codes[1], guess(1), codes[2], codes[3]])]

    results = await fair.redeem_all(*orders)

    assert [reason(one) for one in results] == ["", NOT_VALID, "", ""]
    assert await fair.held(batch) == (0, 0, 0)


async def test_one_answer_to_all_that_is_not_to_be_redeemed(fair: Fair) -> None:
    batch = await fair.active(codes=6)
    draft, over, cancelled = await fair.draft(codes=1), await fair.active(codes=1, days=1), await fair.active(codes=1)
    await fair.won(batch, 1, msisdn=OTHER)
    await fair.take(batch, 2, Event.STOLEN)
    await fair.take(batch, 3, Event.DISABLED)
    await fair.void(batch, 4, 4)
    await fair.switch(cancelled, "cancel")
    fair.shop.clock.advance(seconds=86_400)
    codes = [fair.codes[batch.id][number] for number in (1, 2, 3, 4)]
    codes += [fair.codes[one.id][1] for one in (draft, over, cancelled)] + [guess(7)]

    results = await fair.redeem_all(*(fair.typed(text, msisdn=phone(at)) for at, text in enumerate(codes)))

    told = {(reason(one), str(one.error), one.error.field) for one in results if isinstance(one, Refused)}
    assert len(told) == 1
    assert len(results) == 8
    assert next(iter(told))[0] == NOT_VALID


async def test_codes_of_a_paused_batch_are_kept_for_later(fair: Fair) -> None:
    batch = await fair.active(codes=1)
    await fair.switch(batch, "pause")
    paused = [reason(await fair.redeem(batch, 1)) for _ in range(7)]
    await fair.switch(batch, "resume")

    assert set(paused) == {"PROMOTION_PAUSED"}
    assert isinstance(await fair.redeem(batch, 1), Redeemed)


async def test_a_phone_has_five_wrong_codes_an_hour(fair: Fair) -> None:
    batch = await fair.active(codes=1)
    wrong = [reason((await fair.redeem_all(fair.typed(guess(number))))[0]) for number in range(7)]
    genuine = await fair.redeem(batch, 1)
    fair.shop.clock.advance(seconds=3_600)

    assert wrong == [NOT_VALID] * 5 + [LATER] * 2
    assert isinstance(genuine, Refused)
    assert genuine.error.facts["retry_after_seconds"] == "3600"
    assert isinstance(await fair.redeem(batch, 1), Redeemed)


async def test_a_set_of_guesses_is_cut_off_at_the_same_place(fair: Fair) -> None:
    results = await fair.redeem_all(*(fair.typed(guess(number)) for number in range(9)))

    assert [reason(one) for one in results] == [NOT_VALID] * 5 + [LATER] * 4


async def test_a_wrong_code_repeated_in_its_session_counts_once(fair: Fair) -> None:
    hops = [fair.typed(guess(1), session="at-1") for _ in range(9)]

    results = [(await fair.redeem_all(hop))[0] for hop in hops]

    assert [reason(one) for one in results] == [NOT_VALID] * 9
    assert [reason((await fair.redeem_all(fair.typed(guess(number))))[0]) for number in range(2, 7)] == [
        *[NOT_VALID] * 4,
        LATER,
    ]


async def test_the_same_answer_also_when_the_code_became_good_meanwhile(fair: Fair) -> None:
    batch = await fair.draft(codes=1)
    early = await fair.redeem(batch, 1, session="at-1")
    await fair.activate(batch)

    repeated, another = await fair.redeem(batch, 1, session="at-1"), await fair.redeem(batch, 1, session="at-2")

    assert (reason(early), reason(repeated), reason(another)) == (NOT_VALID, NOT_VALID, "")


async def test_the_brake_leaves_each_phone_one_wrong_code_and_every_genuine_one(engine: AsyncEngine) -> None:
    rules = ThrottleRules(caller_max=3, all_max=100)
    async with open_fair(engine, rules=rules) as fair:
        batch = await fair.active(codes=1)
        before = [fair.typed(guess(at), msisdn=phone(at)) for at in range(3)]
        after = [fair.typed(guess(at), msisdn=phone(9)) for at in range(3, 6)]
        elsewhere = [fair.typed(guess(at), msisdn=phone(10), client=77) for at in range(6, 8)]

        told = [reason(one) for one in await fair.redeem_all(*before, *after)]
        told_elsewhere = [reason(one) for one in await fair.redeem_all(*elsewhere)]

        assert told == [NOT_VALID] * 3 + [NOT_VALID, LATER, LATER]
        assert told_elsewhere == [NOT_VALID] * 2
        assert isinstance(await fair.redeem(batch, 1, msisdn=phone(11)), Redeemed)


async def test_a_phone_redeems_as_often_as_its_campaign_allows(fair: Fair) -> None:
    await fair.campaign(code="few", most=3, a_day=2)
    batch = await fair.create(replace(fair.wanted(codes=5), campaign="few"))
    await fair.generate(batch)
    await fair.activate(batch)
    fair.codes[batch.id] = {one.number: one.code for one in await fair.sheets(batch)}

    together = await fair.redeem_all(*(fair.typed(fair.codes[batch.id][number]) for number in (1, 2, 3)))
    fair.shop.clock.advance(seconds=86_400)
    next_day = [reason(await fair.redeem(batch, number)) for number in (3, 4)]

    assert [reason(one) for one in together] == ["", "", "CAMPAIGN_LIMIT_REACHED"]
    assert next_day == ["", "CAMPAIGN_LIMIT_REACHED"]
    assert reason(await fair.redeem(batch, 4, msisdn=OTHER)) == ""


async def test_what_the_payouts_refuse_is_not_redeemed(fair: Fair) -> None:
    batch = await fair.active(codes=4)
    shop, setting = fair.shop, LimitSetting("payee", "hour", FACE, None)
    await fair.tell(
        lambda driver: set_limit(
            driver,
            ledger_id=shop.ledger.id,
            partner_id=shop.partner.id,
            setting=setting,
            actor="t",
            ids=shop.ids,
            now=shop.now(),
        )
    )
    orders = [fair.typed(fair.codes[batch.id][number], msisdn=phone(number // 3)) for number in (1, 2, 3)]

    results = await fair.redeem_all(*orders)

    assert [reason(one) for one in results] == ["", "LIMIT_WOULD_BREAK", ""]
    assert await fair.held(batch) == (2 * FACE, 0, 0)
    assert (await fair.batch(batch.id)).live == 2


async def test_nothing_is_redeemed_over_a_stopped_rail(fair: Fair) -> None:
    batch = await fair.active(codes=1)
    shop = fair.shop
    await fair.tell(
        lambda driver: switches.stop_rail(
            driver, ledger_id=shop.ledger.id, rail="daraja", reason="why", actor="t", ids=shop.ids, now=shop.now()
        )
    )

    assert reason(await fair.redeem(batch, 1)) == "RAIL_STOPPED"
    assert await fair.held(batch) == (FACE, 0, 0)


async def test_a_paid_payout_pays_its_redemption(fair: Fair) -> None:
    batch = await fair.active(codes=1)
    won = await fair.won(batch, 1)

    await fair.shop.record((won.payout_id, STARTED), (won.payout_id, settled(won.payout_id, shillings=50)))

    assert (await fair.redemption(won.id)).state is State.PAID
    assert await fair.held(batch) == (0, 0, 0)


@pytest.mark.parametrize("outcome", [FAILED, REJECTED])
async def test_a_failed_payout_owes_the_winner_and_is_tried_again(fair: Fair, outcome: Outcome) -> None:
    batch = await fair.active(codes=2)
    won = await fair.won(batch, 1)
    await fair.shop.record((won.payout_id, STARTED), (won.payout_id, outcome))
    failed, held = await fair.redemption(won.id), await fair.held(batch)
    early = await fair.retry_due()
    fair.shop.clock.advance(seconds=3_600)

    assert (failed.state, held, early) == (State.FAILED, (FACE, FACE, 0), 0)
    assert await fair.retry_due() == 1
    again = await fair.redemption(won.id)
    assert (again.state, again.tries, again.retry_at) == (State.PAYING, 2, None)
    assert again.payout_id != won.payout_id
    assert await fair.held(batch) == (FACE, 0, 0)
    await fair.shop.record((again.payout_id, STARTED), (again.payout_id, settled(again.payout_id, shillings=50)))
    assert (await fair.redemption(won.id)).state is State.PAID


async def test_three_retries_and_then_a_person(fair: Fair) -> None:
    batch = await fair.active(codes=1)
    won = await fair.won(batch, 1)
    for _ in range(4):
        current = await fair.redemption(won.id)
        await fair.shop.record((current.payout_id, STARTED), (current.payout_id, FAILED))
        fair.shop.clock.advance(seconds=86_400)
        await fair.retry_due()

    given_up = await fair.redemption(won.id)
    by_hand = await fair.retry(given_up, name="once")

    assert (given_up.state, given_up.tries, given_up.retry_at) == (State.FAILED, 4, None)
    assert (by_hand, await fair.retry(given_up, name="once")) == (False, True)
    assert (await fair.redemption(won.id)).tries == 5


async def test_a_retry_over_a_stopped_rail_is_put_off(fair: Fair) -> None:
    batch = await fair.active(codes=1)
    won = await fair.won(batch, 1)
    await fair.shop.record((won.payout_id, STARTED), (won.payout_id, FAILED))
    shop = fair.shop
    await fair.tell(
        lambda driver: switches.stop_rail(
            driver, ledger_id=shop.ledger.id, rail="daraja", reason="why", actor="t", ids=shop.ids, now=shop.now()
        )
    )
    shop.clock.advance(seconds=3_600)

    assert (await fair.retry_due(), await fair.retry_due()) == (1, 0)
    assert (await fair.redemption(won.id)).state is State.FAILED
    assert await fair.held(batch) == (0, FACE, 0)


@pytest.mark.parametrize("number", range(20))
async def test_sixteen_phones_at_one_code_have_one_winner(fair: Fair, number: int) -> None:
    batch = await fair.active(codes=1)

    results = await asyncio.gather(*(fair.redeem(batch, 1, msisdn=phone(100 * number + at)) for at in range(16)))

    winners = [one for one in results if isinstance(one, Redeemed)]
    assert (len(winners), [one.replayed for one in winners]) == (1, [False])
    assert {reason(one) for one in results if isinstance(one, Refused)} == {NOT_VALID}
    assert len(await fair.shop.rows("SELECT FROM payouts WHERE ledger_id = :ledger")) == 1


async def test_one_phone_at_one_code_many_times_at_once_wins_once(fair: Fair) -> None:
    batch = await fair.active(codes=1)

    results = await asyncio.gather(*(fair.redeem(batch, 1) for _ in range(8)))

    redeemed = [one for one in results if isinstance(one, Redeemed)]
    assert sorted(one.replayed for one in redeemed) == [False] + [True] * 7


async def test_the_limit_of_a_phone_holds_however_many_codes_it_races_for(fair: Fair) -> None:
    await fair.campaign(code="few", most=2)
    batch = await fair.create(replace(fair.wanted(codes=8), campaign="few"))
    await fair.generate(batch)
    await fair.activate(batch)
    fair.codes[batch.id] = {one.number: one.code for one in await fair.sheets(batch)}

    results = await asyncio.gather(*(fair.redeem(batch, number) for number in range(1, 9)))

    assert sorted(reason(one) for one in results) == [""] * 2 + ["CAMPAIGN_LIMIT_REACHED"] * 6


async def test_guessing_at_once_is_cut_off_at_the_same_place(fair: Fair) -> None:
    results = await asyncio.gather(*(fair.redeem_all(fair.typed(guess(number))) for number in range(12)))

    assert sorted(reason(one) for (one,) in results) == [NOT_VALID] * 5 + [LATER] * 7


async def test_redeeming_against_cancelling_ends_one_way(fair: Fair) -> None:
    for _ in range(5):
        batch = await fair.active(codes=2)

        results = await asyncio.gather(fair.redeem(batch, 1), fair.switch(batch, "cancel"), fair.redeem(batch, 2))

        won = sum(isinstance(one, Redeemed) for one in results)
        after = await fair.batch(batch.id)
        assert (after.redeemed, after.live) == (won, 2 - won)
        assert await fair.held(batch) == (0, 0, 0)
