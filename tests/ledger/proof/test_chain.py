"""Digests, marks and Merkle paths: pure rules, with any documents."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import TextInvalid
from ledger.proof.chain import (
    HEADER,
    LINE,
    changed_fields,
    digest_of,
    marks_of,
    merkle_path,
    merkle_root,
    moment_text,
    root_by_path,
)
from ledger.proof.keys import SealKey, parse_seal_key

VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=12)
LINKS = st.fixed_dictionaries({"original_line": st.integers(1, 9), "amount": st.integers(1, 10**9)})
LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """With the fields of an entry, and anything in them."""
    count = draw(st.integers(2, 4))
    lines = [{name: draw(VALUES) for name in LINE} | {"line": number} for number in range(1, count + 1)]
    header = {name: draw(VALUES) for name in HEADER}
    return header | {"postings": lines, "reversals": draw(st.lists(LINKS, max_size=2))}


@given(documents(), st.sampled_from(HEADER), VALUES)
def test_whatever_of_the_header_changes_changes_the_digest(document: dict[str, Any], name: str, value: object) -> None:
    changed = document | {name: value}

    assert (digest_of("kenya", changed) == digest_of("kenya", document)) == (value == document[name])


@given(documents(), st.sampled_from(LINE[1:]), st.integers(-(2**40), 2**40))
def test_a_changed_line_is_named_by_the_marks(document: dict[str, Any], name: str, value: int) -> None:
    changed = copy.deepcopy(document)
    changed["postings"][1][name] = value

    found = changed_fields(changed, marks_of(document))

    # Two bytes of a mark are the same once in 65,536 times.
    expected = [] if document["postings"][1][name] == value else [f"posting 2: {name}"]
    assert found == expected
    assert (digest_of("kenya", changed) == digest_of("kenya", document)) == (not expected)


@given(documents())
def test_a_deleted_and_an_inserted_line_are_named(document: dict[str, Any]) -> None:
    fewer = document | {"postings": document["postings"][1:]}
    more = document | {"postings": [*document["postings"], document["postings"][0] | {"line": 9}]}

    assert changed_fields(fewer, marks_of(document)) == ["posting 1 deleted"]
    assert changed_fields(more, marks_of(document)) == ["posting 9 inserted"]


@given(documents(), st.binary(max_size=40))
def test_marks_that_somebody_wrote_over_name_nothing_and_break_nothing(document: dict[str, Any], marks: bytes) -> None:
    assert isinstance(changed_fields(document, marks), list)


def test_an_entry_of_another_ledger_has_another_digest() -> None:
    assert digest_of("kenya", {}) != digest_of("rwanda", {})


@given(LEAVES, st.data())
def test_a_path_leads_to_the_root_from_its_own_leaf_alone(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = merkle_path(leaves, index), merkle_root(leaves)

    assert root_by_path(leaves[index], index=index, count=len(leaves), path=path) == root
    assert root_by_path(b"x" * 32, index=index, count=len(leaves), path=path) != root
    assert root_by_path(leaves[index], index=index, count=len(leaves), path=[*path, b"x" * 32]) is None
    assert len(path) <= 6


def rfc_root(leaves: list[bytes]) -> bytes:
    """As RFC 6962 section 2.1 says it: split at the largest power of two below the count."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + rfc_root(leaves[:split]) + rfc_root(leaves[split:])).digest()


@given(LEAVES)
def test_the_root_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == rfc_root(leaves)


def test_a_moment_has_one_text_and_what_is_none_stays() -> None:
    assert moment_text("2026-11-29T12:00:00+03:00") == "2026-11-29T09:00:00.000000+00:00"
    assert [moment_text(text) for text in ("infinity", "2026-11-29T12:00:00")] == ["infinity", "2026-11-29T12:00:00"]


def test_another_key_has_not_signed_it() -> None:
    key, other = SealKey(bytes(32)), SealKey(bytes([1] * 32))
    signature = key.sign(b"text")

    assert key.public.signed(b"text", signature)
    assert not key.public.signed(b"texts", signature)
    assert not other.public.signed(b"text", signature)
    assert not key.public.signed(b"text", signature[:-1])
    assert key.public.fingerprint != other.public.fingerprint
    assert parse_seal_key(key.public.text, field="key") == key.public


@pytest.mark.parametrize("text", ["", "spk_", "00" * 32, "spk_" + "00" * 32])
def test_what_is_no_public_key_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(TextInvalid) as refused:
        parse_seal_key(text, field="key")

    assert refused.value.message == "give as key what `daftari proof key` prints: spk_ and 43 characters"
