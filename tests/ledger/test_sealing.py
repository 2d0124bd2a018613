"""Sealing: what was sealed opens with the same secret, purpose and place, and with nothing else."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from ledger.sealing import SECRET_BYTES, Sealer, derive_key

SECRET = bytes(range(SECRET_BYTES))
SEALER = Sealer(SECRET, purpose="tests")


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_opens_what_it_sealed(plain: bytes, place: bytes) -> None:
    assert SEALER.open(SEALER.seal(plain, bound_to=place), bound_to=place) == plain


@given(st.binary(max_size=40), st.data())
def test_opens_nothing_that_was_changed_in_one_bit(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(SEALER.seal(plain, bound_to=b"row 1"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(InvalidTag):
        SEALER.open(bytes(sealed), bound_to=b"row 1")


@given(st.binary(max_size=20), st.data())
def test_opens_nothing_that_was_cut_short(plain: bytes, data: st.DataObject) -> None:
    sealed = SEALER.seal(plain, bound_to=b"")

    with pytest.raises(InvalidTag):
        SEALER.open(sealed[: data.draw(st.integers(0, len(sealed) - 1))], bound_to=b"")


def test_opens_nothing_of_another_row_purpose_or_secret() -> None:
    sealed = SEALER.seal(b"254712345678", bound_to=b"row 1")

    strangers = [
        (SEALER, b"row 2"),
        (SEALER, b""),
        (Sealer(SECRET, purpose="other"), b"row 1"),
        (Sealer(bytes(SECRET_BYTES), purpose="tests"), b"row 1"),
    ]
    for sealer, place in strangers:
        with pytest.raises(InvalidTag):
            sealer.open(sealed, bound_to=place)


def test_the_same_text_never_seals_the_same_way_twice() -> None:
    sealed = {SEALER.seal(b"254712345678", bound_to=b"") for _ in range(100)}

    assert len({one[:12] for one in sealed}) == 100
    assert all(b"254712345678" not in one for one in sealed)


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {derive_key(SECRET, purpose=purpose) for purpose in ("a", "b", "party msisdn index")}

    assert len(keys | {SECRET}) == 4
    assert {len(key) for key in keys} == {32}
    assert derive_key(SECRET, purpose="a") == derive_key(SECRET, purpose="a")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_secret_of_another_length_is_a_bug(length: int) -> None:
    with pytest.raises(AssertionError):
        derive_key(bytes(length), purpose="tests")


def test_a_sealer_shows_no_key() -> None:
    assert repr(SEALER) == str(SEALER) == "Sealer(...)"
