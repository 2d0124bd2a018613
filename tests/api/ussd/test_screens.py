"""A screen: whatever is to be said, a handset can draw it and it fits."""

from __future__ import annotations

import string
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ussd.screens import Screen, cut, fitting, fold, width
from api.ussd.texts import OWN_NAMES, TEXTS, Language, Text, language_of, say

# The longest that stands in a text: names of 30 characters, amounts of ten million, numbers with their middle hidden.
WIDEST = {
    "name": "N" * 30,
    "amount": "KES 10,000,000.00",
    "least": "KES 1,000.00",
    "most": "KES 10,000,000.00",
    "currency": "KES",
    "who": "2547****5678",
}


@given(st.text(max_size=400), st.booleans(), st.integers(min_value=120, max_value=182))
def test_any_text_becomes_a_screen_that_fits(text: str, ends: bool, characters_max: int) -> None:
    body = Screen(text, ends=ends).render(characters_max=characters_max).decode()

    word, _, shown = body.partition(" ")
    assert word == ("END" if ends else "CON")
    assert width(shown) <= characters_max
    assert fold(shown) == shown


@given(st.text(alphabet=string.ascii_letters + string.digits + " .,\n", max_size=182))
def test_plain_text_that_fits_is_shown_as_it_is(text: str) -> None:
    assert Screen(text).render() == f"CON {text}".encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("código", "codigo"),
        ("Língua à é", "Lingua à é"),
        ("l\u2019eau", "l?eau"),
        ("日", "?"),
        ("ﬁn", "fin"),
        ("[x]", "[x]"),
    ],
)
def test_letters_that_the_alphabet_lacks_lose_their_accent_or_become_a_question_mark(text: str, shown: str) -> None:
    assert fold(text) == shown


def test_what_counts_double_is_counted_double() -> None:
    assert width("[a]") == 5
    assert cut("[[[[[[", 8) == "[[..."


@given(st.text(max_size=80), st.lists(st.text(max_size=60), max_size=12))
def test_the_lines_that_fit_do_fit_and_the_next_does_not(head: str, lines: list[str]) -> None:
    count = fitting(head, lines)

    def taken(number: int) -> int:
        return width(fold("\n".join((head, *lines[:number]))))

    assert count == 0 or taken(count) <= 182
    assert count == len(lines) or taken(count + 1) > 182


def test_every_text_stands_in_every_language_with_the_same_values_and_fits() -> None:
    for language, text in product(Language, Text):
        fields = {field for _, field, _, _ in string.Formatter().parse(TEXTS[language][text]) if field}

        assert fields == {f for _, f, _, _ in string.Formatter().parse(TEXTS[Language.ENGLISH][text]) if f}, (
            language,
            text,
        )
        assert width(fold(say(language, text, **WIDEST))) <= 120, (language, text)
        assert fold(TEXTS[language][text]).count("?") == TEXTS[language][text].count("?"), (language, text)


@pytest.mark.parametrize("language", Language)
def test_the_first_menu_fits_with_a_complaint_above_it(language: Language) -> None:
    items = [Text.REDEEM, Text.BALANCE, Text.ASK_LOAN, Text.APPROVE_LOANS, Text.LANGUAGE]
    lines = [say(language, Text.NOT_A_CHOICE), say(language, Text.WELCOME, name=WIDEST["name"])]
    lines += [f"1. {say(language, one)}" for one in items]

    assert width(fold("\n".join(lines))) <= 182


def test_callers_are_spoken_to_in_the_language_of_their_country_and_else_as_is_set() -> None:
    spoken = [
        language_of(digits, otherwise=Language.ENGLISH) for digits in ("250781234567", "258841234567", "447700900000")
    ]

    assert spoken == [Language.KINYARWANDA, Language.PORTUGUESE, Language.ENGLISH]
    assert set(OWN_NAMES) == set(Language)
