"""The token endpoint: who gets a token, in which words the others are refused, and how long one lasts."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from adapters.sandbox.settings import ExpiresIn, SandboxSettings
from tests.adapters.sandbox.rig import Rig, example, running, shape_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/oauth/v1/generate"
GRANT = {"grant_type": "client_credentials"}


async def test_the_token_answer_has_the_documented_shape(rig: Rig) -> None:
    response = await rig.authenticate()

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert shape_of(response.content) == shape_of(example("oauth-token-response.json"))
    assert response.json()["expires_in"] == "3599"


async def test_expires_in_can_be_an_integer(settings: SandboxSettings) -> None:
    async with running(replace(settings, expires_in=ExpiresIn.INTEGER)) as rig:
        response = await rig.authenticate()

    assert response.json()["expires_in"] == 3599


async def test_a_wrong_secret_is_answered_400_with_nothing_in_it(rig: Rig) -> None:
    response = await rig.authenticate(secret="wrong")

    assert (response.status_code, response.content) == (400, b"")


async def test_a_wrong_key_is_answered_400_with_nothing_in_it(rig: Rig) -> None:
    response = await rig.http.get(PATH, params=GRANT, auth=("wrong", rig.settings.consumer_secret))

    assert (response.status_code, response.content) == (400, b"")


@pytest.mark.parametrize("parameters", [{}, {"grant_type": "password"}], ids=["missing", "wrong"])
async def test_another_grant_type_is_refused(rig: Rig, parameters: dict[str, str]) -> None:
    auth = (rig.settings.consumer_key, rig.settings.consumer_secret)

    response = await rig.http.get(PATH, params=parameters, auth=auth)

    assert_refused_as(response, "oauth-error-invalid-grant.json", status=400)


@pytest.mark.parametrize("header", ["", "Bearer abc", "Basic", "Basic ???", "Basic bm9jb2xvbg==", "Digest a=b"])
async def test_another_kind_of_authentication_is_refused(rig: Rig, header: str) -> None:
    response = await rig.http.get(PATH, params=GRANT, headers={"Authorization": header})

    assert_refused_as(response, "oauth-error-invalid-auth-type.json", status=400)


async def test_a_post_for_a_token_names_the_method(rig: Rig) -> None:
    response = await rig.http.post(PATH, params=GRANT)

    assert response.status_code == 405
    assert response.json()["errorMessage"] == "POST Method Not Allowed"


async def test_a_new_token_ends_the_one_before(rig: Rig) -> None:
    await rig.authenticate()
    first = rig.access_token
    await rig.authenticate()
    second = rig.access_token

    rig.access_token = first
    with_the_first = await rig.pay()
    rig.access_token = second
    with_the_second = await rig.pay()

    assert (with_the_first.status_code, with_the_second.status_code) == (401, 200)


async def test_a_token_lasts_its_hour_and_no_longer(settings: SandboxSettings) -> None:
    async with running(settings) as rig:
        rig.clock.advance(seconds=3598)
        in_time = await rig.pay()
        rig.clock.advance(seconds=1)
        too_late = await rig.pay()

    assert (in_time.status_code, too_late.status_code) == (200, 401)


async def test_the_control_api_can_end_the_token(rig: Rig) -> None:
    await rig.authenticate()

    await rig.http.post("/sandbox/tokens/expire")
    refused = await rig.pay()
    await rig.authenticate()
    accepted = await rig.pay()

    assert (refused.status_code, accepted.status_code) == (401, 200)


def assert_refused_as(response: httpx.Response, name: str, *, status: int) -> None:
    """The example's status, keys, code and text; only the request id is the sandbox's own."""
    documented = httpx.Response(200, content=example(name)).json()
    assert response.status_code == status
    assert list(response.json()) == list(documented)
    assert response.json() == documented | {"requestId": response.json()["requestId"]}
