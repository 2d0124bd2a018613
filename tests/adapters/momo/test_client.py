"""The client against a scripted server: headers, tokens, reading back, platforms, and what never came."""

from __future__ import annotations

import base64
import time

import pytest

from adapters.momo.client import MomoRail
from adapters.momo.collections import MomoCollections
from adapters.momo.credentials import ConstantSecrets, MomoAccess, MomoSecrets
from adapters.momo.provisioning import NotProvisioned, provision
from adapters.momo.references import REFERENCE_ID, reference_id
from adapters.momo.session import MomoSession
from adapters.provider import BalanceReport, SubAccountBalance
from adapters.transport import HttpLimits, Secret
from ledger.errors import TextInvalid
from ledger.outbox.collecting import Prompted, PromptPaid, PromptPending
from ledger.outbox.instruction import (
    Acknowledged,
    Answer,
    Blame,
    Failed,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Settled,
)
from tests.adapters.daraja.scripted_server import Play, ScriptedServer, reply, reset
from tests.adapters.momo.conftest import SECRETS
from tests.adapters.momo.examples import (
    ENVIRONMENT,
    NOW,
    REFERENCE,
    URLS,
    WALLET,
    example,
    inquiry,
    payout,
    prompt,
    prompt_inquiry,
)

TRANSFER = "/disbursement/v1_0/transfer"
TRANSFERRED = f"{TRANSFER}/{reference_id(REFERENCE)}"
ACTIVE = "/disbursement/v1_0/accountholder/msisdn/250781234567/active"


def play(name: str) -> Play:
    """An example as the server's answer."""
    shown = example(name)
    return reply(shown.status, shown.body)


async def submit(rail: MomoRail) -> Answer:
    return await rail.submit_payout(payout(), URLS)


async def test_a_transfer_is_sent_with_every_documented_header(rail: MomoRail, server: ScriptedServer) -> None:
    server.on(TRANSFER, play("transfer_response_202"))

    answer = await submit(rail)

    assert answer == Acknowledged(((REFERENCE_ID, reference_id(REFERENCE)),))
    (sent,) = server.to(TRANSFER)
    token = example("token_response_200").document["access_token"]
    expected = {
        "ocp-apim-subscription-key": "disbursement-subscription",
        "authorization": f"Bearer {token}",
        "x-target-environment": "mtnrwanda",
        "x-reference-id": reference_id(REFERENCE),
        "x-callback-url": URLS.result_url,
        "content-type": "application/json",
    }
    assert expected.items() <= sent.headers.items()
    assert set(example("transfer_request").headers) <= set(sent.headers)
    assert sent.headers["user-agent"].startswith("daftari/")


async def test_a_token_is_asked_for_without_a_body_once_per_product(
    rail: MomoRail, collections: MomoCollections, server: ScriptedServer
) -> None:
    server.on(TRANSFER, play("transfer_response_202"))
    server.on("/collection/v1_0/requesttopay", play("requesttopay_response_202"))

    await submit(rail)
    await submit(rail)
    await collections.submit_prompt(prompt(), URLS)

    (asked,), (other,) = server.to("/disbursement/token/"), server.to("/collection/token/")
    assert asked.body == b""
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"api-user:api-key"
    assert other.headers["ocp-apim-subscription-key"] == "collection-subscription"
    assert asked.headers["x-target-environment"] == "mtnrwanda"


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ("transfer_response_400", Rejected),
        ("transfer_response_401_subscription_key", NotSent),
        ("transfer_response_403_forbidden_ip", NotSent),
        ("transfer_response_429", NotSent),
        ("transfer_response_500_internal", OutcomeUnknown),
        ("transfer_response_503", OutcomeUnknown),
    ],
)
async def test_what_an_answer_proves_of_a_transfer(
    rail: MomoRail, server: ScriptedServer, answered: str, kind: type
) -> None:
    server.on(TRANSFER, play(answered))

    assert isinstance(await submit(rail), kind)
    assert server.to(TRANSFERRED) == []


REFUSALS = [
    "invalid_callback_url_host",
    "invalid_currency",
    "not_allowed",
    "not_allowed_target_environment",
    "not_enough_funds",
    "payee_not_found",
    "payer_limit_reached",
]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_on_500_counts_once_the_transfer_cannot_be_read_back(
    rail: MomoRail, server: ScriptedServer, refusal: str
) -> None:
    server.on(TRANSFER, play(f"transfer_response_500_{refusal}"))
    server.on(TRANSFERRED, play("transfer_status_404"))

    answer = await submit(rail)

    assert isinstance(answer, Rejected)
    assert answer.code == refusal.upper()
    payments = {"not_enough_funds", "payee_not_found", "payer_limit_reached"}
    assert answer.blame is (Blame.PAYMENT if refusal in payments else Blame.ACCESS)


async def test_a_refusal_on_500_of_a_transfer_that_is_there_was_taken_in(
    rail: MomoRail, server: ScriptedServer
) -> None:
    server.on(TRANSFER, play("transfer_response_500_not_enough_funds"))
    server.on(TRANSFERRED, play("transfer_status_200_pending"))

    assert isinstance(await submit(rail), Acknowledged)


@pytest.mark.parametrize("found", ["transfer_status_404", "transfer_response_503", "transfer_response_500_internal"])
async def test_a_duplicate_that_cannot_be_read_back_is_unknown(
    rail: MomoRail, server: ScriptedServer, found: str
) -> None:
    server.on(TRANSFER, play("transfer_response_409_duplicate"))
    server.on(TRANSFERRED, play(found))

    assert isinstance(await submit(rail), OutcomeUnknown)


async def test_a_duplicate_of_ours_was_taken_in_and_one_of_others_is_unknown(
    rail: MomoRail, server: ScriptedServer
) -> None:
    others = example("transfer_status_200_successful").body.replace(REFERENCE.encode(), b"somebody-elses")
    server.on(TRANSFER, play("transfer_response_409_duplicate"))
    server.on(TRANSFERRED, play("transfer_status_200_successful"), reply(200, others))

    assert isinstance(await submit(rail), Acknowledged)
    assert isinstance(await submit(rail), OutcomeUnknown)


async def test_a_refused_token_is_fetched_anew_and_the_reference_stays(rail: MomoRail, server: ScriptedServer) -> None:
    server.on(TRANSFER, reply(401, b""), play("transfer_response_202"))

    assert isinstance(await submit(rail), Acknowledged)
    first, second = server.to(TRANSFER)
    assert first.headers["x-reference-id"] == second.headers["x-reference-id"]
    assert first.body == second.body
    assert len(server.to("/disbursement/token/")) == 2


async def test_two_refused_tokens_are_enough(rail: MomoRail, server: ScriptedServer) -> None:
    server.on(TRANSFER, reply(401, b""))

    assert isinstance(await submit(rail), NotSent)
    assert len(server.to(TRANSFER)) == 2


async def test_no_token_no_transfer(rail: MomoRail, server: ScriptedServer) -> None:
    server.on("/disbursement/token/", play("token_response_401_invalid_client"))

    assert isinstance(await submit(rail), NotSent)
    assert server.to(TRANSFER) == []


async def test_an_answer_that_never_came_is_unknown(rail: MomoRail, server: ScriptedServer) -> None:
    server.on(TRANSFER, reset)

    assert isinstance(await submit(rail), OutcomeUnknown)


async def test_another_wallet_and_what_cannot_be_carried_are_not_sent(rail: MomoRail, server: ScriptedServer) -> None:
    other = await rail.submit_payout(payout(shortcode="kampala"), URLS)
    unfit = await rail.submit_payout(payout(provider_reference=""), URLS)

    assert isinstance(other, NotSent)
    assert isinstance(unfit, Rejected)
    assert server.received == []


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ("transfer_status_200_successful", Settled),
        ("transfer_status_200_failed_reason_string", Failed),
        ("transfer_status_200_pending", OutcomeUnknown),
        ("transfer_status_404", OutcomeUnknown),
        ("transfer_response_503", OutcomeUnknown),
        ("transfer_response_429", NotSent),
    ],
)
async def test_what_a_status_read_proves(rail: MomoRail, server: ScriptedServer, answered: str, kind: type) -> None:
    server.on(TRANSFERRED, play(answered))

    assert isinstance(await rail.query_payout(inquiry(), URLS), kind)
    (asked,) = server.to(TRANSFERRED)
    assert "x-reference-id" not in asked.headers
    assert "x-callback-url" not in asked.headers


async def test_what_was_sent_to_the_old_platform_is_asked_about_and_repeated_there(
    rail: MomoRail, session: MomoSession, server: ScriptedServer, old_server: ScriptedServer
) -> None:
    old = session.access.platforms[1].name
    old_server.on(TRANSFERRED, play("transfer_status_200_successful"))
    old_server.on(TRANSFER, play("transfer_response_409_duplicate"))

    asked = await rail.query_payout(inquiry(platform=old), URLS)
    again = await rail.submit_payout(payout(platform=old), URLS)

    assert isinstance(asked, Settled)
    assert isinstance(again, Acknowledged)
    assert server.received == []
    basic = old_server.to("/disbursement/token/")[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"old-user:old-key"


async def test_nothing_is_asked_where_a_payout_was_not_sent(rail: MomoRail, server: ScriptedServer) -> None:
    elsewhere = "mtnrwanda@proxy.momoapi.mtn.com"

    assert isinstance(await rail.query_payout(inquiry(platform=elsewhere), URLS), NotSent)
    assert isinstance(await rail.submit_payout(payout(platform=elsewhere), URLS), NotSent)
    assert server.received == []


async def test_each_product_tells_its_balance(rail: MomoRail, server: ScriptedServer) -> None:
    server.on("/disbursement/v1_0/account/balance", reply(200, b'{"availableBalance":"-20","currency":"RWF"}'))
    server.on("/collection/v1_0/account/balance", play("balance_response_200"))
    held = int(example("balance_response_200").document["availableBalance"])

    report = await rail.query_balance(WALLET, URLS)

    assert isinstance(report, BalanceReport)
    assert report.balances == (
        SubAccountBalance("disbursement", "RWF", -20),
        SubAccountBalance("collection", "RWF", held),
    )


async def test_a_balance_that_is_not_told_is_left_out(rail: MomoRail, server: ScriptedServer) -> None:
    server.on("/disbursement/v1_0/account/balance", play("balance_response_500_sandbox"))
    server.on("/collection/v1_0/account/balance", reply(200, b'{"availableBalance":"5","currency":"USD"}'))

    assert isinstance(await rail.query_balance(WALLET, URLS), OutcomeUnknown)


async def test_a_payee_is_refused_by_a_clear_no_alone(server: ScriptedServer) -> None:
    server.on(
        ACTIVE,
        play("accountholder_active_200_true"),
        play("accountholder_active_200_false"),
        play("accountholder_active_404"),
        play("transfer_response_503"),
        reply(200, b'{"result":"false"}'),
        play("transfer_response_401_subscription_key"),
    )
    access = MomoAccess(base_url=server.url, target_environment=ENVIRONMENT, wallet=WALLET, checks_payees=True)
    session = MomoSession(access, secrets=ConstantSecrets(SECRETS), monotonic=time.monotonic)
    asking = MomoRail(session, now=lambda: NOW)

    told = [await asking.check_payee(payout()) for _ in range(6)]

    assert [one is None for one in told] == [True, False, False, True, True, True]
    assert {one.code for one in told if one is not None} == {"PAYEE_NOT_REGISTERED"}
    assert server.to(TRANSFER) == []
    await session.close()


async def test_nobody_is_asked_about_unless_the_access_says_so(rail: MomoRail, server: ScriptedServer) -> None:
    server.on(ACTIVE, play("accountholder_active_404"))

    assert await rail.check_payee(payout()) is None
    assert server.to(ACTIVE) == []


async def test_a_prompt_is_known_by_its_own_reference(collections: MomoCollections, server: ScriptedServer) -> None:
    chosen = collections.chosen_checkout("prm-77")
    server.on("/collection/v1_0/requesttopay", play("requesttopay_response_202"))
    server.on(f"/collection/v1_0/requesttopay/{chosen}", play("requesttopay_status_200_successful"))

    prompted = await collections.submit_prompt(prompt(), URLS)
    assert chosen is not None
    told = await collections.query_prompt(prompt_inquiry(checkout=chosen))

    assert prompted == Prompted(chosen)
    assert isinstance(told, PromptPaid)


async def test_a_prompt_that_is_not_found_is_neither_paid_nor_failed(
    collections: MomoCollections, server: ScriptedServer
) -> None:
    path = f"/collection/v1_0/requesttopay/{prompt_inquiry().checkout}"
    server.on(path, play("transfer_status_404"), play("requesttopay_status_200_pending"))

    assert isinstance(await collections.query_prompt(prompt_inquiry()), OutcomeUnknown)
    assert isinstance(await collections.query_prompt(prompt_inquiry()), PromptPending)


async def test_a_product_without_credentials_is_not_called(server: ScriptedServer) -> None:
    session = MomoSession(
        MomoAccess(base_url=server.url, target_environment="mtnrwanda", wallet=WALLET),
        secrets=ConstantSecrets(MomoSecrets()),
        monotonic=lambda: 0.0,
    )
    try:
        assert isinstance(await submit(MomoRail(session, now=lambda: NOW)), NotSent)
        assert server.received == []
    finally:
        await session.close()


async def test_a_sandbox_user_and_its_key_are_made(server: ScriptedServer) -> None:
    user = reference_id("a user")
    server.on("/v1_0/apiuser", play("provision_apiuser_response_201"))
    server.on(f"/v1_0/apiuser/{user}/apikey", play("provision_apikey_response_201"))

    made = await provision(
        base_url=server.url,
        subscription_key=Secret("subscription"),
        user_id=user,
        callback_host="pay.example.com",
        limits=HttpLimits(),
    )

    key = example("provision_apikey_response_201").document["apiKey"]
    assert isinstance(made, Secret)
    assert made.reveal() == f"{user}:{key}"
    (asked,) = server.to("/v1_0/apiuser")
    assert asked.headers["x-reference-id"] == user
    assert asked.body == b'{"providerCallbackHost": "pay.example.com"}'


async def test_a_user_that_exists_is_not_made_and_a_url_is_no_host(server: ScriptedServer) -> None:
    server.on("/v1_0/apiuser", play("provision_apiuser_response_409"))
    made = await provision(
        base_url=server.url, subscription_key=Secret("s"), user_id=reference_id("x"), callback_host="localhost"
    )

    assert isinstance(made, NotProvisioned)
    with pytest.raises(TextInvalid):
        await provision(
            base_url=server.url, subscription_key=Secret("s"), user_id="x", callback_host="https://pay.example.com/"
        )
