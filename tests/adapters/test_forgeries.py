"""Callbacks by somebody who would be the provider: on paths made up, learned, or meant for others, with true words."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from adapters.dispatch import hash_token
from adapters.judging import RESTS
from adapters.sandbox.magic import magic_msisdn
from ledger.database import transaction
from ledger.errors import LedgerNotFound
from tests.adapters.test_inbound import footprint, reference_of, submitted
from tests.journeys.messages import GATEWAY_ID, failure, result
from tests.journeys.rig import Rig
from tests.ledger.payouts.shop import FLOAT


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


async def test_ten_thousand_forged_callbacks_post_nothing_and_delay_no_true_one(rig: Rig) -> None:
    """The forger knows everything but the path: reference, amount, payee and where callbacks come from."""
    (payout_id,) = await submitted(rig)
    reference, before = await reference_of(rig, payout_id), await footprint(rig)
    forged = result(reference)

    for _ in range(100):
        await asyncio.gather(*(rig.receive(secrets.token_hex(32), forged) for _ in range(100)))
    await rig.call_back(payout_id, result(reference))
    while await rig.inbound.step(limit=256):
        pass
    settled_at_once = await rig.state(payout_id)
    await rig.judge_for_good()

    words = [word for word, _ in await rig.verdicts()]
    assert (words.count("orphan"), words.count("applied")) == (10_000, 1)
    assert await footprint(rig) == before + 1
    assert settled_at_once == "SETTLED"


async def test_a_thousand_lies_on_one_payouts_path_settle_nothing_and_reach_no_other_payout(rig: Rig) -> None:
    """This forger knows the path of one payout, and tries other amounts, and other payouts' references."""
    mine, others = await submitted(rig, count=2)
    mine_named, others_named = await reference_of(rig, mine), await reference_of(rig, others)
    before = await footprint(rig)

    for number in range(500):
        await rig.call_back(mine, result(mine_named, shillings=1501 + number, receipt=f"UI1FORGE{number}"))
        await rig.call_back(mine, result(others_named, receipt=f"UI1FORGE{number}"))
    await rig.judge_for_good()

    assert [await rig.state(one) for one in (mine, others)] == ["UNKNOWN", "SUBMITTED"]
    assert {await rig.balance(FLOAT), rig.float_opening} == {rig.float_opening}
    assert await footprint(rig) == before + 1  # the one that parks it


async def test_a_path_whose_attempt_is_seen_late_finds_its_payout(rig: Rig) -> None:
    """As after a failover to a standby that lags: the message is there before the attempt it answers."""
    payout_id, token = await rig.request(), secrets.token_hex(32)
    await rig.receive(token, result(await reference_of(rig, payout_id)))
    await rig.inbound.step(limit=10)
    waiting = await rig.verdicts()
    async with transaction(rig.engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO attempts (ledger_id, instruction_id, number, token_hash, started_at) "
                "SELECT ledger_id, id, 1, :hash, now() FROM instructions WHERE payout_id = :payout"
            ),
            {"hash": hash_token(token), "payout": payout_id},
        )
        await connection.commit()

    await rig.inbound.step(limit=10)
    at_once = await rig.verdicts()
    await rig.judge_for_good()

    assert waiting == at_once == [(None, None)]
    assert await rig.verdicts() == [("applied", payout_id)]
    assert await rig.state(payout_id) == "SETTLED"


async def test_guesses_near_the_true_path_are_orphans(rig: Rig) -> None:
    (payout_id,) = await submitted(rig)
    urls = await rig.urls(payout_id)
    token, body = urls.result_url.rpartition("/")[2], result(await reference_of(rig, payout_id))
    other = "0" if token[-1] != "0" else "1"

    for guess in ("", token[:-1], token[:-1] + other, token.upper(), f"{token}0", token[::-1], "%", "\x00"):
        await rig.receive(guess, body)
    await rig.judge_for_good()

    assert {word for word, _ in await rig.verdicts()} == {"orphan"}
    assert await rig.state(payout_id) == "SUBMITTED"


async def test_a_path_of_another_ledger_or_rail_is_an_orphan(rig: Rig) -> None:
    (payout_id,) = await submitted(rig)
    token = (await rig.urls(payout_id)).result_url.rpartition("/")[2]
    body = result(await reference_of(rig, payout_id))

    two_rails = replace(rig.application, rails=dict.fromkeys(("daraja", "momo"), rig.application.rails["daraja"]))
    await two_rails.inbound().receive(
        ledger_id=rig.ledger.id, rail="momo", kind="result", token=token, raw=body, remote_address=None
    )
    with pytest.raises(LedgerNotFound):
        await rig.inbound.receive(
            ledger_id=rig.ledger.id + 1, rail="daraja", kind="result", token=token, raw=body, remote_address=None
        )
    for rest in (timedelta(0), *RESTS):
        rig.clock.advance(seconds=rest.total_seconds())
        await two_rails.inbound().step(limit=10)

    assert await rig.verdicts() == [("orphan", None)]
    assert await rig.state(payout_id) == "SUBMITTED"


async def test_a_large_result_is_booked_once_a_status_query_confirms_it(rig: Rig) -> None:
    """Whoever learned the path of a payout cannot settle it: the query's answer comes by another."""
    true, forged = await rig.request(), await rig.request(msisdn=magic_msisdn("202"))
    careful = replace(rig.application, settings=rig.application.settings.model_copy(
        update={"confirm_above_minor_units": 149_999})).inbound()  # fmt: skip
    await rig.dispatcher.step()
    await rig.sandbox.idle()
    await rig.call_back(forged, result(await reference_of(rig, forged), receipt="UI1FORGED1"))
    await careful.step(limit=10)
    at_once = [await rig.state(one) for one in (true, forged)]

    for _ in range(12):
        rig.clock.advance(seconds=900)
        await rig.dispatcher.step()
        await rig.sandbox.idle()
        await careful.step(limit=10)

    assert at_once == ["UNKNOWN", "UNKNOWN"]
    assert [await rig.state(one) for one in (true, forged)] == ["SETTLED", "UNKNOWN"]
    assert ("submit-unknown", forged) in await rig.reviews()


async def test_without_our_reference_the_providers_own_id_says_which_payment_is_meant(rig: Rig) -> None:
    """Another payout's failure says nothing else that could be compared."""
    mine, others = await submitted(rig, count=2)
    told = await rig.conversation(others)

    await rig.call_back(mine, failure(GATEWAY_ID, conversation=told))
    await rig.call_back(mine, result(GATEWAY_ID, receipt="UI1AAAAAA9", ConversationID=told))
    await rig.judge_for_good()

    assert await rig.state(mine) == "UNKNOWN"
    assert await rig.balance(FLOAT) == rig.float_opening
    assert {word for word, _ in await rig.verdicts()} == {"mismatch"}


async def test_a_callback_that_nothing_ties_to_its_payout_waits_for_the_answer_to_its_request(rig: Rig) -> None:
    """It beat the answer; once the answer is there it is told by the id that both name."""
    rig.rail.after.shut()
    payout_id = await rig.request()
    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.after.reached.wait()
    await rig.sandbox.idle()
    (order,) = rig.sandbox.world._orders.values()
    await rig.call_back(payout_id, failure(GATEWAY_ID, conversation=order.payment.conversation_id))
    await rig.inbound.step(limit=1)
    (waiting,) = [verdict for verdict in await rig.verdicts() if verdict == (None, None)][:1]
    rig.rail.after.open()
    await step
    await rig.judge_for_good()

    assert waiting == (None, None)
    assert {word for word, _ in await rig.verdicts()} <= {"applied", "conflict", "repeated", "outdated"}


async def test_one_that_nothing_ever_ties_to_it_proves_nothing_and_gives_the_ids_to_ask_by(rig: Rig) -> None:
    await rig.script("ack-lost-no-callback", count=1)
    payout_id = await rig.request()
    await rig.dispatcher.step()
    unknown = await rig.state(payout_id)

    for _ in range(2):
        await rig.call_back(payout_id, failure(GATEWAY_ID))
        await rig.judge_for_good()

    assert unknown == await rig.state(payout_id) == "UNKNOWN"
    known = await rig.rows("SELECT kind, value FROM provider_references WHERE ledger_id = :ledger")
    assert [tuple(row) for row in known] == [("daraja.originator_conversation_id", GATEWAY_ID)]


async def test_of_two_that_look_the_same_neither_is_asked_about_by_ids_that_nothing_ties_to_it(rig: Rig) -> None:
    """Without our reference, the ids in such a callback may be the twin's: the answer would be true, and about it."""
    await rig.script("ack-lost-no-callback", count=2)
    payout_ids = [await rig.request(), await rig.request()]
    await rig.dispatcher.step()

    for payout_id in payout_ids:
        await rig.call_back(payout_id, failure(GATEWAY_ID))
    await rig.judge_for_good()

    assert [await rig.state(payout_id) for payout_id in payout_ids] == ["UNKNOWN", "UNKNOWN"]
    assert await rig.rows("SELECT FROM provider_references WHERE ledger_id = :ledger") == []
