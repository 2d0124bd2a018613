"""The simulated wallet at the wire: what MTN documents, byte for byte where a form is documented, and its faults."""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.sandbox.momo.behaviours import FAULT_NUMBERS, PREFIX, REQUEST_NUMBERS, TRANSFER_NUMBERS, number_of
from adapters.sandbox.momo.settings import MomoSandboxSettings
from adapters.sandbox.server import SandboxServer
from adapters.sandbox.settings import SandboxSettings
from tests.adapters.sandbox.rig import Receiver, StandingClock

EXAMPLES = Path(__file__).parents[2] / "examples" / "momo"
SETTINGS = MomoSandboxSettings()
NUMBER = "250781234567"


def example(name: str) -> tuple[int, bytes]:
    """Status and body of a documented answer."""
    head, _, body = (EXAMPLES / f"{name}.http").read_bytes().partition(b"\n\n")
    return int(head.split(b" ")[1]), body.rstrip(b"\n")


@dataclass
class Client:
    """A business at the simulated wallet."""

    http: httpx.AsyncClient
    server: SandboxServer
    clock: StandingClock
    receiver: Receiver
    tokens: dict[str, str] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(11))

    def headers(self, product: str, **changes: str | None) -> dict[str, str]:
        """What every call carries, with some replaced, or left out where None."""
        usual = {
            "Ocp-Apim-Subscription-Key": SETTINGS.subscription_keys[product],
            "Authorization": f"Bearer {self.tokens.get(product, '')}",
            "X-Target-Environment": SETTINGS.target_environment,
        }
        named = {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in (usual | named).items() if value is not None}

    async def grant(
        self, product: str, *, credential: str = SETTINGS.credential, **changes: str | None
    ) -> httpx.Response:
        """A token of a product, kept for the calls after it."""
        basic = f"Basic {base64.b64encode(credential.encode()).decode()}"
        headers = self.headers(product, **({"Authorization": basic} | changes))
        answer = await self.http.post(f"/{product}/token/", headers=headers)
        if answer.status_code == 200:
            self.tokens[product] = answer.json()["access_token"]
        return answer

    async def create(
        self, kind: str = "transfer", *, number: str = NUMBER, reference: str | None = None, amount: str = "1500",
        note: str = "Promo reward", currency: str = "RWF", callback: bool = True, **changes: str | None,
    ) -> httpx.Response:  # fmt: skip
        """A transfer, or a request to pay."""
        product, party = ("disbursement", "payee") if kind == "transfer" else ("collection", "payer")
        document = {
            "amount": amount, "currency": currency, "externalId": "DAF-1",
            party: {"partyIdType": "MSISDN", "partyId": number}, "payerMessage": note, "payeeNote": note,
        }  # fmt: skip
        url = {"X_Callback_Url": f"{self.receiver.base_url}/momo/secret"} if callback else {}
        named = {"X_Reference_Id": reference or self.reference(), **url, **changes}
        return await self.http.post(f"/{product}/v1_0/{kind}", headers=self.headers(product, **named), json=document)

    async def status(self, reference: str, kind: str = "transfer") -> httpx.Response:
        """What became of it."""
        product = "disbursement" if kind == "transfer" else "collection"
        return await self.http.get(f"/{product}/v1_0/{kind}/{reference}", headers=self.headers(product))

    async def made(self, kind: str = "transfer", **wanted: Any) -> dict[str, Any]:
        """One that was taken in, as its status tells it."""
        reference = self.reference()
        answer = await self.create(kind, reference=reference, **wanted)
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = (await self.status(reference, kind)).json()
        return told

    def reference(self) -> str:
        """A fresh UUID of version 4."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))


@asynccontextmanager
async def open_client(settings: MomoSandboxSettings = SETTINGS) -> AsyncIterator[Client]:
    """A business with a token of each product."""
    clock, receiver = StandingClock(), Receiver()
    await receiver.start()
    server = SandboxServer(
        SandboxSettings(callback_delay_seconds=0.0), clock=clock, randomness=random.Random(3), momo=settings
    )
    base_url = await server.start()
    try:
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, headers={"User-Agent": "test"}) as http:
            client = Client(http, server, clock, receiver)
            for product in ("disbursement", "collection"):
                assert (await client.grant(product)).status_code == 200
            yield client
    finally:
        await server.stop()
        await receiver.stop()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as opened:
        yield opened


async def test_a_transfer_is_taken_in_with_an_empty_answer_paid_and_called_back_by_put(client: Client) -> None:
    reference = client.reference()

    answer = await client.create(reference=reference)

    assert (answer.status_code, answer.content) == example("transfer_response_202")
    told = (await client.status(reference)).json()
    assert sorted(told) == sorted(json.loads(example("transfer_status_200_successful")[1]))
    callback = await client.receiver.next()
    assert (callback.method, json.loads(callback.body)) == ("PUT", told)
    assert client.server.momo.world.balances["disbursement"] == SETTINGS.opening_disbursement - 1500


async def test_a_reference_is_taken_once(client: Client) -> None:
    reference = client.reference()
    await client.create(reference=reference)
    again = await client.create(reference=reference)

    status, body = example("transfer_response_409_duplicate")
    assert (again.status_code, again.json()) == (status, json.loads(body))
    assert len(client.server.momo.world.transactions) == 1


async def test_what_was_never_made_is_not_found(client: Client) -> None:
    status, body = example("transfer_status_404")

    answer = await client.status(client.reference())

    assert (answer.status_code, answer.json()) == (status, json.loads(body))


@pytest.mark.parametrize(("suffix", "row"), TRANSFER_NUMBERS.items(), ids=TRANSFER_NUMBERS)
async def test_each_test_number_of_a_transfer(client: Client, suffix: str, row: Any) -> None:
    await check_number(client, "transfer", suffix, row)


@pytest.mark.parametrize(("suffix", "row"), REQUEST_NUMBERS.items(), ids=REQUEST_NUMBERS)
async def test_each_test_number_of_a_request_to_pay(client: Client, suffix: str, row: Any) -> None:
    await check_number(client, "requesttopay", suffix, row)


async def check_number(client: Client, kind: str, suffix: str, row: Any) -> None:
    """What is answered, and what the status says after it."""
    reference = client.reference()
    answer = await client.create(kind, number=PREFIX + suffix, reference=reference)
    status = await client.status(reference, kind)
    if row.fate.value == "refused":
        assert (answer.status_code, answer.json()["code"]) == (row.status, row.code)
        assert status.status_code == 404
    else:
        assert answer.status_code == 202
        assert status.json()["status"] == {"FAILED": "FAILED"}.get(row.fate.value, "PENDING")
        assert status.json().get("reason", "") == row.code


def test_the_tables_are_shifted_by_a_row_as_mtn_prints_them() -> None:
    assert TRANSFER_NUMBERS["455"].code == "NOT_ENOUGH_FUNDS"
    assert TRANSFER_NUMBERS["458"].code == REQUEST_NUMBERS["457"].code == "NOT_ALLOWED"
    assert TRANSFER_NUMBERS["463"].code == REQUEST_NUMBERS["462"].code == "SERVICE_UNAVAILABLE"
    assert REQUEST_NUMBERS["463"].code == "COULD_NOT_PERFORM_TRANSACTION"


async def test_what_is_ongoing_is_paid_half_a_minute_later(client: Client) -> None:
    reference = client.reference()
    await client.create(number=number_of("ongoing"), reference=reference)
    before = (await client.status(reference)).json()["status"]

    client.clock.advance(seconds=31)

    assert (before, (await client.status(reference)).json()["status"]) == ("PENDING", "SUCCESSFUL")


@pytest.mark.parametrize(
    "changes",
    [
        {"note": "it's yours"},
        {"note": "x" * 161},
        {"reference": str(uuid.uuid5(uuid.NAMESPACE_DNS, "not of version 4"))},
        {"number": "+250781234567"},
        {"amount": "15,00"},
        {"X_Callback_Url": ""},
    ],
)
async def test_what_the_api_does_not_take_is_an_empty_400(client: Client, changes: dict[str, Any]) -> None:
    answer = await client.create(**changes)

    assert (answer.status_code, answer.content) == example("transfer_response_400")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"currency": "EUR"}, "INVALID_CURRENCY"),
        ({"amount": "15.50"}, "INVALID_CURRENCY"),
        ({"X_Callback_Url": "https://elsewhere.example/x"}, "INVALID_CALLBACK_URL_HOST"),
        ({"X_Target_Environment": "mtnuganda"}, "NOT_ALLOWED_TARGET_ENVIRONMENT"),
    ],
)
async def test_business_refusals_come_on_500(client: Client, changes: dict[str, Any], code: str) -> None:
    answer = await client.create(**changes)

    assert (answer.status_code, answer.json()["code"]) == (500, code)
    assert client.server.momo.world.transactions == {}


async def test_keys_and_tokens_are_of_one_product(client: Client) -> None:
    other = SETTINGS.subscription_keys["collection"]

    wrong_key = await client.create(Ocp_Apim_Subscription_Key=other)
    wrong_token = await client.create(Authorization=f"Bearer {client.tokens['collection']}")

    status, body = example("transfer_response_401_subscription_key")
    assert (wrong_key.status_code, wrong_key.json()["statusCode"]) == (status, json.loads(body)["statusCode"])
    assert "subscription key" in wrong_key.json()["message"]
    assert wrong_token.status_code == 401


async def test_a_token_ends_after_its_hour_and_on_demand(client: Client) -> None:
    client.clock.advance(seconds=SETTINGS.token_seconds)
    ended = await client.create()
    await client.grant("disbursement")
    fresh = await client.create()

    await client.http.post("/sandbox/momo/tokens/expire")

    assert (ended.status_code, fresh.status_code, (await client.create()).status_code) == (401, 202, 401)


async def test_a_token_is_refused_as_documented(client: Client) -> None:
    wrong = await client.grant("disbursement", credential="nobody:knows")
    no_environment = await client.grant("disbursement", X_Target_Environment=None)

    for answer, name in ((wrong, "401_invalid_client"), (no_environment, "400_target_environment")):
        status, body = example(f"token_response_{name}")
        assert (answer.status_code, answer.json()) == (status, json.loads(body))


async def test_a_user_and_a_key_are_provisioned_and_may_call(client: Client) -> None:
    user, key_header = client.reference(), {"Ocp-Apim-Subscription-Key": SETTINGS.subscription_keys["disbursement"]}
    host = {"providerCallbackHost": "127.0.0.1"}

    made = await client.http.post("/v1_0/apiuser", headers=key_header | {"X-Reference-Id": user}, json=host)
    again = await client.http.post("/v1_0/apiuser", headers=key_header | {"X-Reference-Id": user}, json=host)
    key = await client.http.post(f"/v1_0/apiuser/{user}/apikey", headers=key_header)
    shown = await client.http.get(f"/v1_0/apiuser/{user}", headers=key_header)

    assert (made.status_code, again.status_code, key.status_code) == (201, 409, 201)
    assert shown.json() == host | {"targetEnvironment": SETTINGS.target_environment}
    assert (await client.grant("disbursement", credential=f"{user}:{key.json()['apiKey']}")).status_code == 200
    assert (await client.create()).status_code == 202


async def test_the_gateway_refuses_a_librarys_default_name_with_html(client: Client) -> None:
    answer = await client.create(User_Agent="python-requests/2.32")

    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (403, "text/html")


async def test_balances_and_holders_are_told(client: Client) -> None:
    await client.made("requesttopay", amount="2500")
    headers = client.headers("collection")

    balance = await client.http.get("/collection/v1_0/account/balance", headers=headers)
    active = await client.http.get(f"/collection/v1_0/accountholder/msisdn/{NUMBER}/active", headers=headers)
    unknown = await client.http.get(f"/collection/v1_0/accountholder/msisdn/{PREFIX}450/active", headers=headers)

    assert balance.json() == {"availableBalance": "2500", "currency": "RWF"}
    assert active.json() == {"result": True}
    assert unknown.status_code == 404


async def test_more_than_the_account_holds_fails(client: Client) -> None:
    told = await client.made(amount=str(SETTINGS.opening_disbursement + 1))
    assert (told["status"], told["reason"]) == ("FAILED", "NOT_ENOUGH_FUNDS")
    assert client.server.momo.world.balances["disbursement"] == SETTINGS.opening_disbursement


@pytest.mark.parametrize("name", ["answer-lost", "never-arrived"])
async def test_an_answer_may_be_lost(client: Client, name: str) -> None:
    reference = client.reference()

    with pytest.raises(httpx.HTTPError):
        await client.create(number=number_of(name), reference=reference)

    assert (await client.status(reference)).status_code == (200 if name == "answer-lost" else 404)


@pytest.mark.parametrize("name", ["error-yet-paid", "refused-yet-paid"])
async def test_an_error_may_have_paid(client: Client, name: str) -> None:
    reference = client.reference()

    answer = await client.create(number=number_of(name), reference=reference)

    assert answer.status_code == 500
    assert (await client.status(reference)).json()["status"] == "SUCCESSFUL"


@pytest.mark.parametrize(
    ("name", "truth", "told"),
    [
        ("callback-contradicts", "SUCCESSFUL", "FAILED"),
        ("failed-callback-paid", "FAILED", "SUCCESSFUL"),
        ("callback-other-amount", "SUCCESSFUL", "SUCCESSFUL"),
    ],
)
async def test_a_callback_may_lie(client: Client, name: str, truth: str, told: str) -> None:
    status = await client.made(number=number_of(name))

    callback = json.loads((await client.receiver.next()).body)

    assert (status["status"], callback["status"]) == (truth, told)
    assert (callback["amount"] == status["amount"]) is (name != "callback-other-amount")


async def test_callbacks_may_come_never_first_or_often(client: Client) -> None:
    for name in ("callback-lost", "callback-first", "callback-often"):
        await client.made(number=number_of(name))
    await client.server.idle()

    assert [one.outcome for one in client.server.momo.world.deliveries] == ["200"] * 21


async def test_callbacks_and_reasons_take_the_other_form_too() -> None:
    settings = MomoSandboxSettings(callback_method="POST", reason_as_object=True)
    async with open_client(settings) as client:
        told = await client.made(number=number_of("rejected"))
        callback = await client.receiver.next()

    assert callback.method == "POST"
    assert told["reason"]["code"] == "APPROVAL_REJECTED"


async def test_decimals_are_those_of_the_currency() -> None:
    async with open_client(MomoSandboxSettings(currency="EUR", exponent=2)) as client:
        told = await client.made(currency="EUR", amount="15.50")
        uneven = await client.create(currency="EUR", amount="15.505")

    assert told["amount"] == "15.50"
    assert uneven.status_code == 500


async def test_the_control_tells_the_truth_scripts_credits_and_lets_payers_decide(client: Client) -> None:
    scripted = await client.http.post("/sandbox/momo/faults", json={"behaviour": "silent", "count": 2})
    reference = client.reference()
    await client.create("requesttopay", reference=reference)
    decided = await client.http.post("/sandbox/momo/decide", json={"reference": reference, "approves": True})
    await client.http.post("/sandbox/momo/credit", json={"product": "disbursement", "amount": 5})

    truth = (await client.http.get("/sandbox/momo/truth")).json()
    magic = (await client.http.get("/sandbox/momo/magic")).json()

    assert scripted.json()["silent"] == 2
    assert decided.json()["status"] == "SUCCESSFUL"
    assert truth["balances"] == {"disbursement": SETTINGS.opening_disbursement + 5, "collection": 1500}
    assert [one["behaviour"] for one in truth["transactions"]] == ["silent"]
    assert len(magic) == len(TRANSFER_NUMBERS) + len(REQUEST_NUMBERS) + len(FAULT_NUMBERS)
    assert (await client.http.post("/sandbox/momo/faults", json={"behaviour": "nope"})).status_code == 422
    assert (await client.http.post("/sandbox/momo/reset")).json()["transactions"] == []


async def test_no_secret_is_told_by_the_control(client: Client) -> None:
    await client.create()

    told = (await client.http.get("/sandbox/momo/truth")).text
    for secret in (SETTINGS.key, client.tokens["disbursement"], "/momo/secret", *SETTINGS.subscription_keys.values()):
        assert secret not in told


async def test_other_paths_are_the_gateways_and_daraja_answers_its_own(client: Client) -> None:
    unknown = await client.http.post("/disbursement/v1_0/deposit", headers=client.headers("disbursement"))
    daraja = await client.http.post("/mpesa/nowhere")

    assert (unknown.status_code, unknown.json()["statusCode"]) == (404, 404)
    assert "errorCode" in daraja.json()
