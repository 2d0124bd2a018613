"""Canaries: whatever Daraja answers, no secret, callback address or phone number comes out of the adapter."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time

import pytest

from adapters.collecting import PromptCallback, Registration
from adapters.daraja import client, credentials
from adapters.daraja.client import DarajaRail
from adapters.daraja.collections import DarajaCollections
from adapters.daraja.credentials import DarajaSettings
from adapters.daraja.session import open_session
from adapters.provider import CallbackUrls
from adapters.transport import Secret, TokenGrant
from ledger.msisdn import Msisdn
from tests.adapters.daraja import scripted_server
from tests.adapters.daraja.collecting import (
    NOW,
    SINCE,
    UNTIL,
    prompt_inquiry,
    prompt_instruction,
    reversal_instruction,
)
from tests.adapters.daraja.examples import business, inquiry, instruction
from tests.adapters.daraja.scripted_server import Play, Received, ScriptedServer, TokenDesk, reply

MSISDN = "254711223344"
# The provider's id of a prompt ends in the payer's number.
CHECKOUT = f"ws_CO_010920261015309607{MSISDN[3:]}"
PATH_TOKEN = "canarypath5f1d77aa90"
URLS = CallbackUrls(
    result_url=f"https://pay.daftari.example/c/{PATH_TOKEN}", timeout_url=f"https://pay.daftari.example/t/{PATH_TOKEN}"
)
OPEN_SECRETS = [
    "canary-consumer-key",
    "canary-consumer-secret",
    "canary-password",
    "canary-passkey",
    "canarytoken0a1b2c3d4e5f",
    PATH_TOKEN,
]
OAUTH = "/oauth/v1/generate"
PAYMENT = "/mpesa/b2c/v3/paymentrequest"


def canary_settings(base_url: str, certificate: bytes) -> DarajaSettings:
    return DarajaSettings(
        base_url=base_url,
        consumer_key=Secret("canary-consumer-key"),
        consumer_secret=Secret("canary-consumer-secret"),
        initiator_name="daftari_api",
        initiator_password=Secret("canary-password"),
        passkey=Secret("canary-passkey"),
        certificate=certificate,
        shortcode="600584",
    )


def echoing(status: int, template: str) -> Play:
    """An answer that repeats the caller's token, credential, addresses and number inside `template`."""

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        sent = json.loads(request.body)
        echo = " ".join([request.headers["authorization"], *map(str, sent.values()), f"+{MSISDN}", MSISDN, CHECKOUT])
        body = template.replace("ECHO", echo.replace("/", "\\/"))
        await reply(status, body.encode())(request, writer)

    return play


PLAYS: dict[str, Play] = {
    "refused token that is echoed": echoing(
        401, '{"errorCode":"401.002.01","errorMessage":"Invalid Access Token - ECHO"}'
    ),
    "refusal": echoing(400, '{"errorCode":"400.002.02","errorMessage":"Bad Request - Invalid ECHO"}'),
    "error": echoing(500, '{"errorCode":"500.003.1001","errorMessage":"ECHO"}'),
    "throttle": echoing(500, '{"errorCode":"500.003.02","errorMessage":"ECHO"}'),
    "fault": echoing(503, '{"fault":{"faultstring":"ECHO","detail":{"errorcode":"ECHO"}}}'),
    "echo as code": echoing(400, '{"errorCode":"ECHO","errorMessage":"ECHO"}'),
    "odd response code": echoing(200, '{"ResponseCode":"ECHO"}'),
    "no JSON": echoing(502, "<html>ECHO</html>"),
    "reset": scripted_server.reset,
}


def assert_no_canary(output: str, secrets: list[str]) -> None:
    assert [secret for secret in secrets if secret in output] == []


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS.keys())
async def test_no_answer_makes_a_secret_or_a_number_come_out(
    play: Play, server: ScriptedServer, base_url: str, certificate_pem: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(OAUTH, TokenDesk("canarytoken0a1b2c3d4e5f").grant)
    server.on(PAYMENT, play)
    settings = canary_settings(base_url, certificate_pem)
    rail = client.open_rail(settings, monotonic=time.monotonic)

    answer = await rail.submit_payout(instruction(msisdn=MSISDN), URLS)
    await rail.close()

    sent = json.loads(server.to(PAYMENT)[0].body)
    basic = base64.b64encode(b"canary-consumer-key:canary-consumer-secret").decode()
    output = "\n".join([repr(answer), str(answer), repr(rail), repr(settings), caplog.text])
    assert sent["PartyB"] == MSISDN
    assert_no_canary(output, [*OPEN_SECRETS, MSISDN, sent["SecurityCredential"], basic])


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS.keys())
async def test_no_answer_to_a_business_payment_or_a_question_makes_a_secret_come_out(
    play: Play, server: ScriptedServer, base_url: str, certificate_pem: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(OAUTH, TokenDesk("canarytoken0a1b2c3d4e5f").grant)
    paths = ["/mpesa/b2b/v1/paymentrequest", "/mpesa/transactionstatus/v1/query", "/mpesa/accountbalance/v1/query"]
    for path in paths:
        server.on(path, play)
    rail = client.open_rail(canary_settings(base_url, certificate_pem), monotonic=time.monotonic)

    answers = [
        await rail.submit_payout(instruction(payee=business()), URLS),
        await rail.query_payout(inquiry(), URLS),
        await rail.query_balance("600584", URLS),
    ]
    await rail.close()

    credentials_sent = [json.loads(server.to(path)[0].body)["SecurityCredential"] for path in paths]
    assert_no_canary(f"{answers!r} {caplog.text}", [*OPEN_SECRETS, MSISDN, *credentials_sent])


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS.keys())
async def test_no_answer_about_money_in_makes_a_secret_a_number_or_the_id_of_a_prompt_come_out(
    play: Play, server: ScriptedServer, base_url: str, certificate_pem: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(OAUTH, TokenDesk("canarytoken0a1b2c3d4e5f").grant)
    paths = [
        "/mpesa/stkpush/v1/processrequest",
        "/mpesa/stkpushquery/v1/query",
        "/mpesa/reversal/v1/request",
        "/mpesa/c2b/v2/registerurl",
        "/pulltransactions/v1/register",
        "/pulltransactions/v1/query",
    ]
    for path in paths:
        server.on(path, play)
    session = open_session(canary_settings(base_url, certificate_pem), monotonic=time.monotonic)
    rail = DarajaCollections(session, now=lambda: NOW)

    answers = [
        await rail.submit_prompt(prompt_instruction(payer=MSISDN), URLS),
        await rail.query_prompt(prompt_inquiry(checkout=CHECKOUT)),
        await rail.submit_reversal(reversal_instruction(), URLS),
        await rail.register_collections(Registration("600584", URLS.result_url, URLS.timeout_url)),
        await rail.register_pull("600584", nominated=Msisdn(MSISDN), callback_url=URLS.result_url),
        await rail.list_received("600584", since=SINCE, until=UNTIL, offset=0),
    ]
    await rail.close()

    prompted, asked, reversed_ = (json.loads(server.to(path)[0].body) for path in paths[:3])
    made = [prompted["Password"], asked["Password"], reversed_["SecurityCredential"]]
    assert prompted["PhoneNumber"] == MSISDN
    assert base64.b64decode(prompted["Password"]).startswith(b"600584canary-passkey2026")
    assert_no_canary(
        f"{answers!r} {rail!r} {session!r} {caplog.text}", [*OPEN_SECRETS, *made, MSISDN, MSISDN[3:], CHECKOUT]
    )


def test_messages_about_money_in_that_are_damaged_are_unreadable_without_quoting_them(
    collections: DarajaCollections,
) -> None:
    told = {"CheckoutRequestID": CHECKOUT, "MSISDN": MSISDN, "SecurityCredential": "canary-password", "Result": {}}
    body = json.dumps({**told, "Body": {"stkCallback": told}}).encode()

    for damaged in (body, body[:-1], body + b"\xff"):
        read = [
            collections.read_confirmation(damaged),
            collections.read_validation(damaged),
            collections.read_prompt_callback(damaged),
            collections.read_reversal_callback("result", damaged),
        ]
        assert_no_canary(repr(read), [CHECKOUT, MSISDN, MSISDN[3:], "canary-password"])


def test_what_a_provider_says_of_a_prompt_is_kept_without_numbers_and_tokens(collections: DarajaCollections) -> None:
    said = f"{MSISDN} refused at https://pay.daftari.example/c/{PATH_TOKEN} under {CHECKOUT}"

    for code in (1032, 4999, 7777):
        told = {"CheckoutRequestID": CHECKOUT, "ResultCode": code, "ResultDesc": said}
        callback = collections.read_prompt_callback(json.dumps({"Body": {"stkCallback": told}}).encode())
        assert isinstance(callback, PromptCallback)
        assert_no_canary(repr(callback), [CHECKOUT, MSISDN, MSISDN[3:], PATH_TOKEN])


async def test_an_oauth_refusal_that_echoes_the_key_is_kept_without_it(
    server: ScriptedServer, base_url: str, certificate_pem: bytes
) -> None:
    key = "K3yOfTheApp9xQ2mN7vB4cZ8"
    server.on(OAUTH, reply(401, json.dumps({"fault": {"faultstring": f"Invalid client identifier {key}"}}).encode()))
    settings = canary_settings(base_url, certificate_pem)
    rail = client.open_rail(settings, monotonic=time.monotonic)

    answer = await rail.submit_payout(instruction(), URLS)
    await rail.close()

    assert_no_canary(repr(answer), [key])


def test_a_timeout_echo_that_is_damaged_is_unreadable_without_quoting_it(rail: DarajaRail) -> None:
    body = json.dumps({"SecurityCredential": "canary-credential", "PartyB": MSISDN}).encode()

    for damaged in (body, body[:-1], body + b"\xff"):
        assert_no_canary(repr(rail.read_payout_callback("timeout", damaged)), ["canary-credential", MSISDN])
        assert_no_canary(repr(rail.read_query_callback("timeout", damaged)), ["canary-credential", MSISDN])
        assert_no_canary(repr(rail.read_balance_callback("timeout", damaged)), ["canary-credential", MSISDN])


def test_settings_grants_and_secrets_have_masked_reprs(certificate_pem: bytes) -> None:
    settings = canary_settings("https://api.example", certificate_pem)
    credential = credentials.security_credential(
        settings.initiator_password, credentials.certificate_key(certificate_pem)
    )
    grant = TokenGrant(Secret("canarytoken0a1b2c3d4e5f"), 3_599)

    output = (
        f"{settings!r} {settings} {settings.secrets!r} {credential!r} {credential} {grant!r} {settings.consumer_key:}"
    )

    assert_no_canary(output, [*OPEN_SECRETS, credential.reveal()])
