"""Prompts over large money: a confirmation ends one once the provider, asked, says the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections import order as orders
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.ordering import Order
from ledger.collections.prompt import Standing, State
from ledger.database import driver, run
from ledger.idempotency import claim
from ledger.outbox.collecting import PromptFailed
from ledger.prompts import Report
from ledger.receiving import RACING_CONSTRAINTS, Decision
from tests.journeys.rig import open_rig
from tests.journeys.test_money_in import open_market
from tests.journeys.test_prompts import Counter, number_of
from tests.ledger.collections.till import SHORTCODE, SUSPENSE

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


async def parked(counter: Counter, behaviour: str) -> tuple[Order, int]:
    """An order and its prompt, whose payment a confirmation alone told, nothing confirmed in time, and a person has."""
    order = await counter.order("SHOES12")
    prompt_id = await counter.ask(order, number=number_of(behaviour))
    await counter.rig.prompter.step()
    await counter.rig.sandbox.idle()
    await counter.rig.inbound.step(limit=100)  # booked; the worker that asks about it does not come
    counter.rig.clock.advance(seconds=301)
    await counter.rig.application.waiting_watch().step()
    assert await counter.rig.balance(SUSPENSE) == order.money.amount.minor_units
    return order, prompt_id


async def give_to(counter: Counter, order: Order) -> None:
    """A person gives the money that lies in suspense to the order."""
    ((receipt_id,),) = await counter.rig.rows("SELECT id FROM receipts WHERE ledger_id = :ledger")
    decision = Decision(
        key=claim(client_id=7, key="by hand", method="AllocateReceipt", content=b"1"),
        receipt_id=receipt_id,
        target=Target(TargetKind.ORDER, str(order.id)),
        evidence="the portal shows it",
        actor="amina",
    )

    async def command(connection: AsyncConnection) -> None:
        await counter.rig.application.receipt_recorder.allocate(
            await driver(connection), ledger=counter.rig.ledger, decision=decision, now=counter.rig.now()
        )

    await run(counter.rig.engine, command, again_on=RACING_CONSTRAINTS)


async def test_money_that_the_list_alone_proves_pays_its_prompt_though_a_person_has_it(
    counter: Counter,
) -> None:
    order, prompt_id = await parked(counter, "confirmation-alone")
    before = (await counter.prompt(prompt_id)).state
    counter.rig.clock.advance(seconds=1200)

    await counter.recover()

    prompt = await counter.prompt(prompt_id)
    assert (before, prompt.state, prompt.receipt_id is not None) == (State.WAITING, State.PAID, True)
    assert await counter.channels() == {"confirmation", "pull"}
    assert await counter.rig.balance(SUSPENSE) == order.money.amount.minor_units
    assert await counter.state(order) is orders.State.OPEN


async def test_what_a_person_gave_to_the_order_meanwhile_pays_it_once_however_often_told(
    counter: Counter,
) -> None:
    order, prompt_id = await parked(counter, "confirmation-alone")
    await give_to(counter, order)
    for _ in range(2):
        counter.rig.clock.advance(seconds=1200)
        await counter.recover()

    await counter.rig.work_until_quiet()  # the questions are asked after all

    assert (await counter.prompt(prompt_id)).state is State.PAID
    events = await counter.rig.rows("SELECT event FROM prompt_events WHERE ledger_id = :ledger AND event = 'paid'")
    assert (await counter.receipts(), len(events)) == (1, 1)
    assert await counter.state(order) is orders.State.PAID
    assert await counter.rig.balance(SUSPENSE) == 0


async def fail(counter: Counter, prompt_id: int) -> State | Standing:
    """A query finds that the payer could not be reached; what that came to."""
    report = Report(prompt_id, PromptFailed("1037", "the phone cannot be reached"), "tests")

    async def command(connection: AsyncConnection) -> State | Standing:
        (result,) = await counter.rig.application.prompt_recorder.record(
            await driver(connection), ledger=counter.rig.ledger, reports=[report], now=counter.rig.now()
        )
        return result

    return await run(counter.rig.engine, command)


async def test_the_list_outranks_a_failure_and_no_later_failure_outranks_it(counter: Counter) -> None:
    _, prompt_id = await parked(counter, "confirmation-alone")
    before = await fail(counter, prompt_id)
    counter.rig.clock.advance(seconds=1200)
    await counter.recover()

    after = await fail(counter, prompt_id)

    assert (before, after) == (State.FAILED, Standing.OUTDATED)
    assert (await counter.prompt(prompt_id)).state is State.PAID


async def test_a_forged_confirmation_of_somebody_elses_receipt_pays_no_prompt_by_the_list(counter: Counter) -> None:
    order, prompt_id = await counter.asked("processing-for-ever")
    amount = order.money.amount.minor_units
    registered = counter.rig.sandbox.c2b.registrations[SHORTCODE].confirmation_url
    wanted = {"msisdn": "254700000017", "amount_cents": amount, "reference": "HATS", "behaviour": "no-callback-paid"}
    (await counter.control.post("/sandbox/c2b", json={"external_validation": False})).raise_for_status()
    paid = (await counter.control.post("/sandbox/customers/pay", json=wanted)).json()
    forged = {
        "TransactionType": "Pay Bill", "TransID": paid["receipt"],
        "TransTime": (counter.rig.now() + EAST_AFRICA).strftime("%Y%m%d%H%M%S"),
        "TransAmount": f"{amount // 100}.00", "BusinessShortCode": SHORTCODE, "BillRefNumber": "SHOES12",
        "MSISDN": number_of("processing-for-ever"),
    }  # fmt: skip
    async with httpx.AsyncClient(trust_env=False) as forger:
        assert (await forger.post(registered, json=forged)).status_code == 200
    await counter.rig.inbound.step(limit=100)
    counter.rig.clock.advance(seconds=301)
    await counter.rig.application.waiting_watch().step()
    counter.rig.clock.advance(seconds=1200)

    await counter.recover()

    assert (await counter.prompt(prompt_id)).state is not State.PAID
