"""The vault's keys by themselves: what each can do, and what each cannot."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import TextInvalid, VaultSealed
from ledger.vault_keys import Mark, Opener, PrivateKey, PublicKey, Writer, parse_public_key

KEY, OTHER = PrivateKey(bytes(range(32))), PrivateKey(bytes(32))
MARK = Mark(bytes(range(32)))
FIELD = "DAFTARI_VAULT_PUBLIC_KEY"

keys = st.binary(min_size=32, max_size=32)
places = st.binary(max_size=60)


@given(keys, keys, places)
def test_what_a_public_key_wraps_its_private_key_opens_at_that_place(key: bytes, data_key: bytes, place: bytes) -> None:
    private, mark = PrivateKey(key), Mark(bytes(32))

    wrapped = Writer(private.public, mark).wrap(data_key, place=place)

    opener = Opener([OTHER, private], mark)
    assert opener.unwrap(wrapped, fingerprint=private.public.fingerprint, place=place) == data_key


@given(places, places)
def test_no_other_place_and_no_other_key_opens_it(place: bytes, elsewhere: bytes) -> None:
    wrapped = KEY.public.wrap(b"data key", place=place)

    with pytest.raises(InvalidTag):
        OTHER.unwrap(wrapped, place=place)
    if place != elsewhere:
        with pytest.raises(InvalidTag):
            KEY.unwrap(wrapped, place=elsewhere)


@given(st.integers(0, 111), st.integers(0, 7))
def test_a_turned_bit_anywhere_does_not_open(index: int, bit: int) -> None:
    writer, opener = Writer(KEY.public, MARK), Opener([KEY], MARK)
    wrapped = bytearray(writer.wrap(bytes(32), place=b"here"))
    assert opener.unwrap(bytes(wrapped), fingerprint=KEY.public.fingerprint, place=b"here") == bytes(32)
    wrapped[index] ^= 1 << bit

    # X25519 ignores the highest bit of a point; HPKE binds the point as it was written, so that this is caught too.
    with pytest.raises(VaultSealed):
        opener.unwrap(bytes(wrapped), fingerprint=KEY.public.fingerprint, place=b"here")


def test_a_row_of_a_key_that_is_not_there_is_told_so() -> None:
    wrapped = Writer(KEY.public, MARK).wrap(bytes(32), place=b"here")

    with pytest.raises(VaultSealed, match="has not the key"):
        Opener([OTHER], MARK).unwrap(wrapped, fingerprint=KEY.public.fingerprint, place=b"here")


def test_a_row_cannot_pass_for_one_of_the_time_of_one_key_for_all() -> None:
    wrapped = Writer(KEY.public, MARK).wrap(bytes(32), place=b"here")

    with pytest.raises(VaultSealed):
        Opener([KEY], MARK).unwrap(wrapped, fingerprint=KEY.symmetric_fingerprint, place=b"here")


@given(keys)
def test_a_public_key_is_read_as_it_is_printed(key: bytes) -> None:
    public = PrivateKey(key).public

    assert parse_public_key(public.text, field=FIELD) == public


@pytest.mark.parametrize(
    "text",
    ["", "vpk_", bytes(range(32)).hex(), KEY.public.raw.hex(), f"{KEY.public.text}0", KEY.public.text[:-1],
     KEY.public.text.upper(), f" {KEY.public.text}", PublicKey(bytes(32)).text],
    ids=["nothing", "no digits", "a private key", "no prefix", "too long", "too short", "shouted", "a space", "no key"],
)  # fmt: skip
def test_what_is_no_public_key_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(TextInvalid, match="daftari vault key") as caught:
        parse_public_key(text, field=FIELD)

    assert caught.value.field == FIELD
    assert not any(digits in str(caught.value) for digits in (bytes(range(32)).hex(), KEY.public.raw.hex()))


def test_every_key_and_every_use_of_it_is_known_by_a_fingerprint_of_its_own() -> None:
    again = PrivateKey(bytes(range(32)))

    assert again.public == KEY.public
    assert again.symmetric_fingerprint == KEY.symmetric_fingerprint
    assert len(Opener([KEY, OTHER], MARK).fingerprints()) == 4


def test_requests_and_fingerprints_of_one_installation_say_nothing_about_anothers() -> None:
    other = Mark(bytes(32))

    assert MARK.content_of("a/b", "c") == MARK.content_of("a/b", "c") != other.content_of("a/b", "c")
    assert MARK.content_of("a/b", "c") != MARK.content_of("a/bc", "")
    assert MARK.fingerprint_of("c", name=b"1/a") != other.fingerprint_of("c", name=b"1/a")
