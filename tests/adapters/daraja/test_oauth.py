"""OAuth documents: the header that asks, and what each answer grants."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.daraja import oauth
from adapters.daraja.credentials import DarajaSettings
from adapters.transport import Secret, TokenGrant, TokenUnavailable
from tests.adapters.daraja.examples import example, status_of


def test_the_header_is_basic_with_key_and_secret(settings: DarajaSettings) -> None:
    scheme, _, encoded = oauth.authorization(settings.secrets).partition(" ")

    assert scheme == "Basic"
    assert base64.b64decode(encoded) == b"consumer-key:consumer-secret"


def test_the_example_grants_its_token_for_its_hour() -> None:
    answer = oauth.read_token_answer(200, example("oauth-token-response.json"))

    assert answer == TokenGrant(Secret("9a1e20bfa97512822af51f144d76"), 3_599)


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        ("3599", 3_599),
        (3599, 3_599),
        ("120", 120),
        ("soon", 3_600),
        (-5, 3_600),
        (None, 3_600),
        (1.5, 3_600),
        (10**9, 3_600),
    ],
)
def test_the_lifetime_may_be_a_string_a_number_or_nonsense(expires_in: object, seconds: int) -> None:
    body = json.dumps({"access_token": "t", "expires_in": expires_in}).encode()

    assert oauth.read_token_answer(200, body) == TokenGrant(Secret("t"), seconds)


def test_a_missing_lifetime_is_taken_for_the_usual_hour() -> None:
    assert oauth.read_token_answer(200, b'{"access_token": "t"}') == TokenGrant(Secret("t"), 3_600)


@pytest.mark.parametrize("name", ["oauth-error-invalid-auth-type.json", "oauth-error-invalid-grant.json"])
def test_a_documented_refusal_gives_its_code(name: str) -> None:
    answer = oauth.read_token_answer(status_of(name), example(name))

    assert isinstance(answer, TokenUnavailable)
    assert json.loads(example(name))["errorCode"] in answer.reason


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (200, b"{}"),
        (200, b'{"access_token": ""}'),
        (200, b'{"access_token": null}'),
        (200, b'{"access_token": "a\\r\\nX-Injected: 1"}'),
        (503, b"<html></html>"),
        (302, b""),
    ],
)
def test_anything_else_is_no_token(status: int, body: bytes) -> None:
    assert isinstance(oauth.read_token_answer(status, body), TokenUnavailable)


@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(status: int, body: bytes) -> None:
    assert isinstance(oauth.read_token_answer(status, body), TokenUnavailable)
