"""The B2C request as built."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.daraja import b2c
from adapters.daraja.credentials import DarajaAccess
from adapters.daraja.request import Request
from adapters.daraja.results import read_payout_callback
from adapters.provider import PayoutCallback
from adapters.transport import Secret
from ledger.errors import AmountNotPayable
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import PayoutInstruction
from tests.adapters.daraja.examples import ACCESS, REFERENCE, URLS, example, instruction

VERSION_1_ACCESS = dataclasses.replace(ACCESS, api_version="v1")


def request(payout: PayoutInstruction, access: DarajaAccess = ACCESS) -> Request:
    assert isinstance(payout.payee, Msisdn)
    return b2c.payment(payout, payout.payee, access=access, security_credential=Secret("Y3JlZA=="), callback_urls=URLS)


def build(payout: PayoutInstruction, access: DarajaAccess = ACCESS) -> dict[str, Any]:
    return dict(request(payout, access).document)


@pytest.mark.parametrize(
    ("access", "name"),
    [(ACCESS, "b2c-v3-request.json"), (VERSION_1_ACCESS, "b2c-v1-request.json")],
)
def test_the_request_is_the_documented_one_in_the_documented_order(access: DarajaAccess, name: str) -> None:
    documented = json.loads(example(name))

    document = build(instruction(), access)

    ours = {"SecurityCredential": "Y3JlZA==", "Occassion": REFERENCE, "Occasion": REFERENCE}
    assert list(document.items()) == [(key, ours.get(key, value)) for key, value in documented.items()]


@pytest.mark.parametrize(
    ("purpose", "command_id"),
    [
        ("salary", "SalaryPayment"),
        ("SALARY", "SalaryPayment"),
        ("promotion", "PromotionPayment"),
        ("loan", "BusinessPayment"),
        ("", "BusinessPayment"),
    ],
)
def test_the_command_follows_from_the_purpose(purpose: str, command_id: str) -> None:
    document = build(instruction(purpose=purpose))

    assert document["CommandID"] == command_id


@given(st.text(max_size=300))
def test_remarks_always_fit_the_documented_length(remarks: str) -> None:
    document = build(instruction(remarks=remarks))

    assert 2 <= len(document["Remarks"]) <= 100
    assert document["Remarks"].isprintable()


def test_ten_shillings_and_fifty_cents_are_refused_and_not_rounded() -> None:
    with pytest.raises(AmountNotPayable, match=r"10\.50"):
        build(instruction(amount=Money("KES", 1_050)))


@given(st.integers(-(10**15), 10**15))
def test_an_amount_is_sent_exactly_or_refused(minor_units: int) -> None:
    payable = minor_units % 100 == 0 and 1_000 <= minor_units <= 25_000_000

    if payable:
        assert int(build(instruction(amount=Money("KES", minor_units)))["Amount"]) * 100 == minor_units
    else:
        with pytest.raises(AmountNotPayable):
            build(instruction(amount=Money("KES", minor_units)))


@given(st.integers(10, 250_000))
def test_every_whole_shilling_within_the_limits_is_sent_as_it_is(shillings: int) -> None:
    document = build(instruction(amount=Money("KES", shillings * 100)))

    assert document["Amount"] == str(shillings)


@pytest.mark.parametrize("currency", ["USD", "RWF", "UGX"])
def test_another_currency_is_refused(currency: str) -> None:
    with pytest.raises(AmountNotPayable, match="KES only"):
        build(instruction(amount=Money(currency, 100_000)))


@given(
    shillings=st.integers(10, 250_000),
    subscriber=st.integers(0, 10**8 - 1),
    reference=st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{1,35}", fullmatch=True),
    shortcode=st.from_regex(r"[1-9][0-9]{4,6}", fullmatch=True),
)
def test_a_request_echoed_by_a_timeout_reads_as_what_was_built(
    shillings: int, subscriber: int, reference: str, shortcode: str
) -> None:
    payout = instruction(
        amount=Money("KES", shillings * 100),
        msisdn=f"2547{subscriber:08d}",
        provider_reference=reference,
        shortcode=shortcode,
    )

    callback = read_payout_callback("timeout", json.dumps(build(payout)).encode())

    assert isinstance(callback, PayoutCallback)
    assert callback.reference == payout.provider_reference
    assert (callback.amount, callback.msisdn, callback.shortcode) == (payout.amount, payout.payee, payout.shortcode)


def test_only_version_3_is_sent_under_our_reference() -> None:
    assert request(instruction()).sent_under == REFERENCE
    assert request(instruction()).path == "/mpesa/b2c/v3/paymentrequest"
    assert request(instruction(), VERSION_1_ACCESS).sent_under is None
    assert request(instruction(), VERSION_1_ACCESS).path == "/mpesa/b2c/v1/paymentrequest"
