"""The MSISDN: read in every spelling of the international form, shown in none."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from ledger.errors import MsisdnInvalid
from ledger.msisdn import Msisdn, parse_msisdn

digits = st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True)


def _examples() -> list[phonenumbers.PhoneNumber]:
    found = [
        phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS - {"TK"})  # Tokelau's numbers have 7 digits
    ]
    return [number for number in found if number is not None]


EXAMPLES = _examples()


@given(digits)
def test_no_way_of_showing_it_shows_the_number(number: str) -> None:
    msisdn = Msisdn(number)

    shown = [str(msisdn), repr(msisdn), ascii(msisdn), f"{msisdn}", f"{msisdn!r}", f"{[msisdn]}", f"{(msisdn,)}"]
    shown += [str({msisdn: msisdn}), "%s %r" % (msisdn, msisdn), "{}".format(msisdn)]  # noqa: UP031, UP032 (each way)

    for text in shown:
        assert number not in text
        assert "****" in text


@given(digits)
def test_the_mask_keeps_at_least_three_digits_back(number: str) -> None:
    kept = Msisdn(number).masked.replace("*", "")

    assert number.startswith(kept[:3])
    assert len(number) - len(kept) >= 3


def test_the_mask_shows_enough_to_recognise() -> None:
    assert str(Msisdn("254712345678")) == "2547****5678"
    assert repr(Msisdn("254712345678")) == "Msisdn(2547****5678)"
    assert str(Msisdn("26771234")) == "267****"


@given(digits)
def test_a_format_it_does_not_know_is_refused_without_the_number(number: str) -> None:
    with pytest.raises(TypeError) as caught:
        f"{Msisdn(number):>30}"

    assert number not in "".join(traceback.format_exception(caught.value))


@given(digits, st.sampled_from(["{}x", "0{}", "+{}5555555555", "{}\u0661", "tel:{}", "{}\x00", "999{}", "+{}\n"]))
def test_a_refusal_never_quotes_the_number(number: str, spelling: str) -> None:
    text = spelling.format(number)

    for read in (parse_msisdn, Msisdn):
        assert number not in told(read, text)


def told(read: Callable[[str], Msisdn], text: str) -> str:
    """Everything a refusal of the text tells; nothing where there is none."""
    try:
        read(text)
    except MsisdnInvalid as refusal:
        return "".join(traceback.format_exception(refusal)) + repr(refusal) + str(refusal.facts)
    return ""


@pytest.mark.parametrize(
    "spelling",
    ["254712345678", "+254712345678", "00254712345678", "+254 712 345 678", "254-712-345-678", "+254(712)345678",
     "+254\u00a0712\u00a0345678"],
)  # fmt: skip
def test_reads_every_spelling_of_the_international_form(spelling: str) -> None:
    assert parse_msisdn(spelling).digits == "254712345678"


@given(st.sampled_from(EXAMPLES))
def test_reads_the_mobile_numbers_of_every_country_in_every_form(
    number: phonenumbers.PhoneNumber,
) -> None:
    plain = phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")
    spaced = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL).replace(".", " ")

    read = {parse_msisdn(text) for text in (plain, f"+{plain}", f"00{plain}", spaced)}

    assert read == {Msisdn(plain)}


@pytest.mark.parametrize(
    "text",
    ["", "+", "00", " ", "0712345678", "712345678", "+0254712345678", "000254712345678", "254", "25471234567",
     "2547123456789", "254712345678901234", "999712345678", "25471234567a", "tel:254712345678", "254712345678\n",
     "2547\x00012345678", "\uff12\uff15\uff14712345678", "254\u0667\u0661\u0662345678", "254.712345678",
     "-254712345678e", "254712345678;ext=5", "+254712345678,1"],
)  # fmt: skip
def test_refuses_what_no_country_would_call(text: str) -> None:
    with pytest.raises(MsisdnInvalid):
        parse_msisdn(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2547123",
        "2547123456789012",
        "0712345678",
        "+254712345678",
        "25471234567\u0668",
        "\uff12" * 12,
        "2 54712345",
    ],
)
def test_is_built_of_nothing_but_8_to_15_plain_digits(text: str) -> None:
    with pytest.raises(MsisdnInvalid):
        Msisdn(text)


@given(st.text(max_size=20))
def test_any_text_is_read_as_plain_digits_or_refused(text: str) -> None:
    try:
        digits_read = parse_msisdn(text).digits
    except MsisdnInvalid:
        return
    assert digits_read.isascii()
    assert digits_read in "".join(character for character in text if character.isdigit())


def test_equal_numbers_are_one_key_of_a_dict() -> None:
    assert {parse_msisdn("+254 712 345 678"): 1}[Msisdn("254712345678")] == 1


def test_a_local_form_is_read_only_beside_a_number_of_its_country() -> None:
    near = Msisdn("254712345678")

    assert parse_msisdn("0700 000 017", near=near) == Msisdn("254700000017")
    assert parse_msisdn("+250781234567", near=near) == Msisdn("250781234567")
    assert parse_msisdn("00250781234567", near=near) == Msisdn("250781234567")
    with pytest.raises(MsisdnInvalid):
        parse_msisdn("0700000017")
