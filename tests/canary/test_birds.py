"""What is a canary and what only looks like one, and that no text of one is shown."""

from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canary.birds import (
    API_KEY,
    AUTHORIZATION,
    CREDENTIAL,
    HEXADECIMAL,
    MADE_HERE,
    MSISDN,
    WEBHOOK_SECRET,
    Canaries,
    masked,
)

numbers = st.from_regex(r"(\+?254|00254|0)[17][0-9]{8}", fullmatch=True)
around = st.text(st.characters(categories=["P", "S", "Z"], exclude_characters=".+"), max_size=20)
KEY = f"dft_0SC7NZRHXWNNY_{'ab' * 32}"


def kinds(text: str) -> list[str]:
    """What a text leaks."""
    return [leak.what for leak in Canaries().in_output(text)]


@given(around, numbers, around)
def test_a_number_is_found_in_every_form_and_between_any_signs(before: str, number: str, after: str) -> None:
    text = f"{before}{number}{after}"

    leaks = Canaries().in_output(text)

    assert [leak.what for leak in leaks] == [MSISDN]
    assert number[-8:] not in masked(text, leaks)


@pytest.mark.parametrize(
    "text",
    [
        "payout 882524075067447145", "2547****5678", "took 1.0712345678 s", "at 2547123456789", "a0712345678b",
        "254712345678.5", "version 0712", "dft_0SC7NZRHXWNNY", "whsec_***", "Bearer ***", "basic authentication",
        "A" * 339,
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"key {KEY}", API_KEY),
        (f"whsec_{base64.b64encode(bytes(range(200, 232))).decode()} is it", WEBHOOK_SECRET),
        ("authorization: Bearer a1b2c3d4e5f6g7h8", AUTHORIZATION),
        ("Basic ZGFmdGFyaTpzZWNyZXQ1", AUTHORIZATION),
        (f"credential={'Ab+/' * 86}==", CREDENTIAL),
        (f"/callbacks/7/daraja/result/{'0f' * 32} HTTP/1.1", HEXADECIMAL),
    ],
)
def test_each_form_is_told_once_by_its_kind(text: str, what: str) -> None:
    assert kinds(text) == [what]


@given(st.binary(min_size=32, max_size=32).filter(lambda value: len(set(value)) > 8), around, around)
def test_what_was_made_here_is_found_again_as_it_is_written_down(value: bytes, before: str, after: str) -> None:
    canaries = Canaries()
    canaries.know_bytes(value, MADE_HERE)

    for written in (value.hex(), base64.b64encode(value).decode()):
        assert MADE_HERE in {leak.what for leak in canaries.in_row(f"{before} {written} {after}")}


def test_hashes_in_rows_are_no_secrets() -> None:
    assert Canaries().in_row(secrets.token_hex(32)) == []


def test_a_leak_is_shown_with_every_other_one_masked() -> None:
    text = f"to 254712345678, later 0712345679, with {KEY} and no more"

    shown = masked(text, Canaries().in_output(text))

    assert shown == "to ****, later ****, with **** and no more"
