"""REST over real HTTP for prompts, reversals, loans, shortcodes, balances and transactions: the commands of gRPC under
the same keys, told in the words of the webhooks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from daftari.v1 import returns_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from api.permissions import PARTNER_PERMISSIONS
from api.roles import Role
from api.serving import Service
from ledger.ids import decode
from ledger.money import Money
from ledger.outbox.instruction import Settled
from ledger.payouts.outcome import Started
from tests.api import test_loans as lending
from tests.api import test_prompts as prompting
from tests.api import test_returns as returning
from tests.api.office import Office, add_partner, create_operator_key, open_office
from tests.api.test_collections import open_shortcode, pay, receipt_of
from tests.journeys.rig import Rig
from tests.ledger.collections.till import LANDING, NUMBER, SHORTCODE
from tests.ledger.payouts.shop import PAYEE, PREFUND

POSTS = (
    "/v1/disburse", "/v1/stk-push", "/v1/reversals", "/v1/loans", "/v1/loans/loan_0000000000001/approve",
    "/v1/loans/loan_0000000000001/reject", "/v1/loans/loan_0000000000001/disburse", "/v1/c2b/shortcodes",
    "/v1/c2b/register",
)  # fmt: skip
GETS = (
    "/v1/disburse/pay_0000000000001", "/v1/stk-push/prm_0000000000001", "/v1/reversals/rtn_0000000000001",
    "/v1/loans/loan_0000000000001", "/v1/transactions/UKL03TISWJ", "/v1/balance", "/v1/floats",
)  # fmt: skip


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop whose shortcode collects."""
    async with open_office(engine) as opened:
        await open_shortcode(opened)
        yield opened


async def post(office: Office, path: str, *, key: str = "", **body: Any) -> tuple[int, dict[str, Any]]:
    """As the holder of the key; the operator for none."""
    fields = {"tenant_id": office.ledger, "client_request_id": "r-1"} | body
    response = await office.post(path, key=key or office.operator, json=fields)
    return response.status_code, response.json()


async def get(office: Office, path: str, *, key: str = "") -> tuple[int, dict[str, Any]]:
    """As the holder of the key; the operator, who names the ledger, for none."""
    named = path if key else f"{path}{'&' if '?' in path else '?'}tenant_id={office.ledger}"
    response = await office.get(named, key=key or office.operator)
    return response.status_code, response.json()


async def push(office: Office, key: str, **changes: Any) -> tuple[int, dict[str, Any]]:
    """Asks a payer's phone."""
    return await post(office, "/v1/stk-push", key=key, **({"msisdn": NUMBER, "shortcode": SHORTCODE} | changes))


async def test_a_shop_asks_a_phone_and_a_repeat_or_grpc_asks_nobody_again(office: Office) -> None:
    till = await office.partner_key()
    order_id = await prompting.order_of(office, till)

    first = await push(office, till, order_id=order_id, description="Shoes")
    again = await push(office, till, order_id=order_id, description="Shoes")
    over_grpc = await prompting.commands(office, till).RequestPrompt(
        prompting.asking(office, request_id="r-1", order_id=order_id)
    )
    status, told = await get(office, f"/v1/stk-push/{first[1]['prompt_id']}", key=till)

    assert first == again == (
        202, {"status": "accepted", "prompt_id": over_grpc.prompt.id, "client_request_id": "r-1"},
    )  # fmt: skip
    assert over_grpc.replayed
    assert (status, told["status"], told["amount"], told["currency"]) == (200, "accepted", "1000.00", "KES")
    assert (told["payer"], told["reference"], told["order_id"]) == ("2547****5678", "SHOES-12", order_id)
    assert NUMBER not in json.dumps([first, told])


async def test_an_operator_asks_under_a_reference_and_another_shop_sees_nothing(office: Office) -> None:
    await add_partner(office.shop, "rival")
    rival = await office.partner_key(partner="rival")

    made = await push(office, "", reference="HATS", amount=10)
    foreign = await get(office, f"/v1/stk-push/{made[1]['prompt_id']}", key=rival)
    missing = await get(office, "/v1/stk-push/prm_0000000000001", key=rival)
    by_transaction = await get(office, f"/v1/transactions/{made[1]['prompt_id']}", key=rival)

    assert made[0] == 202
    assert foreign == missing == by_transaction
    assert (foreign[0], foreign[1]["error_code"], foreign[1]["field"]) == (404, "PROMPT_NOT_FOUND", "prompt_id")


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"msisdn": "0712345678"}, 400, "MSISDN_INVALID", "msisdn"),
        ({"amount": "1.5"}, 400, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": "1e3"}, 400, "AMOUNT_INVALID", "amount"),
        ({"currency": "XXX"}, 400, "CURRENCY_UNKNOWN", "currency"),
        ({"shortcode": "600999"}, 404, "SHORTCODE_NOT_FOUND", "shortcode"),
        ({"order_id": "ord_0000000000001", "reference": ""}, 404, "ORDER_NOT_FOUND", "order_id"),
        ({"tenant_id": "nowhere"}, 404, "LEDGER_NOT_FOUND", "tenant_id"),
        ({"client_request_id": ""}, 400, "TEXT_INVALID", "client_request_id"),
        ({"phone": NUMBER}, 400, "REQUEST_INVALID", "phone"),
        ({"msisdn": 254712345678}, 400, "REQUEST_INVALID", "msisdn"),
        ({"amount": [10]}, 400, "REQUEST_INVALID", "amount"),
    ],
)
async def test_what_cannot_be_asked_is_rejected_by_its_field_and_leaves_nothing(
    office: Office, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    answered = await push(office, "", **({"reference": "HATS", "amount": "10"} | changes))

    assert (answered[0], answered[1]["error_code"]) == (status, code), answered
    assert answered[1]["field"].split(".")[0] == field
    assert set(answered[1]) == {"status", "error_code", "error", "field"}
    assert NUMBER not in json.dumps(answered)
    assert await office.shop.rows("SELECT FROM prompts WHERE ledger_id = :ledger") == []


async def test_an_operator_reverses_a_part_of_a_receipt_once(office: Office) -> None:
    receipt_id = await pay(office, "UI40000001", reference="nobody")
    body: dict[str, Any] = {"receipt_id": receipt_id, "amount": "300.00", "reason": "wrong goods"}

    first = await post(office, "/v1/reversals", **body)
    again = await post(office, "/v1/reversals", **body)
    too_much = await post(office, "/v1/reversals", **(body | {"amount": 701}), client_request_id="r-2")
    reversal_id = first[1]["reversal_id"]
    status, told = await get(office, f"/v1/reversals/{reversal_id}")
    listed = await returning.queries(office).ListReturns(returns_pb2.ListReturnsRequest(ledger=office.ledger))

    assert first == again
    assert (first[0], too_much[0], too_much[1]["error_code"]) == (202, 422, "RECEIPT_SHORT")
    assert (status, told["status"], told["amount"], told["receipt_id"]) == (200, "accepted", "300.00", receipt_id)
    assert [one.id for one in listed.returns] == [reversal_id]
    assert (await receipt_of(office, receipt_id)).receipt.returning_minor_units == 30_000


async def test_a_partner_neither_reverses_nor_lends_nor_opens_nor_sees_floats(office: Office) -> None:
    till = await office.partner_key(permissions=[one.value for one in PARTNER_PERMISSIONS])
    receipt_id = await pay(office, "UI40000002", reference="nobody")

    answers = [
        await post(office, "/v1/reversals", key=till, receipt_id=receipt_id, reason="mine"),
        await post(office, "/v1/loans", key=till, product="p", borrower="b", msisdn=NUMBER, amount=1),
        await post(office, "/v1/loans/loan_0000000000001/approve", key=till),
        await post(office, "/v1/loans/loan_0000000000001/disburse", key=till),
        await get(office, "/v1/loans/loan_0000000000001", key=till),
        await get(office, "/v1/floats", key=till),
        await get(office, f"/v1/transactions/{receipt_id}", key=till),
    ]
    shortcode = {"tenant_id": office.ledger, "shortcode": SHORTCODE}
    for path in ("/v1/c2b/shortcodes", "/v1/c2b/register"):
        response = await office.post(path, key=till, json=shortcode)
        answers.append((response.status_code, response.json()))

    assert {(status, body["error_code"]) for status, body in answers} == {(403, "DENIED")}


async def test_a_loan_is_requested_approved_by_another_and_paid_out(office: Office) -> None:
    await lending.commands(office).CreateLoanProduct(lending.product_request(office))
    checker = await office.operator_key(name="checker")
    wanted = {"product": "biashara", "borrower": "zuri", "msisdn": PAYEE, "amount": "10000"}

    made = await post(office, "/v1/loans", **wanted)
    path = f"/v1/loans/{made[1]['loan_id']}"
    own = await post(office, f"{path}/approve", client_request_id="a-1")
    steps = [
        await post(office, f"{path}/approve", key=checker, client_request_id="a-2"),
        await post(office, f"{path}/disburse", client_request_id="d-1"),
        await post(office, f"{path}/disburse", client_request_id="d-1"),
    ]
    assert [status for status, _ in steps] == [202] * 3, steps
    disbursing = (await get(office, path))[1]
    payout_id = decode("pay", disbursing["payout_id"])
    assert payout_id is not None
    settled = Settled("RLOAN1", Money("KES", 990_000), office.shop.now())
    await office.shop.record((payout_id, Started()), (payout_id, settled))
    active = (await get(office, path))[1]

    assert await post(office, "/v1/loans", **wanted) == made
    assert (made[0], own[0]) == (202, 422)
    assert (disbursing["status"], disbursing["gross"], disbursing["net"]) == ("disbursing", "10000.00", "9900.00")
    assert (active["status"], active["outstanding_total"], active["currency"]) == ("active", "10000.00", "KES")
    assert PAYEE not in json.dumps([disbursing, active])


async def test_a_loan_is_rejected_and_stays_so(office: Office) -> None:
    await lending.commands(office).CreateLoanProduct(lending.product_request(office))
    made = await post(office, "/v1/loans", product="biashara", borrower="zuri", msisdn=PAYEE, amount=10_000)
    path = f"/v1/loans/{made[1]['loan_id']}"

    rejected = await post(office, f"{path}/reject", client_request_id="x-1", reason="too young")
    paid_out = await post(office, f"{path}/disburse", client_request_id="d-1")

    assert (rejected[0], (await get(office, path))[1]["status"]) == (202, "rejected")
    assert paid_out[0] == 422


async def test_balances_are_the_partners_own_and_floats_are_for_finance(office: Office) -> None:
    till = await office.partner_key()
    await add_partner(office.shop, "rival")
    finance = await office.operator_key(permissions=frozenset({"journal.read"}), name="finance")

    own = await get(office, "/v1/balance", key=till)
    foreign = await get(office, "/v1/balance?partner=rival", key=till)
    named = await get(office, "/v1/balance?partner=shop")
    response = await office.get(f"/v1/floats?tenant_id={office.ledger}", key=finance)

    assert own == named == (
        200, {"partner": "shop", "account": PREFUND, "amount": "200000.00", "currency": "KES"},
    )  # fmt: skip
    assert (foreign[0], foreign[1]["error_code"]) == (404, "PARTNER_NOT_FOUND")
    utility = [one for one in response.json()["floats"] if one["sub_account"] == "utility"]
    assert [(one["account"], one["provider_says"]) for one in utility] == [(LANDING, None)]


async def test_a_transaction_is_found_by_our_id_and_by_the_providers_receipt(office: Office) -> None:
    till = await office.partner_key()
    body = {"amount": "1500", "msisdn": PAYEE, "client_request_id": "order-1"}
    payout = (await post(office, "/v1/disburse", key=till, **body))[1]["disbursement_id"]
    payout_id = decode("pay", payout)
    assert payout_id is not None
    await office.shop.record(
        (payout_id, Started()), (payout_id, Settled("UKL03TISWJ", Money("KES", 150_000), office.shop.now()))
    )
    receipt = await pay(office, "UI50000001", reference="nobody")
    reversal = await post(office, "/v1/reversals", receipt_id=receipt, reason="wrong goods")

    told = [
        await get(office, f"/v1/transactions/{name}")
        for name in (payout, "UKL03TISWJ", receipt, "UI50000001", reversal[1]["reversal_id"])
    ]
    partners = [await get(office, f"/v1/transactions/{name}", key=till) for name in ("UKL03TISWJ", "UI50000001")]

    assert [(body["kind"], body["status"], body["amount"]) for _, body in told] == [
        ("payout", "succeeded", "1500.00"),
        ("payout", "succeeded", "1500.00"),
        ("receipt", "succeeded", "1000.00"),
        ("receipt", "succeeded", "1000.00"),
        ("reversal", "accepted", "1000.00"),
    ]
    assert told[1][1]["provider_receipt"] == "UKL03TISWJ"
    assert partners[0] == told[1]
    assert (partners[1][0], partners[1][1]["error_code"]) == (404, "TRANSACTION_NOT_FOUND")
    assert PAYEE not in json.dumps(told)


async def test_another_partners_receipt_number_finds_nothing(office: Office) -> None:
    await add_partner(office.shop, "rival")
    till, rival = await office.partner_key(), await office.partner_key(partner="rival")
    made = await post(office, "/v1/disburse", key=till, amount=1500, msisdn=PAYEE)
    payout_id = decode("pay", made[1]["disbursement_id"])
    assert payout_id is not None
    await office.shop.record(
        (payout_id, Started()), (payout_id, Settled("UKL03TISWK", Money("KES", 150_000), office.shop.now()))
    )

    foreign = await get(office, "/v1/transactions/UKL03TISWK", key=rival)
    missing = await get(office, "/v1/transactions/UKL03TISWX", key=rival)

    assert foreign == missing


async def test_a_shortcode_is_opened_and_another_landing_is_refused(office: Office) -> None:
    body = {"tenant_id": office.ledger, "shortcode": SHORTCODE}

    again = await office.post("/v1/c2b/shortcodes", key=office.operator, json=body)
    other = await office.post(
        "/v1/c2b/shortcodes", key=office.operator, json=body | {"landing_account": "asset.bank.main"}
    )

    assert (again.status_code, again.json()["landing_account"]) == (200, LANDING)
    assert (other.status_code, other.json()["error_code"]) == (409, "SHORTCODE_EXISTS")


async def test_a_process_without_a_worker_registers_nothing_and_says_who_can(office: Office) -> None:
    body = {"tenant_id": office.ledger, "shortcode": SHORTCODE}

    refused = await office.post("/v1/c2b/register", key=office.operator, json=body)

    assert (refused.status_code, refused.json()["error_code"]) == (404, "RAIL_NOT_FOUND")
    assert "daftari collections register" in refused.json()["error"]


async def test_addresses_are_registered_with_the_provider_where_a_worker_runs(rig: Rig) -> None:
    settings = rig.application.settings.model_copy(update={"http_listen": "127.0.0.1:0", "public_url": rig.public_url})
    service = Service(replace(rig.application, settings=settings), roles=(Role.HTTP, Role.WORKER))
    addresses = await service.start()
    try:
        headers = {"x-api-key": await create_operator_key(rig, ledger_id=rig.ledger.id)}
        async with httpx.AsyncClient(base_url=addresses.http or "", headers=headers, trust_env=False) as http:
            body = {"tenant_id": rig.ledger.code, "shortcode": SHORTCODE}
            opened = await http.post("/v1/c2b/shortcodes", json=body)
            registered = await http.post("/v1/c2b/register", json=body | {"nominated": "254711000001"})
    finally:
        await service.stop()

    assert opened.status_code == 200
    assert (registered.status_code, registered.json()) == (200, {"status": "registered", "detail": ""})
    assert len(await rig.rows("SELECT FROM collection_paths WHERE ledger_id = :ledger")) == 2


@pytest.mark.parametrize("path", POSTS)
async def test_every_command_is_refused_without_a_key_too_long_and_in_another_form(office: Office, path: str) -> None:
    headers = {"x-api-key": office.operator, "content-type": "application/json"}

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    answers = [
        await office.http.post(path, content=b"{", headers={"content-type": "application/json"}),
        await office.http.post(path, content=b'{"a": "' + b"x" * 70_000, headers=headers),
        await office.http.post(path, content=chunks(), headers=headers),
        await office.http.post(path, content=b"{}", headers=headers | {"content-type": "text/plain"}),
        await office.http.post(path, content=b"{}", headers={"x-api-key": office.operator}),
        await office.http.post(path, data={"amount": "1"}, headers={"x-api-key": office.operator}),
        await office.http.post(path, content=b"{", headers=headers),
        await office.http.post(path, content=b"\xff", headers=headers),
        await office.http.post(path, content=b"{}", headers=headers),
        await office.http.get(f"{path}/a/b/c", headers=headers),
    ]

    assert [one.status_code for one in answers] == [401, 413, 413, 415, 415, 415, 400, 400, 400, 404]
    assert {one.json()["status"] for one in answers} == {"rejected"}
    assert all(one.json()["error"] for one in answers)


@pytest.mark.parametrize("path", GETS)
async def test_every_query_needs_a_key(office: Office, path: str) -> None:
    assert (await office.http.get(path)).json()["error_code"] == "NOT_AUTHENTICATED"


async def test_the_key_may_come_as_a_bearer_token(office: Office) -> None:
    headers = {"authorization": f"Bearer {await office.partner_key()}"}

    response = await office.http.get("/v1/balance", headers=headers)

    assert (response.status_code, response.json()["partner"]) == (200, "shop")


async def test_the_documents_describe_every_route_with_examples_and_refusals(office: Office) -> None:
    document = (await office.http.get("/openapi.json")).json()

    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes == {
        ("post", "/v1/disburse"), ("get", "/v1/disburse/{disbursement_id}"),
        ("post", "/v1/stk-push"), ("get", "/v1/stk-push/{prompt_id}"),
        ("post", "/v1/c2b/shortcodes"), ("post", "/v1/c2b/register"),
        ("post", "/v1/reversals"), ("get", "/v1/reversals/{reversal_id}"),
        ("post", "/v1/loans"), ("get", "/v1/loans/{loan_id}"), ("post", "/v1/loans/{loan_id}/approve"),
        ("post", "/v1/loans/{loan_id}/reject"), ("post", "/v1/loans/{loan_id}/disburse"),
        ("get", "/v1/transactions/{reference}"), ("get", "/v1/balance"), ("get", "/v1/floats"),
    }  # fmt: skip
    for methods in document["paths"].values():
        for route in methods.values():
            assert {"400", "401", "403", "404", "409", "413", "415", "422", "429", "503"} <= set(route["responses"])
            assert route["security"]
            assert route["summary"]
            assert route["description"]
    schemas = document["components"]["schemas"]
    assert schemas["StkPush"]["properties"]["msisdn"]["examples"] == ["254712345678"]
    assert schemas["StkPush"]["additionalProperties"] is False
    assert (await office.http.get("/docs")).status_code == 200
