"""Free text: bounded in characters, and free of what PostgreSQL or a terminal would choke on."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import TextInvalid
from ledger.text import check_facts, check_text

allowed = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\t\n"), min_size=1, max_size=50)
FORBIDDEN = [
    chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cs"} and chr(code) not in "\t\n"
]


@given(allowed)
def test_accepts_text_of_every_script(text: str) -> None:
    check_text(text, field="narrative", length_max=50)


@given(st.text(max_size=5), st.sampled_from(FORBIDDEN), st.text(max_size=5))
def test_refuses_every_control_character_and_lone_surrogate(before: str, forbidden: str, after: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        check_text(before + forbidden + after, field="narrative", length_max=50)

    assert caught.value.field == "narrative"


@pytest.mark.parametrize("forbidden", ["\x00", "\x1b", "\r", "\x7f", "\x80", "\x9b", "\x9f", "\ud800"])
def test_refuses_what_postgresql_or_a_terminal_would_choke_on(forbidden: str) -> None:
    with pytest.raises(TextInvalid, match="control characters"):
        check_text(f"paid{forbidden}", field="narrative", length_max=50)


@pytest.mark.parametrize("character", ["a", "\u00e9", "\u4e2d", "\U0001f4b0"])
def test_counts_characters_and_not_bytes(character: str) -> None:
    check_text(character * 10, field="reference", length_max=10)
    for wrong in (character * 11, ""):
        with pytest.raises(TextInvalid, match="1 to 10 characters"):
            check_text(wrong, field="reference", length_max=10)


def test_an_entry_needs_no_facts() -> None:
    check_facts(None)
    check_facts({})
    check_facts({f"fact {number}": "x" * 200 for number in range(32)})


@pytest.mark.parametrize(
    "facts",
    [{f"fact {number}": "x" for number in range(33)}, {"": "x"}, {"name": ""}, {"n" * 65: "x"}, {"name": "x" * 201},
     {"name\x00": "x"}, {"name": "\x00"}],
)  # fmt: skip
def test_refuses_facts_that_are_many_long_empty_or_binary(facts: dict[str, str]) -> None:
    with pytest.raises(TextInvalid) as caught:
        check_facts(facts)

    assert caught.value.field == "facts"
