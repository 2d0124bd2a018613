"""Prompts over large money: a confirmation ends one once the provider, asked, says the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.collections.prompt import State
from tests.journeys.rig import open_rig
from tests.journeys.test_money_in import open_market
from tests.journeys.test_prompts import Counter, number_of
from tests.ledger.collections.till import SHORTCODE

EAST_AFRICA = timedelta(hours=3)


@pytest.fixture
async def counter(engine: AsyncEngine) -> AsyncIterator[Counter]:
    """All money is large here."""
    async with open_rig(engine, verify_above=100) as rig, open_market(rig) as market:
        yield Counter(market.rig, market.control)


async def test_a_confirmation_alone_pays_the_prompt_once_it_is_confirmed(counter: Counter) -> None:
    _, prompt_id = await counter.asked("confirmation-alone")

    assert (await counter.prompt(prompt_id)).state is State.PAID
    assert await counter.channels() == {"confirmation", "query"}


async def test_a_forged_confirmation_on_the_true_path_ends_no_prompt(counter: Counter) -> None:
    order, prompt_id = await counter.asked("processing-for-ever")
    registered = counter.rig.sandbox.c2b.registrations[SHORTCODE].confirmation_url
    forged = {
        "TransactionType": "Pay Bill", "TransID": "UI19999999",
        "TransTime": (counter.rig.now() + EAST_AFRICA).strftime("%Y%m%d%H%M%S"),
        "TransAmount": f"{order.money.amount.minor_units // 100}.00", "BusinessShortCode": SHORTCODE,
        "BillRefNumber": "SHOES12", "MSISDN": number_of("processing-for-ever"),
    }  # fmt: skip
    async with httpx.AsyncClient(trust_env=False) as forger:
        assert (await forger.post(registered, json=forged)).status_code == 200
    await counter.rig.work_until_quiet()

    assert (await counter.prompt(prompt_id)).state is State.WAITING
