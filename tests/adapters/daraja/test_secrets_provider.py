"""The rail asks for its secrets when a call needs them, and sends nothing when they cannot be had."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.daraja.client import DarajaRail
from adapters.daraja.credentials import DarajaAccess, DarajaSecrets
from adapters.daraja.session import connect_session
from adapters.transport import Secret
from ledger.errors import DatabaseUnavailable
from ledger.outbox.instruction import Acknowledged, NotSent
from tests.adapters.daraja.examples import URLS, example, inquiry, instruction
from tests.adapters.daraja.scripted_server import ScriptedServer, TokenDesk, reply

OAUTH = "/oauth/v1/generate"
PAYMENT = "/mpesa/b2c/v3/paymentrequest"


class Safe:
    """A store of secrets that can be changed, and shut."""

    def __init__(self) -> None:
        self.password = "first-password"
        self.key = "first-key"
        self.shut = False
        self.asked = 0

    async def daraja_secrets(self) -> DarajaSecrets:
        self.asked += 1
        if self.shut:
            raise DatabaseUnavailable("the safe is shut")
        return DarajaSecrets(Secret(self.key), Secret("secret"), Secret(self.password))


@pytest.fixture
def safe() -> Safe:
    return Safe()


@pytest.fixture
async def rail(server: ScriptedServer, base_url: str, certificate_pem: bytes, safe: Safe) -> AsyncIterator[DarajaRail]:
    server.on(OAUTH, TokenDesk().grant)
    server.on(PAYMENT, reply(200, example("b2c-response.json")))
    access = DarajaAccess(
        base_url=base_url, initiator_name="daftari_api", certificate=certificate_pem, shortcode="600584"
    )
    rail = DarajaRail(connect_session(access, secrets=safe, monotonic=time.monotonic))
    yield rail
    await rail.close()


def passwords(server: ScriptedServer, key: rsa.RSAPrivateKey) -> list[str]:
    sent = [json.loads(request.body)["SecurityCredential"] for request in server.to(PAYMENT)]
    return [key.decrypt(base64.b64decode(credential), padding.PKCS1v15()).decode() for credential in sent]


async def test_opening_a_rail_asks_for_no_secret(rail: DarajaRail, safe: Safe) -> None:
    assert safe.asked == 0


async def test_a_changed_password_counts_from_the_next_call(
    server: ScriptedServer, rail: DarajaRail, safe: Safe, private_key: rsa.RSAPrivateKey
) -> None:
    await rail.submit_payout(instruction(), URLS)
    safe.password = "second-password"

    await rail.submit_payout(instruction(), URLS)

    assert passwords(server, private_key) == ["first-password", "second-password"]


async def test_a_changed_key_counts_from_the_next_token(server: ScriptedServer, rail: DarajaRail, safe: Safe) -> None:
    desk = TokenDesk("another")
    server.on(OAUTH, desk.grant)
    server.on(
        PAYMENT,
        desk.guard(
            reply(200, example("b2c-response.json")),
            refusal=reply(401, example("error-invalid-access-token-401.json")),
        ),
    )
    await rail.submit_payout(instruction(), URLS)
    safe.key = "second-key"
    desk.revoke()

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, Acknowledged)
    basic = [request.headers["authorization"].removeprefix("Basic ") for request in server.to(OAUTH)]
    assert [base64.b64decode(one) for one in basic] == [b"first-key:secret", b"second-key:secret"]


async def test_without_secrets_nothing_is_sent_and_the_reason_is_kept(
    server: ScriptedServer, rail: DarajaRail, safe: Safe
) -> None:
    safe.shut = True

    answers = [
        await rail.submit_payout(instruction(), URLS),
        await rail.query_payout(inquiry(), URLS),
        await rail.query_balance("600584", URLS),
    ]

    assert answers == [NotSent("the secrets cannot be had: the safe is shut")] * 3
    assert not server.received


async def test_a_password_of_no_use_means_not_sent(server: ScriptedServer, rail: DarajaRail, safe: Safe) -> None:
    safe.password = "canary" * 100

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, NotSent)
    assert "canary" not in repr(answer)
    assert not server.received


async def test_the_rail_holds_no_secret_between_calls(rail: DarajaRail, safe: Safe) -> None:
    await rail.submit_payout(instruction(), URLS)
    asked = safe.asked

    await rail.submit_payout(instruction(), URLS)

    # The token is still good, so the second call needs the password alone.
    assert (asked, safe.asked) == (2, 3)
