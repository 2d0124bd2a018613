"""Codes over USSD: one question, money on its way; whatever is wrong with a code sounds the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from daftari.v1 import promotions_pb2 as pb
from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceStub, PromotionQueryServiceStub
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from tests.api.test_promotions import FACE, activated
from tests.api.ussd.rig import Telco, open_telco

PHONE, OTHER = "254712345678", "254700000017"
REDEEM = "1"
THANKS = "END Asante. Utapokea KES 50.00 kwenye simu hivi karibuni."
NOT_VALID = "END Kodi hii haiwezi kutumika. Hakikisha ujaribu tena."
BUSY = "END Tunahakiki kodi yako. Piga tena baada ya dakika chache: inahesabika mara moja."


@dataclass
class Promotion:
    """A gateway, and the codes of an active batch behind it."""

    telco: Telco
    codes: list[str]

    async def batch(self) -> pb.Batch:
        """As it is now."""
        queries = PromotionQueryServiceStub(self.telco.office.channel(self.telco.office.operator))
        return (await queries.GetBatch(pb.GetBatchRequest(ledger=self.telco.office.ledger, code="tins-1"))).batch


async def stage(telco: Telco) -> Promotion:
    """A campaign with three codes."""
    office = telco.office
    campaign = pb.Campaign(code="tins", name="Tins")
    await PromotionCommandServiceStub(office.channel(office.operator)).CreateCampaign(
        pb.CreateCampaignRequest(ledger=office.ledger, request_id="c1", campaign=campaign)
    )
    _, codes = await activated(office)
    return Promotion(telco, codes)


@pytest.fixture
async def promotion(engine: AsyncEngine) -> AsyncIterator[Promotion]:
    """Over books of its own."""
    async with open_telco(engine) as telco:
        yield await stage(telco)


async def test_a_code_is_money_on_its_way_however_it_is_typed(promotion: Promotion) -> None:
    typed = promotion.codes[0].lower().replace("-", " ")

    screen = await promotion.telco.phone(PHONE).say(REDEEM, typed)

    assert screen == THANKS
    batch = await promotion.batch()
    assert (batch.redeemed_count, batch.live_count, batch.liability.minor_units) == (1, 2, 2 * FACE)


async def test_a_hop_that_comes_again_and_a_second_dial_of_the_same_phone_redeem_once(promotion: Promotion) -> None:
    phone = promotion.telco.phone(PHONE)
    await phone.say(REDEEM)
    phone.text += f"*{promotion.codes[0]}"

    screens = {*await asyncio.gather(*(phone.repeat() for _ in range(5)))}
    screens.add(await promotion.telco.phone(PHONE).say(REDEEM, promotion.codes[0]))

    assert screens == {THANKS}
    assert (await promotion.batch()).redeemed_count == 1


async def test_wrong_used_and_half_typed_codes_sound_the_same(promotion: Promotion) -> None:
    await promotion.telco.phone(PHONE).say(REDEEM, promotion.codes[0])

    screens = [
        await promotion.telco.phone(OTHER).say(REDEEM, typed)
        for typed in (promotion.codes[0], "AAAA-1111-BBBB-2222", promotion.codes[1][:-1])
    ]

    assert set(screens) == {NOT_VALID}
    assert (await promotion.batch()).redeemed_count == 1


async def test_who_guesses_is_told_to_wait(promotion: Promotion) -> None:
    screens = [await promotion.telco.phone(OTHER).say(REDEEM, f"AAAA-1111-BBBB-22{n:02}") for n in range(12)]
    true_one = await promotion.telco.phone(OTHER).say(REDEEM, promotion.codes[0])

    assert screens[0] == NOT_VALID
    assert screens[-1] == true_one == "END Umejaribu mara nyingi. Jaribu tena baadaye."
    assert (await promotion.batch()).redeemed_count == 0


async def test_while_the_core_is_slow_the_code_is_redeemed_once_and_the_next_dial_says_so(engine: AsyncEngine) -> None:
    async with open_telco(engine, answer_seconds_max=0.3) as telco:
        promotion = await stage(telco)
        phone = telco.phone(PHONE)
        await phone.say(REDEEM)
        async with transaction(engine) as connection:
            hold = text("SELECT 1 FROM account_balances WHERE ledger_id = :ledger FOR UPDATE")
            await connection.execute(hold, {"ledger": telco.office.shop.ledger.id})
            busy = await phone.answer(promotion.codes[0])
        for _ in range(100):
            if (await promotion.batch()).redeemed_count:
                break
            await asyncio.sleep(0.1)

        again = await telco.phone(PHONE).say(REDEEM, promotion.codes[0])

        assert (busy, again) == (BUSY, THANKS)
        assert (await promotion.batch()).redeemed_count == 1
