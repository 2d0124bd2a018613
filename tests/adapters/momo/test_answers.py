"""What each documented answer means; whatever is not documented proves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.momo import oauth
from adapters.momo.answers import Meaning, read_answer
from adapters.transport import Secret, TokenGrant, TokenUnavailable
from tests.adapters.momo.examples import example, index

# What INDEX.json calls the meaning of an answer, and what of it can be seen at once.
MEANINGS = {
    "PENDING": {Meaning.TAKEN_IN, Meaning.TOLD},
    "QUERY_STATUS": {Meaning.DUPLICATE},
    "REFUSED_CONFIRM_BY_GET": {Meaning.REFUSED_ON_500},
    "UNKNOWN_QUERY_STATUS": {Meaning.UNPROVEN},
    "REJECTED_NO_EFFECT": {Meaning.REFUSED},
    "AUTH_FAILED": {Meaning.ACCESS_REFUSED},
    "RETRY_LATER": {Meaning.THROTTLED},
    "SUCCEEDED": {Meaning.TOLD},
    "FAILED": {Meaning.TOLD},
    "NOT_FOUND": {Meaning.MISSING},
    "UNKNOWN_HOLDER": {Meaning.MISSING},
    "ACTIVE": {Meaning.TOLD},
    "INACTIVE": {Meaning.TOLD},
    "OK": {Meaning.TOLD},
    # Any error will do: a balance that is not told is simply asked for again.
    "UNAVAILABLE": {Meaning.UNPROVEN, Meaning.REFUSED_ON_500},
}
OURS = ("transfer", "requesttopay", "balance", "accountholder.active")
ANSWERS = [
    entry for entry in index() if entry["direction"] == "response" and entry["kind"].removesuffix(".status") in OURS
]


@pytest.mark.parametrize("entry", ANSWERS, ids=lambda entry: entry["file"])
def test_each_example_means_what_the_index_says(entry: dict[str, str]) -> None:
    shown = example(entry["file"].removesuffix(".http"))

    assert read_answer(shown.status, shown.body).meaning in MEANINGS[entry["expect"]]


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (400, b"<html>Bad Request</html>", Meaning.UNPROVEN),
        (401, b"", Meaning.BEARER_REFUSED),
        (401, b'{"statusCode":401,"message":"Unauthorized"}', Meaning.BEARER_REFUSED),
        (403, b"<html>Microsoft-Azure-Application-Gateway/v2</html>", Meaning.ACCESS_REFUSED),
        (403, b"<html>nginx</html>", Meaning.UNPROVEN),
        (404, b'{"statusCode":404,"message":"Resource not found"}', Meaning.UNPROVEN),
        (409, b'{"code":"SOMETHING_ELSE"}', Meaning.UNPROVEN),
        (500, b'{"code":"SOMETHING_NEW","message":"?"}', Meaning.UNPROVEN),
        (500, b"", Meaning.UNPROVEN),
        (503, b'{"code":"NOT_ALLOWED"}', Meaning.UNPROVEN),
        (200, b"", Meaning.UNPROVEN),
        (200, b"<html></html>", Meaning.UNPROVEN),
        (201, b"", Meaning.UNPROVEN),
        (202, b"anything", Meaning.TAKEN_IN),
        (302, b"", Meaning.UNPROVEN),
    ],
)
def test_what_is_not_documented_proves_nothing(status: int, body: bytes, meaning: Meaning) -> None:
    assert read_answer(status, body).meaning is meaning


@given(st.integers(min_value=100, max_value=599), st.binary(max_size=200))
def test_no_bytes_raise(status: int, body: bytes) -> None:
    read_answer(status, body)
    oauth.read_token_answer(status, body)


def test_what_is_kept_of_an_answer_shows_no_number() -> None:
    answer = read_answer(500, b'{"code":"PAYEE_NOT_FOUND","message":"no wallet for 250781234567"}')

    assert "250781234567" not in str(answer)


def test_the_token_example_grants_an_hour() -> None:
    shown = example("token_response_200")

    granted = oauth.read_token_answer(shown.status, shown.body)

    assert granted == TokenGrant(Secret(shown.document["access_token"]), 3_600)


@pytest.mark.parametrize(
    "name",
    ["token_response_400_target_environment", "token_response_401_invalid_client", "token_response_401_login_failed"],
)
def test_a_refused_token_is_none(name: str) -> None:
    shown = example(name)

    refused = oauth.read_token_answer(shown.status, shown.body)

    assert isinstance(refused, TokenUnavailable)
    assert shown.document["error"] in refused.reason


@pytest.mark.parametrize("body", [b"", b"{}", b'{"access_token":""}', b'{"access_token":"a\\r\\nX-Evil: 1"}'])
def test_a_token_that_cannot_be_a_header_is_none(body: bytes) -> None:
    assert isinstance(oauth.read_token_answer(200, body), TokenUnavailable)


def test_a_user_id_goes_raw_into_the_header() -> None:
    assert oauth.authorization(Secret("dXNlcg==:key")) == "Basic ZFhObGNnPT06a2V5"
