"""Payers are asked by phone, over real HTTP: paid, refused, unreachable, told twice, told late, told by nobody; each is
one receipt at most, and an order is paid by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.sandbox import magic
from ledger.collections import order as orders
from ledger.collections import prompting
from ledger.collections.ordering import Order
from ledger.collections.prompt import State
from ledger.collections.prompting import Prompt
from ledger.database import driver, run
from ledger.idempotency import claim
from ledger.msisdn import Msisdn
from ledger.prompts import RACING_CONSTRAINTS, PromptRequest
from tests.journeys.rig import open_rig
from tests.journeys.test_money_in import Market, open_market
from tests.ledger.collections.till import SHORTCODE

NUMBER = "254712345678"


def number_of(behaviour: str) -> str:
    """The magic number of somebody who behaves so."""
    return magic.magic_msisdn(next(suffix for suffix, row in magic.ROWS.items() if row.name == behaviour))


@dataclass
class Counter(Market):
    """A market whose shop asks its customers by phone."""

    async def ask(self, order: Order, *, number: str = NUMBER, key: str = "p1") -> int:
        """A prompt for all that the order misses; its id."""
        request = PromptRequest(
            key=claim(client_id=7, key=key, method="RequestPrompt", content=number.encode()),
            actor="tests",
            partner=self.rig.partner,
            rail="daraja",
            shortcode=SHORTCODE,
            payer=Msisdn(number),
            amount=None,
            order_id=order.id,
            reference="",
            description="Shoes",
        )
        application = self.rig.application

        async def command(connection: AsyncConnection) -> int:
            prompt, _ = await application.prompt_recorder.request(
                await driver(connection),
                ledger=self.rig.ledger,
                request=request,
                rules=application.prompt_rules,
                now=self.rig.now(),
            )
            return prompt.id

        return await run(self.rig.engine, command, again_on=RACING_CONSTRAINTS)

    async def asked(self, behaviour: str | None = None) -> tuple[Order, int]:
        """An order and a prompt for it that was sent, with this behaviour of the payer."""
        order = await self.order("SHOES12")
        prompt_id = await self.ask(order, number=number_of(behaviour) if behaviour else NUMBER)
        await self.rig.work_until_quiet()
        return order, prompt_id

    async def prompt(self, prompt_id: int) -> Prompt:
        """As it is now."""

        async def command(connection: AsyncConnection) -> Prompt:
            found = await prompting.read_prompts(
                await driver(connection), ledger_id=self.rig.ledger.id, prompt_ids=[prompt_id]
            )
            return found[prompt_id]

        return await run(self.rig.engine, command)

    async def pass_time(self, *seconds: float) -> None:
        """Lets time pass, and the worker work, step by step."""
        for one in seconds:
            self.rig.clock.advance(seconds=one)
            await self.rig.work_until_quiet()

    async def rail_prompts(self) -> list[dict[str, Any]]:
        """What the rail saw."""
        answer = await self.control.get("/sandbox/prompts")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    async def channels(self) -> set[str]:
        """By which channels receipts were told."""
        found = await self.rig.rows("SELECT channel FROM receipt_evidence WHERE ledger_id = :ledger")
        return {channel for (channel,) in found}


@pytest.fixture
async def counter(engine: AsyncEngine) -> AsyncIterator[Counter]:
    """Open, registered, and asked before each payment."""
    async with open_rig(engine) as rig, open_market(rig) as market:
        yield Counter(market.rig, market.control)


async def test_a_prompt_that_is_paid_pays_its_order(counter: Counter) -> None:
    order, prompt_id = await counter.asked()

    prompt = await counter.prompt(prompt_id)

    assert prompt.state is State.PAID
    assert prompt.receipt_id is not None
    assert await counter.state(order) is orders.State.PAID
    assert await counter.receipts() == 1


@pytest.mark.parametrize("behaviour", ["result-1032", "result-1037", "subscriber-locked", "result-2001"])
async def test_a_prompt_that_comes_to_nothing_leaves_the_order_open(counter: Counter, behaviour: str) -> None:
    order, prompt_id = await counter.asked(behaviour)

    prompt = await counter.prompt(prompt_id)

    assert prompt.state is State.FAILED
    assert prompt.failure_code
    assert await counter.state(order) is orders.State.OPEN
    assert await counter.receipts() == 0


@pytest.mark.parametrize("behaviour", ["pays-late-after-unreachable", "pays-late-after-cancelled"])
async def test_a_prompt_that_failed_is_paid_all_the_same_when_money_comes(counter: Counter, behaviour: str) -> None:
    order, prompt_id = await counter.asked(behaviour)
    waiting = await counter.prompt(prompt_id)

    await counter.pass_time(16)

    prompt = await counter.prompt(prompt_id)
    events = await counter.rig.rows("SELECT event FROM prompt_events WHERE ledger_id = :ledger ORDER BY version")
    assert (waiting.state, prompt.state) == (State.WAITING, State.PAID)
    assert "failed" in {event for (event,) in events}
    assert await counter.state(order) is orders.State.PAID
    assert await counter.receipts() == 1


async def test_a_prompt_that_is_still_processed_is_never_failed(counter: Counter) -> None:
    order, prompt_id = await counter.asked("pays-late-while-processing")
    states = []

    for seconds in (16, 50, 150):
        states.append((await counter.prompt(prompt_id)).state)
        await counter.pass_time(seconds)

    assert (await counter.prompt(prompt_id)).state is State.PAID
    assert set(states) <= {State.WAITING, State.PAID}
    assert await counter.state(order) is orders.State.PAID


async def test_what_is_processed_for_ever_stays_unknown(counter: Counter) -> None:
    order, prompt_id = await counter.asked("processing-for-ever")

    await counter.pass_time(16, 60, 180, 600, 600, 600)

    assert (await counter.prompt(prompt_id)).state is State.UNKNOWN
    assert await counter.state(order) is orders.State.OPEN


@pytest.mark.parametrize("behaviour", ["confirmation-first", "callback-twice", "callback-before-ack"])
async def test_what_is_told_by_callback_and_confirmation_is_one_receipt(counter: Counter, behaviour: str) -> None:
    order, prompt_id = await counter.asked(behaviour)

    await counter.rig.judge_for_good()

    assert (await counter.prompt(prompt_id)).state is State.PAID
    assert await counter.receipts() == 1
    assert {"prompt", "confirmation"} <= await counter.channels()
    assert await counter.state(order) is orders.State.PAID


async def test_a_confirmation_alone_pays_the_prompt(counter: Counter) -> None:
    _, prompt_id = await counter.asked("confirmation-alone")

    prompt = await counter.prompt(prompt_id)

    assert prompt.state is State.PAID
    assert await counter.channels() == {"confirmation"}


@pytest.mark.parametrize("behaviour", ["processing-then-paid", "being-processed-then-paid"])
async def test_a_callback_that_is_lost_is_recovered_by_query_and_list(counter: Counter, behaviour: str) -> None:
    order, prompt_id = await counter.asked(behaviour)
    await counter.pass_time(16, 60, 180)
    told = await counter.prompt(prompt_id)
    counter.rig.clock.advance(seconds=3600)

    recovered = await counter.recover()

    assert (told.state, told.told_paid_at is None, told.receipt_id) == (State.WAITING, False, None)
    assert recovered == 1
    assert (await counter.prompt(prompt_id)).state is State.PAID
    assert await counter.state(order) is orders.State.PAID


async def test_a_forged_callback_moves_nothing(counter: Counter) -> None:
    order, prompt_id = await counter.asked("processing-for-ever")
    (seen,) = await counter.rail_prompts()
    sent = counter.rig.sandbox.prompts.find(seen["checkout_request_id"])
    assert sent is not None
    url = sent.callback_url
    nobodys = url.rpartition("/")[0] + "/" + "0" * 64
    items = [
        {"Name": "Amount", "Value": 1000.0},
        {"Name": "MpesaReceiptNumber", "Value": "UI19999999"},
        {"Name": "TransactionDate", "Value": 20260901101536},
        {"Name": "PhoneNumber", "Value": int(NUMBER)},
    ]
    told = {"MerchantRequestID": "1-2-3", "CheckoutRequestID": "ws_CO_1", "ResultCode": 0, "ResultDesc": "ok"}
    forged = {"Body": {"stkCallback": told | {"CallbackMetadata": {"Item": items}}}}
    async with httpx.AsyncClient(trust_env=False) as forger:
        for place in (url, nobodys):
            (await forger.post(place, json=forged)).raise_for_status()

    await counter.rig.judge_for_good()

    assert await counter.receipts() == 0
    assert (await counter.prompt(prompt_id)).state is State.WAITING
    assert [verdict for verdict, _ in await counter.rig.verdicts()] == ["mismatch", "orphan"]
    assert await counter.state(order) is orders.State.OPEN


async def test_a_prompt_whose_answer_is_lost_is_not_sent_again_and_is_paid_by_its_receipt(counter: Counter) -> None:
    order, prompt_id = await counter.asked("ack-lost")

    await counter.pass_time(16, 600)

    assert len(await counter.rail_prompts()) == 1
    assert (await counter.prompt(prompt_id)).state is State.PAID
    assert await counter.receipts() == 1
    assert await counter.state(order) is orders.State.PAID
