"""A payout as partners are told of it: every state has its word, and no word says too much or too early."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from ledger.database import driver, transaction
from ledger.outbox.instruction import Acknowledged, OutcomeUnknown
from ledger.payouts.notice import STATUSES, Notice, find_conversations, notice
from ledger.payouts.payout import State
from tests.ledger.payouts.roads import STARTED, road_to, settled
from tests.ledger.payouts.shop import PAYEE, Shop

KEYS = ["disbursement_id", "client_request_id", "status", "conversation_id", "result_code", "result_desc",
        "transaction_receipt", "amount", "currency", "msisdn", "processed_at", "version"]  # fmt: skip
WORDS = {"RESERVED": "accepted", "SUBMITTING": "accepted", "SUBMITTED": "submitted", "UNKNOWN": "unknown",
         "SETTLED": "succeeded", "RELEASED": "failed", "CANCELLED": "cancelled", "CONFLICTED": "in_review"}  # fmt: skip


async def told(shop: Shop, payout_id: int) -> Notice:
    """What a partner is told of the payout."""
    async with transaction(shop.engine) as connection:
        found = await find_conversations(await driver(connection), ledger_id=shop.ledger.id, payout_ids=[payout_id])
    return notice(await shop.payout(payout_id), conversation_id=found.get(payout_id))


@pytest.mark.parametrize("state", list(State))
async def test_each_state_has_its_word_and_the_same_keys(shop: Shop, state: State) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(state, payout_id))

    told_of_it = await told(shop, payout_id)

    assert list(told_of_it) == KEYS
    assert told_of_it["status"] == WORDS[state.value]
    assert told_of_it["version"] == (await shop.payout(payout_id)).version
    assert json.loads(json.dumps(told_of_it)) == told_of_it
    final = state in (State.SETTLED, State.RELEASED, State.CANCELLED)
    assert (told_of_it["processed_at"] is not None) == final
    assert (told_of_it["transaction_receipt"] is not None) == (state is State.SETTLED)
    assert (told_of_it["result_code"] == "0") == (state is State.SETTLED)


def test_no_state_is_left_out() -> None:
    assert set(STATUSES) == set(State)


async def test_a_success_carries_the_providers_time_receipt_and_ids(shop: Shop) -> None:
    payout_id = await shop.request(shillings=1_500)
    earlier = datetime.fromisoformat("2026-09-01T07:10:00+00:00")
    references = (("daraja.conversation_id", "AG_20260901_1"), ("daraja.originator_conversation_id", "16740-1"))
    await shop.record(
        (payout_id, STARTED),
        (payout_id, Acknowledged(references)),
        (payout_id, settled(payout_id, completed_at=earlier)),
    )

    told_of_it = await told(shop, payout_id)

    payout = await shop.payout(payout_id)
    assert told_of_it == {
        "disbursement_id": payout.public_id,
        "client_request_id": payout.partner_reference,
        "status": "succeeded",
        "conversation_id": "AG_20260901_1",
        "result_code": "0",
        "result_desc": "The payout was completed.",
        "transaction_receipt": f"R{payout_id}",
        "amount": "1500.00",
        "currency": "KES",
        "msisdn": "2547****5678",
        "processed_at": "2026-09-01T07:10:00+00:00",
        "version": payout.version,
    }


async def test_a_failure_carries_the_providers_code_and_words(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.RELEASED, payout_id))

    told_of_it = await told(shop, payout_id)

    assert (told_of_it["result_code"], told_of_it["result_desc"]) == ("2040", "not registered")
    assert told_of_it["processed_at"] == shop.now().isoformat()


async def test_a_late_success_under_review_shows_no_result_of_either_kind(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.CONFLICTED, payout_id))

    told_of_it = await told(shop, payout_id)

    assert told_of_it["status"] == "in_review"
    assert (told_of_it["transaction_receipt"], told_of_it["processed_at"]) == (None, None)


async def test_a_large_amount_has_no_separators(shop: Shop) -> None:
    payout_id = await shop.request(shillings=123_456)

    assert (await told(shop, payout_id))["amount"] == "123456.00"


async def test_the_conversation_of_a_question_is_not_the_payouts(shop: Shop) -> None:
    payout_id = await shop.request()
    asked = OutcomeUnknown("no answer", (("daraja.query_conversation_id", "AG_QUERY"),))
    await shop.record((payout_id, STARTED), (payout_id, asked))

    assert (await told(shop, payout_id))["conversation_id"] is None


async def test_no_whole_number_is_told(shop: Shop) -> None:
    payout_id = await shop.request()

    assert PAYEE[3:] not in json.dumps(await told(shop, payout_id))
