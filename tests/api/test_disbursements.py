"""The REST facade over real HTTP: accepted or rejected, the same answer for ever, and nothing told that must not be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from daftari.v1 import partners_pb2, payouts_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.ids import decode, encode
from ledger.payouts.payout import State
from tests.api.office import Office, add_partner, open_office
from tests.ledger.payouts.roads import FAILED, STARTED, road_to, settled
from tests.ledger.payouts.shop import PREFUND, open_shop
from tests.wire import money

PATH = "/v1/disburse"
PAYEE = "254733890127"  # not the number that refusals give as an example


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop."""
    async with open_office(engine) as opened:
        yield opened


def body(office: Office, **changes: Any) -> dict[str, Any]:
    """A payout of KES 1,500."""
    fields = {
        "amount": "1500.00",
        "msisdn": PAYEE,
        "tenant_id": office.ledger,
        "customer_id": "customer-9",
        "client_request_id": "order-1",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


async def disburse(office: Office, key: str | None, **changes: Any) -> tuple[int, dict[str, Any]]:
    """Asks for a payout; the status and the answer."""
    response = await office.post(PATH, key=key, json=body(office, **changes))
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()


async def read(office: Office, key: str | None, disbursement_id: str) -> tuple[int, dict[str, Any]]:
    """Asks what became of it."""
    response = await office.get(f"{PATH}/{disbursement_id}", key=key)
    return response.status_code, response.json()


async def test_a_disbursement_is_accepted_and_the_money_is_reserved(office: Office) -> None:
    status, answer = await disburse(office, await office.partner_key())

    payout_id = decode("pay", answer["disbursement_id"])
    assert payout_id is not None
    assert (status, answer) == (
        202,
        {"status": "accepted", "disbursement_id": encode("pay", payout_id), "client_request_id": "order-1"},
    )
    payout = await office.shop.payout(payout_id)
    assert (payout.state, payout.amount.minor_units, payout.partner_reference) == (State.RESERVED, 150_000, "order-1")
    assert await office.shop.balance(PREFUND) == office.shop.prefunded - 150_000


@pytest.mark.parametrize("amount", ["1500", "1500.0", "1500.00", 1500, 1500.0])
async def test_an_amount_is_text_or_a_number(office: Office, amount: object) -> None:
    key = await office.partner_key()

    _, answer = await disburse(office, key, amount=amount)

    assert (await read(office, key, answer["disbursement_id"]))[1]["amount"] == "1500.00"


async def test_a_repeat_is_answered_as_before_also_after_the_payout_moved_on(office: Office) -> None:
    key = await office.partner_key()
    first = await disburse(office, key)
    payout_id = decode("pay", first[1]["disbursement_id"])
    assert payout_id is not None

    answers = []
    for outcome in (STARTED, settled(payout_id), FAILED):
        answers.append(await disburse(office, key))
        await office.shop.record((payout_id, outcome))
    answers += [await disburse(office, key), await disburse(office, await office.partner_key())]

    assert answers == [first] * 5
    assert len(await office.shop.rows("SELECT FROM payouts WHERE ledger_id = :ledger")) == 1


async def test_a_repeat_is_answered_while_everything_is_switched_off(office: Office) -> None:
    key = await office.partner_key()
    first = await disburse(office, key)
    place = {"ledger": office.ledger}
    await office.commands().StopRail(partners_pb2.StopRailRequest(**place, rail="daraja", reason="down"))
    await office.commands().SuspendPartner(partners_pb2.SuspendPartnerRequest(**place, partner="shop"))

    assert await disburse(office, key) == first
    status, answer = await disburse(office, key, client_request_id="order-2")
    assert (status, answer["error_code"]) == (422, "PARTNER_SUSPENDED")


async def test_the_same_request_over_grpc_is_a_replay_and_the_other_way_round(office: Office) -> None:
    key = await office.partner_key()
    drafts = [
        payouts_pb2.PayoutDraft(
            request_id=name, partner_reference=name, msisdn=PAYEE, amount=money(150_000), remarks="customer-9"
        )
        for name in ("order-1", "order-2")
    ]
    _, first = await disburse(office, key)

    over_grpc = [
        await office.payouts(key).RequestPayout(payouts_pb2.RequestPayoutRequest(ledger=office.ledger, payout=draft))
        for draft in drafts
    ]
    status, second = await disburse(office, key, client_request_id="order-2", msisdn=f"+{PAYEE}", amount=1500)

    assert [one.replayed for one in over_grpc] == [True, False]
    assert over_grpc[0].payout.id == first["disbursement_id"]
    assert (status, second["disbursement_id"]) == (202, over_grpc[1].payout.id)


async def test_a_request_id_with_other_content_is_refused(office: Office) -> None:
    key = await office.partner_key()
    await disburse(office, key)

    for changes in ({"amount": "1501"}, {"msisdn": "254722000111"}, {"customer_id": "customer-8"}):
        status, answer = await disburse(office, key, **changes)

        assert (status, answer["status"], answer["error_code"]) == (409, "rejected", "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"amount": "10.50"}, 400, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": 10.5}, 400, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": "9"}, 400, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": "250001"}, 400, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": "0"}, 400, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": "-100"}, 400, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": "1e3"}, 400, "AMOUNT_INVALID", "amount"),
        ({"amount": "1,500"}, 400, "AMOUNT_INVALID", "amount"),
        ({"amount": "100.001"}, 400, "AMOUNT_INVALID", "amount"),
        ({"amount": ""}, 400, "AMOUNT_INVALID", "amount"),
        ({"amount": "9" * 40}, 400, "AMOUNT_INVALID", "amount"),
        ({"amount": "NaN"}, 400, "AMOUNT_INVALID", "amount"),
        ({"msisdn": "0712345678"}, 400, "MSISDN_INVALID", "msisdn"),
        ({"msisdn": ""}, 400, "MSISDN_INVALID", "msisdn"),
        ({"client_request_id": ""}, 400, "TEXT_INVALID", None),
        ({"customer_id": "a\u0000b"}, 400, "TEXT_INVALID", "customer_id"),
        ({"tenant_id": "no-such-ledger"}, 404, "LEDGER_NOT_FOUND", None),
        ({"amount": None}, 400, "REQUEST_INVALID", "amount"),
        ({"msisdn": None}, 400, "REQUEST_INVALID", "msisdn"),
        ({"tenant_id": None}, 400, "REQUEST_INVALID", "tenant_id"),
        ({"client_request_id": None}, 400, "REQUEST_INVALID", "client_request_id"),
        ({"client_request_id": "x" * 65}, 400, "REQUEST_INVALID", "client_request_id"),
        ({"msisdn": 254712345678}, 400, "REQUEST_INVALID", "msisdn"),
        ({"msisdn": [PAYEE]}, 400, "REQUEST_INVALID", "msisdn"),
        ({"currency": "KES"}, 400, "REQUEST_INVALID", "currency"),
        ({"amount": "200001"}, 422, "FLOOR_WOULD_BREAK", None),
    ],
)
async def test_what_cannot_be_is_rejected_with_a_code_and_nothing_is_done(
    office: Office, changes: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    answered = await disburse(office, await office.partner_key(), **changes)

    assert answered[0] == status, answered
    assert (answered[1]["status"], answered[1]["error_code"]) == ("rejected", code)
    assert set(answered[1]) == {"status", "error_code", "error", "field"}
    if field is not None:
        assert answered[1]["field"].split(".")[0] == field
    assert await office.shop.balance(PREFUND) == office.shop.prefunded
    assert PAYEE[3:] not in json.dumps(answered[1])


@pytest.mark.parametrize("number", ["254733890127999", "25473389012", "+254-733-890-127x", "2547338901279012345"])
async def test_a_number_that_is_none_is_not_quoted(office: Office, number: str) -> None:
    status, answer = await disburse(office, await office.partner_key(), msisdn=number)

    assert (status, answer["error_code"]) == (400, "MSISDN_INVALID")
    assert number[-8:] not in json.dumps(answer)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"amount": 1e999, "msisdn": "254712345678"}', b"[" * 5_000],
    ids=["nothing", "cut off", "a list", "null", "a text", "not UTF-8", "infinite", "deep"],
)
async def test_a_body_that_is_no_document_is_rejected_without_being_quoted(office: Office, raw: bytes) -> None:
    key = await office.partner_key()

    headers = {"x-api-key": key, "content-type": "application/json"}
    response = await office.http.post(PATH, content=raw, headers=headers)

    assert response.status_code == 400
    assert response.json()["error_code"] == "REQUEST_INVALID"
    assert PAYEE not in response.text


@pytest.mark.parametrize("key", [None, "", "dft_", "dft_0000000000000_00", "Bearer x", "\u00e9"])
async def test_without_a_key_that_is_good_nothing_is_told(office: Office, key: str | None) -> None:
    headers = {} if key is None else {b"x-api-key": key.encode("latin-1")}

    asked = await office.http.post(PATH, json=body(office), headers=headers)
    looked = await office.http.get(f"{PATH}/{encode('pay', 1)}", headers=headers)

    assert [one.status_code for one in (asked, looked)] == [401, 401]
    assert {one.json()["error_code"] for one in (asked, looked)} == {"NOT_AUTHENTICATED"}


async def test_a_key_without_the_permission_and_one_of_no_partner_are_denied(office: Office) -> None:
    _, answer = await disburse(office, await office.partner_key())
    reading = await office.partner_key(permissions=["payouts.read"])
    asking = await office.partner_key(permissions=["payouts.request"])

    assert (await disburse(office, reading))[0] == 403
    assert (await disburse(office, office.operator))[1]["error_code"] == "DENIED"
    assert (await read(office, asking, answer["disbursement_id"]))[0] == 403
    assert (await read(office, reading, answer["disbursement_id"]))[0] == 200


async def test_a_foreign_tenant_is_like_one_that_is_not_there(office: Office) -> None:
    async with open_shop(office.shop.engine) as neighbour:
        key = await office.partner_key()

        foreign = await disburse(office, key, tenant_id=neighbour.ledger.code)
        missing = await disburse(office, key, tenant_id="nowhere")

    assert foreign[0] == missing[0] == 404
    assert foreign[1]["error"].replace(neighbour.ledger.code, "nowhere") == missing[1]["error"]


async def test_another_partners_disbursement_is_like_one_that_is_not_there(office: Office) -> None:
    await add_partner(office.shop, "other")
    _, answer = await disburse(office, await office.partner_key())
    theirs = await office.partner_key(partner="other")

    foreign = await read(office, theirs, answer["disbursement_id"])
    answers = [await read(office, theirs, one) for one in (encode("pay", 1), "pay_x", "x", "%00", "..%2f..")]

    assert foreign[0] == 404
    assert answers[:3] == [foreign] * 3
    assert {status for status, _ in answers} == {404}


async def test_what_became_of_it_is_told_in_the_words_of_the_webhook(office: Office) -> None:
    key = await office.partner_key()
    _, answer = await disburse(office, key)
    payout_id = decode("pay", answer["disbursement_id"])
    assert payout_id is not None

    before = (await read(office, key, answer["disbursement_id"]))[1]
    await office.shop.record(*road_to(State.SETTLED, payout_id))
    after = (await read(office, key, answer["disbursement_id"]))[1]

    assert (before["status"], before["processed_at"], before["result_code"]) == ("accepted", None, None)
    assert (after["status"], after["transaction_receipt"], after["result_code"]) == ("succeeded", f"R{payout_id}", "0")
    assert (after["msisdn"], after["client_request_id"]) == ("2547****0127", "order-1")
    assert PAYEE not in json.dumps([before, after])


async def test_a_wrong_method_is_told_so(office: Office) -> None:
    assert (await office.http.get(PATH)).status_code == 405
    assert (await office.http.put(PATH, json=body(office))).status_code == 405


async def test_a_limit_is_told_as_a_rejection(office: Office) -> None:
    key = await office.partner_key()
    limit = partners_pb2.PayoutLimit(
        scope=partners_pb2.PayoutLimit.SCOPE_PAYEE, span=partners_pb2.PayoutLimit.SPAN_HOUR, count_max=1
    )
    request = partners_pb2.SetPayoutLimitRequest(ledger=office.ledger, partner="shop", limit=limit)
    await office.commands().SetPayoutLimit(request)
    await disburse(office, key)

    status, answer = await disburse(office, key, client_request_id="order-2")

    assert (status, answer["error_code"]) == (422, "LIMIT_WOULD_BREAK")
    assert PAYEE[3:] not in answer["error"]
