"""What payers type: compared without what does not count, shown without a number, sealed to its row."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.collections.reference import SHOWN_LENGTH_MAX, ReceiptKeys, compared, payer_shown, shown
from ledger.outbox.collecting import Payer, PayerForm
from tests.ledger.collections.till import KEYS

HIDDEN_MIN = 3
words = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), max_size=30)
separators = st.sampled_from(["", " ", "  ", "-", ".", "/", "_", ",", "(", ") ", "\u2013", "\u00a0", "*"])
numbers = st.text("0123456789", min_size=9, max_size=15)
rows = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
payers = st.none() | st.builds(Payer, st.sampled_from(PayerForm), st.text(max_size=20), st.text(max_size=20))


@given(st.text(max_size=80))
@example("İ1")
@example("\u1e9e")
def test_comparing_twice_is_comparing_once(typed: str) -> None:
    once = compared(typed)

    assert compared(once) == once
    assert once.isalnum() or once == ""


@given(words)
@example("Straße 7")
@example("İ1")
def test_case_does_not_count(typed: str) -> None:
    assert compared(typed.lower()) == compared(typed.upper()) == compared(typed)


@given(st.lists(st.text("ABCXYZ0189", max_size=4), max_size=6), st.data())
def test_spaces_and_punctuation_do_not_count(parts: list[str], data: st.DataObject) -> None:
    typed = "".join(part + data.draw(separators) for part in parts)

    assert compared(typed) == "".join(parts)


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd"]), max_size=30))
@example("\u0434\u043e\u043c7")
@example("CAF\u00c9")
def test_no_letter_or_digit_of_any_script_vanishes(typed: str) -> None:
    """Or money for one would go to another."""
    assert len(compared(typed)) >= len(typed)


@given(
    st.lists(st.tuples(numbers, separators, st.sampled_from(["", "Rent ", "no."])), min_size=1, max_size=2), separators
)
def test_no_number_of_nine_digits_or_more_can_be_read_off_however_it_is_divided(
    typed: list[tuple[str, str, str]], between: str
) -> None:
    text = between.join(word + separator.join(number) for number, separator, word in typed)

    seen = digits_of(shown(text))

    for number, _, _ in typed:
        assert number not in seen
        assert all(number[start : start + 9] not in seen for start in range(len(number) - 8))


@given(st.text(max_size=80))
def test_what_is_shown_is_short_printable_and_without_a_run_of_nine_digits(typed: str) -> None:
    text = shown(typed)

    assert len(text) <= SHOWN_LENGTH_MAX
    assert text.isprintable()
    assert longest_run(text) < 7


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("AMINA-7", "AMINA-7"),
        ("INV 2026/14", "INV 2026/14"),
        ("254712345678", "2547****678"),
        ("0712 345 678", "0712****678"),
        ("Rent 0712-345-678 B4", "Rent 0712****678 B4"),
        ("0712  345  678", "0712****678"),
        ("0712/345/678", "0712****678"),
        ("071*2345678", "0712****678"),
        ("\uff10\uff17\uff11\uff12345678", "\uff10\uff17\uff11\uff12****678"),
        ("712345678", "71****"),
        ("12345678", "12****"),
        ("2547*****678", "2547*****678"),
        ("2547 ***** 126", "2547 ***** 126"),
    ],
)
def test_a_number_keeps_its_ends_and_other_words_stay(typed: str, text: str) -> None:
    assert shown(typed) == text


@given(numbers, st.sampled_from(PayerForm), st.text(max_size=20))
def test_a_payer_is_shown_without_a_number_to_call_in_every_form(number: str, form: PayerForm, name: str) -> None:
    text = payer_shown(Payer(form, number, name))

    assert len(digits_of(text)) <= len(number) - HIDDEN_MIN
    assert (text == "") == (form is PayerForm.HASHED)


def test_of_nobody_nothing_is_shown() -> None:
    assert payer_shown(None) == ""
    assert payer_shown(Payer(PayerForm.MASKED, "2547*****126")) == "2547*****126"


@given(payers, st.text(max_size=64), rows)
def test_what_was_sealed_is_opened_as_it_was_told(payer: Payer | None, typed: str, row: tuple[int, int]) -> None:
    sealed = KEYS.seal(payer, typed, ledger_id=row[0], receipt_id=row[1])

    assert KEYS.open(sealed, ledger_id=row[0], receipt_id=row[1]) == (payer, typed)


@given(payers, st.text(max_size=64), rows, rows)
def test_what_was_sealed_opens_for_its_own_row_alone(
    payer: Payer | None, typed: str, row: tuple[int, int], other: tuple[int, int]
) -> None:
    sealed = KEYS.seal(payer, typed, ledger_id=row[0], receipt_id=row[1])
    rows_of_others = {other, (row[0] + 1, row[1]), (row[0], row[1] ^ 1)} - {row}

    for ledger_id, receipt_id in rows_of_others:
        with pytest.raises(InvalidTag):
            KEYS.open(sealed, ledger_id=ledger_id, receipt_id=receipt_id)
    with pytest.raises(InvalidTag):
        ReceiptKeys(bytes(32)).open(sealed, ledger_id=row[0], receipt_id=row[1])


@given(words, st.integers(1, 2**31 - 1))
def test_a_reference_is_found_in_its_ledger_alone_and_by_who_has_the_secret(typed: str, ledger_id: int) -> None:
    index = KEYS.index(typed, ledger_id=ledger_id)

    assert (index is None) == (compared(typed) == "")
    assert index == KEYS.index(f" {typed.lower()}.", ledger_id=ledger_id)
    if index is not None:
        assert index != KEYS.index(typed, ledger_id=ledger_id - 1)
        assert index != ReceiptKeys(bytes(32)).index(typed, ledger_id=ledger_id)


def digits_of(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())


def longest_run(text: str) -> int:
    """How many digits follow each other at most."""
    return max((len(run) for run in "".join(c if c.isdecimal() else " " for c in text).split()), default=0)
