"""What the B2C gateway sends away: each documented error, word for word, and nothing moved by any of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import httpx
import pytest

from adapters.sandbox.settings import SandboxSettings
from tests.adapters.sandbox.rig import Rig, example, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

V3 = "/mpesa/b2c/v3/paymentrequest"
V1 = "/mpesa/b2c/v1/paymentrequest"

# Field, bad value, and the field the answer names where it is not the same.
BAD_FIELDS: list[tuple[str, object]] = [
    ("OriginatorConversationID", None),
    ("OriginatorConversationID", ""),
    ("OriginatorConversationID", 417),
    ("OriginatorConversationID", "x" * 101),
    ("InitiatorName", "someone_else"),
    ("InitiatorName", None),
    ("SecurityCredential", ""),
    ("SecurityCredential", None),
    ("CommandID", "BusinessPayToPochi"),
    ("CommandID", ["BusinessPayment"]),
    ("Amount", "10.50"),
    ("Amount", 10.5),
    ("Amount", "10.00"),
    ("Amount", "1e3"),
    ("Amount", "-100"),
    ("Amount", 0),
    ("Amount", " 100"),
    ("Amount", "１００"),  # noqa: RUF001 - full-width digits are the point
    ("Amount", True),
    ("Amount", None),
    ("Amount", 10**13),
    ("PartyA", "600000"),
    ("PartyA", True),
    ("PartyB", "0712345678"),
    ("PartyB", "+254712345678"),
    ("PartyB", "255712345678"),
    ("PartyB", "25471234567"),
    ("PartyB", "25471234567８"),  # noqa: RUF001 - and here
    ("PartyB", None),
    ("Remarks", "x"),
    ("Remarks", "x" * 101),
    ("Remarks", None),
    ("QueueTimeOutURL", None),
    ("ResultURL", "ftp://127.0.0.1/result"),
    ("ResultURL", "/result"),
    ("ResultURL", "http://198.51.100.7/result"),
    ("ResultURL", "http://pay.example/result"),
    ("ResultURL", "http://127.0.0.1@pay.example/result"),
    ("ResultURL", "http://127.0.0.1:port/result"),
    ("ResultURL", "http://127.0.0.1/M-PESA/result"),
    ("QueueTimeOutURL", "http://127.0.0.1/timeout/aSqLb"),
    ("Occassion", "x" * 101),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
async def test_a_bad_field_is_named(rig: Rig, field: str, value: object) -> None:
    response = await rig.pay(**{field: value})

    assert_refused(response, 400, "400.002.02", f"Bad Request - Invalid {field}")
    await assert_nothing_moved(rig)


async def test_a_number_with_an_enormous_exponent_is_no_amount(rig: Rig) -> None:
    body = json.dumps(rig.request(Amount="@")).replace('"@"', "1e999999999")

    response = await post_raw(rig, body)

    assert_refused(response, 400, "400.002.02", "Bad Request - Invalid Amount")


async def test_v1_needs_no_originator_conversation_id(rig: Rig) -> None:
    response = await rig.post(rig.v1_request(InitiatorName="someone_else"), version="v1")

    assert_refused_as(response, "b2c-error-invalid-initiator-name.json", status=400)


async def test_hosts_on_the_list_may_be_called_back(settings: SandboxSettings) -> None:
    async with running(replace(settings, callback_hosts=frozenset({"pay.invalid"}))) as rig:
        response = await rig.pay(ResultURL="https://pay.invalid/result")
        await rig.callbacks_done()

    assert response.status_code == 200
    assert [delivery.outcome for delivery in rig.server.world.deliveries] == ["ConnectError"]


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', '{"Amount": NaN}', "[" * 100_000, "\xff"])
async def test_what_is_not_a_json_object_is_an_invalid_payload(rig: Rig, body: str) -> None:
    response = await post_raw(rig, body.encode("latin-1"))

    assert_refused_as(response, "error-invalid-payload-400.json", status=400)
    await assert_nothing_moved(rig)


@pytest.mark.parametrize(("path", "field"), [(V3, "OriginatorConversationID"), (V1, "InitiatorName")])
async def test_another_content_type_names_the_first_field(rig: Rig, path: str, field: str) -> None:
    headers = {"Authorization": f"Bearer {rig.access_token}", "Content-Type": "text/plain"}

    response = await rig.http.post(path, content=json.dumps(rig.request()), headers=headers)

    assert_refused(response, 400, "400.002.02", f"Bad Request - Invalid {field}")


async def test_a_token_not_in_force_is_echoed(rig: Rig) -> None:
    headers = {"Authorization": "Bearer b83711a5fda2621bcbeb47c6bf2e"}

    response = await rig.http.post(V3, json=rig.request(), headers=headers)

    assert_refused_as(response, "error-invalid-access-token-401.json", status=401)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}])
async def test_a_request_without_a_bearer_token_has_an_invalid_header(rig: Rig, headers: dict[str, str]) -> None:
    response = await rig.http.post(V3, json=rig.request(), headers=headers)

    assert_refused_as(response, "error-auth-header-404.json", status=404)


async def test_a_get_looks_like_an_invalid_header(rig: Rig) -> None:
    response = await rig.http.get(V3, headers={"Authorization": f"Bearer {rig.access_token}"})

    assert_refused_as(response, "error-auth-header-404.json", status=404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_another_method_is_named(rig: Rig, method: str) -> None:
    response = await rig.http.request(method, V1)

    assert_refused(response, 405, "405.001", f"{method} Method Not Allowed")


@pytest.mark.parametrize("path", ["/mpesa/b2c/v2/paymentrequest", "/", V3 + "/"])
async def test_an_unknown_path_is_not_found(rig: Rig, path: str) -> None:
    response = await rig.http.post(path, json={})

    assert_refused_as(response, "error-not-found-404.json", status=404)


async def test_a_repeated_originator_conversation_id_is_refused(rig: Rig) -> None:
    request = rig.request()

    first = await rig.post(request)
    second = await rig.post(request)

    assert first.status_code == 200
    assert_refused_as(second, "b2c-error-duplicate-originator.json", status=500)
    assert len(rig.server.world.movements) == 1


async def test_an_id_is_seen_although_its_acknowledgement_was_lost(rig: Rig) -> None:
    request = rig.request(PartyB="254700000302")

    await rig.post(request)
    second = await rig.post(request)

    assert_refused_as(second, "b2c-error-duplicate-originator.json", status=500)
    assert len(rig.server.world.movements) == 1


async def test_an_id_is_seen_although_its_payment_failed(rig: Rig) -> None:
    request = rig.request(PartyB="254700000140")

    await rig.post(request)
    second = await rig.post(request)

    assert_refused_as(second, "b2c-error-duplicate-originator.json", status=500)


@pytest.mark.parametrize("first_change", [{"Remarks": ""}, {"PartyB": "254700000308"}], ids=["refused", "503"])
async def test_an_id_that_was_never_queued_may_be_used_again(rig: Rig, first_change: dict[str, object]) -> None:
    request = rig.request()

    first = await rig.post(request | first_change)
    second = await rig.post(request)

    assert first.status_code != 200
    assert second.status_code == 200


async def test_v1_pays_the_same_request_twice(rig: Rig) -> None:
    request = rig.v1_request()

    await rig.post(request, version="v1")
    await rig.post(request, version="v1")

    assert len(rig.server.world.movements) == 2


async def test_refused_requests_are_in_the_diary_by_code(rig: Rig) -> None:
    await rig.pay(Remarks="")
    rig.access_token, in_force = "0" * 28, rig.access_token
    await rig.pay()
    rig.access_token = in_force

    truth = await rig.truth()

    assert [(row["answer"], row["fate"]) for row in truth["requests"]] == [
        ("400.002.02", "refused"),
        ("401.002.01", "refused"),
    ]


async def post_raw(rig: Rig, body: str | bytes) -> httpx.Response:
    """Sends these very bytes as JSON."""
    headers = {"Authorization": f"Bearer {rig.access_token}", "Content-Type": "application/json"}
    return await rig.http.post(V3, content=body, headers=headers)


def assert_refused(response: httpx.Response, status: int, code: str, message: str) -> None:
    """A documented error with a request id of the documented form."""
    body = response.json()
    assert list(body) == ["requestId", "errorCode", "errorMessage"]
    assert (response.status_code, body["errorCode"], body["errorMessage"]) == (status, code, message)
    assert re.fullmatch(r"([0-9a-f]{4}-){3}[0-9a-f]{12}\d{7}", body["requestId"])


def assert_refused_as(response: httpx.Response, name: str, *, status: int) -> None:
    """The documented example, but for its request id."""
    documented = json.loads(example(name))
    assert_refused(response, status, documented["errorCode"], documented["errorMessage"])


async def assert_nothing_moved(rig: Rig) -> None:
    """Balances as at opening, no movement, no callback to come."""
    truth = await rig.truth()
    assert truth["balances"] == truth["opening"]
    assert (truth["movements"], truth["callbacks_pending"]) == ([], 0)
