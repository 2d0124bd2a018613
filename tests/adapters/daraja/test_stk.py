"""STK push requests as built: the prompt, for a paybill and for a till, and the question about one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.daraja import stk
from adapters.daraja.declared import COLLECTION_CAPABILITIES
from adapters.daraja.request import Request
from ledger.errors import AmountNotPayable, TextInvalid
from ledger.money import Money
from ledger.outbox.collecting import PromptInstruction
from tests.adapters.daraja.collecting import (
    NOW,
    PASSKEY,
    PAYER,
    PROMPT_URLS,
    prompt_inquiry,
    prompt_instruction,
    till_prompt,
)
from tests.adapters.daraja.examples import example


def build(instruction: PromptInstruction, *, now: datetime = NOW) -> Request:
    return stk.prompt(instruction, passkey=PASSKEY, callback_url=PROMPT_URLS.result_url, now=now)


@pytest.mark.parametrize(
    ("instruction", "name"),
    [(prompt_instruction(), "stk-push-request.json"), (till_prompt(), "stk-push-request-till.json")],
)
def test_the_prompt_is_the_documented_one_in_the_documented_order(instruction: PromptInstruction, name: str) -> None:
    request = build(instruction)

    assert list(request.document.items()) == list(json.loads(example(name)).items())
    assert request.path == "/mpesa/stkpush/v1/processrequest"
    assert request.sent_under is None


def test_the_question_is_the_documented_one_in_the_documented_order() -> None:
    request = stk.prompt_query(prompt_inquiry(), passkey=PASSKEY, now=NOW)

    assert list(request.document.items()) == list(json.loads(example("stk-query-request.json")).items())
    assert request.path == "/mpesa/stkpushquery/v1/query"


@given(st.integers(0, 4 * 10**9), st.integers(-12, 14))
def test_the_timestamp_is_east_african_whatever_the_clock_shows_and_the_same_in_the_password(
    seconds: int, hours: int
) -> None:
    now = datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours)))

    document = build(prompt_instruction(), now=now).document

    expected = f"{now.astimezone(UTC) + timedelta(hours=3):%Y%m%d%H%M%S}"
    password = base64.b64decode(str(document["Password"])).decode()
    assert document["Timestamp"] == expected
    assert password == f"600584{PASSKEY.reveal()}{expected}"


def test_a_request_shows_neither_password_nor_number() -> None:
    request = build(prompt_instruction())

    assert str(request.document["Password"]) not in repr(request)
    assert PAYER not in repr(request)


@given(st.integers(-(10**15), 10**15))
def test_an_amount_is_asked_for_exactly_or_refused(minor_units: int) -> None:
    instruction = prompt_instruction(amount=Money("KES", minor_units))

    if minor_units % 100 == 0 and 100 <= minor_units <= 25_000_000:
        assert int(build(instruction).document["Amount"]) * 100 == minor_units
    else:
        with pytest.raises(AmountNotPayable):
            build(instruction)


@pytest.mark.parametrize("shillings", [1, 2, 10, 249_999, 250_000])
def test_every_whole_shilling_from_one_on_can_be_asked_for(shillings: int) -> None:
    document = build(prompt_instruction(amount=Money("KES", shillings * 100))).document

    assert document["Amount"] == str(shillings)


def test_another_currency_is_refused() -> None:
    with pytest.raises(AmountNotPayable, match="KES only"):
        build(prompt_instruction(amount=Money("UGX", 1_000)))


@pytest.mark.parametrize("reference", ["", "A" * 13, "A\nB"])
def test_an_account_reference_that_does_not_fit_is_refused_and_not_shortened(reference: str) -> None:
    with pytest.raises(TextInvalid, match="1 to 12"):
        build(prompt_instruction(account_reference=reference))


@given(st.text(max_size=60))
def test_a_description_always_fits_and_is_never_left_out(description: str) -> None:
    sent = str(build(prompt_instruction(description=description)).document["TransactionDesc"])

    assert 1 <= len(sent) <= 13
    assert sent.isprintable()


@pytest.mark.parametrize("shortcode", ["", "6005x4", "\u0666\u0660\u0660"])
def test_a_shortcode_that_is_no_number_is_refused(shortcode: str) -> None:
    with pytest.raises(TextInvalid, match="number"):
        build(prompt_instruction(shortcode=shortcode))


def test_the_rail_declares_what_a_prompt_can_carry() -> None:
    longest = "A" * COLLECTION_CAPABILITIES.account_reference_max
    limits = COLLECTION_CAPABILITIES.prompt_limits["KES"]

    for units in (limits.minimum, limits.maximum):
        build(prompt_instruction(account_reference=longest, amount=Money("KES", units)))
    assert COLLECTION_CAPABILITIES.description_max == 13
    assert COLLECTION_CAPABILITIES.reverses
