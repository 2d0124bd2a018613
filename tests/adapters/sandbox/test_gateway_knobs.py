"""Knobs of the gateway: token errors per family, tokens that expire in storms, OAuth that fails, limits, counts."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from adapters.sandbox.apis import ENDPOINTS, Api
from tests.adapters.sandbox import payers
from tests.adapters.sandbox.rig import STATUS_PATH, Rig, example

pytestmark = pytest.mark.asyncio(loop_scope="module")

APIS = [api for api in Api if api is not Api.OAUTH]
BY_400, BY_401 = "error-invalid-access-token-400.json", "error-invalid-access-token-401.json"
BY_404 = "error-invalid-access-token-404.json"
DOCUMENTED_TOKEN_ERROR = {
    Api.B2C_V1: (401, BY_401),
    Api.B2C_V3: (401, BY_401),
    Api.B2B: (400, BY_400),
    Api.TAX: (400, BY_400),
    Api.STATUS: (400, BY_400),
    Api.BALANCE: (401, BY_401),
    Api.STK: (404, BY_404),
    Api.STK_QUERY: (404, BY_404),
    Api.C2B_REGISTER_V1: (400, BY_400),
    Api.C2B_REGISTER_V2: (400, BY_400),
    Api.C2B_SIMULATE_V1: (400, BY_400),
    Api.C2B_SIMULATE_V2: (400, BY_400),
    Api.REVERSAL: (404, BY_404),
    Api.PULL_REGISTER: (400, BY_400),
    Api.PULL_QUERY: (400, BY_400),
}


@pytest.mark.parametrize("api", APIS)
async def test_each_family_answers_a_token_not_in_force_in_its_own_way(rig: Rig, api: Api) -> None:
    status, name = DOCUMENTED_TOKEN_ERROR[api]
    documented = json.loads(example(name))

    response = await with_token(rig, api, documented["errorMessage"].rpartition(" ")[2])

    assert response.status_code == status
    assert response.json() == documented | {"requestId": response.json()["requestId"]}


@pytest.mark.parametrize(
    ("form", "status", "name"),
    [
        ("404.001.03", 404, "error-invalid-access-token-404.json"),
        ("apigee", 401, "error-invalid-access-token-apigee-401.json"),
    ],
)
async def test_another_form_of_token_error_can_be_chosen(rig: Rig, form: str, status: int, name: str) -> None:
    await rig.put_in(token_errors={"b2b": form})
    documented = json.loads(example(name))

    response = await with_token(rig, Api.B2B, "0" * 28)
    other = await with_token(rig, Api.TAX, "0" * 28)

    own = {"requestId": response.json()["requestId"]} if "requestId" in documented else {}
    assert (response.status_code, response.json(), other.status_code) == (status, documented | own, 400)


async def test_a_token_can_be_made_to_last_a_number_of_requests(rig: Rig) -> None:
    await rig.put_in(requests_per_token=2)
    await rig.authenticate()

    statuses = [(await rig.pay()).status_code for _ in range(3)]
    await rig.authenticate()
    statuses += [(await rig.pay()).status_code for _ in range(3)]

    assert statuses == [200, 200, 401, 200, 200, 401]


async def test_a_limit_of_zero_requests_is_no_limit(rig: Rig) -> None:
    await rig.put_in(requests_per_token=1)
    await rig.put_in(requests_per_token=0)

    assert [(await rig.pay()).status_code for _ in range(3)] == [200, 200, 200]


async def test_the_first_calls_for_a_token_can_fail(rig: Rig) -> None:
    await rig.put_in(
        scripted=[
            {"behaviour": "service-unavailable", "count": 2, "api": "oauth"},
            {"behaviour": "rate-limited", "api": "oauth"},
        ]
    )

    statuses = [(await rig.authenticate()).status_code for _ in range(4)]

    assert statuses == [503, 503, 429, 200]


async def test_a_token_that_never_arrived_still_ends_the_one_before(rig: Rig) -> None:
    await rig.authenticate()
    await rig.put_in(scripted=[{"behaviour": "ack-lost", "api": "oauth"}])

    lost = await rig.authenticate()

    assert (lost.status_code, (await rig.pay()).status_code) == (500, 401)
    await rig.authenticate()


async def test_a_refused_call_for_a_token_leaves_the_one_before_in_force(rig: Rig) -> None:
    await rig.authenticate()
    await rig.put_in(scripted=[{"behaviour": "internal-server-error", "api": "oauth"}])

    refused = await rig.authenticate()

    assert (refused.status_code, (await rig.pay()).status_code) == (500, 200)


async def test_faults_of_payments_are_none_of_the_token_endpoint(rig: Rig) -> None:
    await rig.put_in(scripted=[{"behaviour": "rate-limited"}], rates={"rate-limited": 1.0})

    assert (await rig.authenticate()).status_code == 200


async def test_more_requests_than_allowed_meet_a_spike_arrest(rig: Rig) -> None:
    await rig.put_in(allowance={"requests": 2, "seconds": 10})

    at_once = [await rig.pay() for _ in range(3)]
    rig.clock.advance(seconds=10)
    later = await rig.pay()

    documented = json.loads(example("error-spike-arrest-500.json"))
    assert [response.status_code for response in at_once] == [200, 200, 500]
    assert at_once[2].json() | {"requestId": ""} == documented | {"requestId": ""}
    assert later.status_code == 200
    assert len(rig.server.world.movements) == 3


@pytest.mark.parametrize(
    ("behaviour", "code", "text"),
    [
        ("maintenance", "500.002.1001", "Service is currently under maintenance. Please try again later."),
        ("system-busy", "500.003.02", "System is busy. Please try again in few minutes."),
        ("quota-violation", "500.003.03", "Error Occurred: Quota Violation"),
        ("spike-arrest", "500.003.02", "Error Occurred: Spike Arrest Violation"),
    ],
)
@pytest.mark.parametrize("api", APIS)
async def test_every_api_can_be_busy(rig: Rig, api: Api, behaviour: str, code: str, text: str) -> None:
    await rig.put_in(scripted=[{"behaviour": behaviour, "api": api.value}])

    refused = await rig.send(ENDPOINTS[api].path, await request_for(rig, api))
    taken = await rig.send(ENDPOINTS[api].path, await request_for(rig, api))

    assert (refused.status_code, taken.status_code) == (500, 200)
    assert (refused.json()["errorCode"], refused.json()["errorMessage"]) == (code, text)


@pytest.mark.parametrize("api", APIS)
async def test_another_content_type_names_the_first_field(rig: Rig, api: Api) -> None:
    headers = {"Authorization": f"Bearer {rig.access_token}", "Content-Type": "text/plain"}

    response = await rig.http.post(ENDPOINTS[api].path, content="{}", headers=headers)

    assert response.json()["errorMessage"] == f"Bad Request - Invalid {ENDPOINTS[api].first_field}"


@pytest.mark.parametrize("api", APIS)
async def test_a_get_looks_like_an_invalid_header(rig: Rig, api: Api) -> None:
    response = await rig.http.get(ENDPOINTS[api].path)

    assert (response.status_code, response.json()["errorCode"]) == (404, "404.001.04")


async def test_the_truth_counts_calls_and_tokens(rig: Rig) -> None:
    await rig.authenticate()
    await rig.authenticate(secret="wrong")
    await rig.pay()
    await rig.pay(Remarks="")
    await with_token(rig, Api.STATUS, "0" * 28)

    truth = await rig.truth()

    assert truth["calls"] == {
        "/oauth/v1/generate": 2,
        "/mpesa/b2c/v3/paymentrequest": 2,
        STATUS_PATH: 1,
    }
    assert (truth["tokens_issued"], truth["tokens_refused"]) == (1, 1)


async def test_reset_takes_every_knob_back(rig: Rig) -> None:
    before = (await rig.http.get("/sandbox/faults")).json()
    await rig.put_in(
        scripted=[{"behaviour": "rate-limited", "api": "oauth"}],
        query_rates={"rate-limited": 1.0},
        collection_rates={"rate-limited": 1.0},
        requests_per_token=1,
        allowance={"requests": 1, "seconds": 60},
        token_errors={"b2b": "apigee"},
        not_found_code="25",
    )

    changed = (await rig.http.get("/sandbox/faults")).json()
    await rig.start_over()

    assert changed != before
    assert (await rig.http.get("/sandbox/faults")).json() == before
    assert (await rig.truth())["calls"] == {}


@pytest.mark.parametrize(
    "body",
    [
        {"scripted": [{"behaviour": "rate-limited", "api": "ussd"}]},
        {"query_rates": {"unheard-of": 0.1}},
        {"query_rates": {"rate-limited": 0.6, "service-unavailable": 0.6}},
        {"requests_per_token": -1},
        {"allowance": {"requests": 5, "seconds": 0}},
        {"token_errors": {"ussd": "apigee"}},
        {"token_errors": {"b2b": "418"}},
        {"not_found_code": "0"},
    ],
)
async def test_a_knob_that_makes_no_sense_is_refused_and_changes_nothing(rig: Rig, body: dict[str, Any]) -> None:
    before = (await rig.http.get("/sandbox/faults")).json()

    response = await rig.http.post("/sandbox/faults", json=body)

    assert response.status_code == 422
    assert (await rig.http.get("/sandbox/faults")).json() == before


async def with_token(rig: Rig, api: Api, token: str) -> httpx.Response:
    """A good request with another token."""
    headers = {"Authorization": f"Bearer {token}"}
    return await rig.http.post(ENDPOINTS[api].path, json=await request_for(rig, api), headers=headers)


async def request_for(rig: Rig, api: Api) -> dict[str, object]:
    """A request that this API takes, with what it presupposes."""
    if api is Api.STK_QUERY:
        return payers.stk_query(rig, await payers.prompted(rig))
    if api is Api.PULL_QUERY:
        await rig.send(payers.PULL_REGISTER_PATH, payers.pull_registration(rig))
    requests: dict[Api, dict[str, object]] = {
        Api.B2C_V1: rig.v1_request(),
        Api.B2C_V3: rig.request(),
        Api.B2B: rig.b2b_request(),
        Api.TAX: rig.b2b_request(CommandID="PayTaxToKRA", PartyB="572572"),
        Api.STATUS: rig.status_query(TransactionID="UI1YOXP20E"),
        Api.BALANCE: rig.balance_query(),
        Api.STK: payers.push(rig),
        Api.C2B_REGISTER_V1: payers.registration(rig),
        Api.C2B_REGISTER_V2: payers.registration(rig),
        Api.C2B_SIMULATE_V1: payers.simulation(rig),
        Api.C2B_SIMULATE_V2: payers.simulation(rig),
        Api.REVERSAL: payers.reversal(rig, "UI1M4N557P"),
        Api.PULL_REGISTER: payers.pull_registration(rig),
        Api.PULL_QUERY: payers.pull_query(rig),
    }
    return requests[api]
