"""The B2B and tax requests as built, and what a timeout that echoes one says."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.daraja import b2b
from adapters.daraja.credentials import DarajaAccess
from adapters.daraja.request import Request
from adapters.daraja.results import read_payout_callback
from adapters.provider import CallbackUnreadable, CallbackUrls, PayoutCallback
from adapters.transport import Secret
from ledger.errors import AmountNotPayable, TextInvalid
from ledger.money import Money
from ledger.outbox.instruction import OutcomeUnknown
from ledger.payee import BusinessKind, BusinessPayee
from tests.adapters.daraja.examples import ACCESS, REFERENCE, business, example, instruction

URLS = CallbackUrls(
    result_url="https://pay.daftari.example/hooks/dj/b2b/result/k7Qd2",
    timeout_url="https://pay.daftari.example/hooks/dj/b2b/timeout/k7Qd2",
)
AMOUNT = Money("KES", 72_000)
EXAMPLES = {
    BusinessKind.PAYBILL: ("b2b-paybill-request.json", 19_000, "/mpesa/b2b/v1/paymentrequest"),
    BusinessKind.TILL: ("b2b-buygoods-request.json", 720, "/mpesa/b2b/v1/paymentrequest"),
    BusinessKind.TAX: ("tax-remittance-request.json", 48_210, "/mpesa/b2b/v1/remittax"),
}


def build(
    payee: BusinessPayee,
    *,
    amount: Money = AMOUNT,
    remarks: str = "Supplier settlement",
    access: DarajaAccess = ACCESS,
) -> Request:
    payout = instruction(payee=payee, amount=amount, remarks=remarks)
    return b2b.payment(payout, payee, access=access, security_credential=Secret("Y3JlZA=="), callback_urls=URLS)


@pytest.mark.parametrize("kind", BusinessKind)
def test_the_request_is_the_documented_one_in_the_documented_order(kind: BusinessKind) -> None:
    name, shillings, path = EXAMPLES[kind]
    documented = json.loads(example(name))

    request = build(business(kind), amount=Money("KES", shillings * 100))

    ours = {"SecurityCredential": "Y3JlZA==", "Remarks": f"{REFERENCE} Supplier settlement"}
    # Requester, a customer on whose behalf one pays, is nobody here.
    expected = [(key, ours.get(key, value)) for key, value in documented.items() if key != "Requester"]
    assert list(request.document.items()) == [*expected, ("Occassion", REFERENCE)]
    assert request.path == path


@pytest.mark.parametrize("kind", BusinessKind)
def test_nothing_at_the_provider_would_notice_a_second_payment(kind: BusinessKind) -> None:
    assert build(business(kind)).sent_under is None


def test_how_a_till_is_named_as_receiver_can_be_configured_and_touches_no_other_kind() -> None:
    access = dataclasses.replace(ACCESS, till_identifier_type="4")

    assert build(business(BusinessKind.TILL), access=access).document["RecieverIdentifierType"] == "4"
    assert build(business(BusinessKind.PAYBILL)).document["RecieverIdentifierType"] == "4"


def test_tax_is_paid_to_the_revenue_authority_alone() -> None:
    with pytest.raises(TextInvalid, match="572572"):
        build(BusinessPayee(BusinessKind.TAX, "600977", "2026PRN0417"))


def test_an_account_reference_too_long_for_the_rail_is_refused_and_not_shortened() -> None:
    longest = build(BusinessPayee(BusinessKind.PAYBILL, "600977", "A" * 13))

    assert longest.document["AccountReference"] == "A" * 13
    with pytest.raises(TextInvalid, match="at most 13"):
        build(BusinessPayee(BusinessKind.PAYBILL, "600977", "A" * 14))


def test_an_account_reference_that_cannot_be_printed_is_refused() -> None:
    with pytest.raises(TextInvalid, match="letters"):
        build(BusinessPayee(BusinessKind.PAYBILL, "600977", "A\nB"))


def test_a_till_without_an_account_gets_the_end_of_our_reference() -> None:
    document = build(BusinessPayee(BusinessKind.TILL, "6009771", "")).document

    assert document["AccountReference"] == REFERENCE[-13:]


@pytest.mark.parametrize(
    "amount", [Money("KES", 1_050), Money("KES", 900), Money("KES", 25_000_100), Money("USD", 100_000)]
)
def test_an_amount_the_rail_does_not_carry_is_refused(amount: Money) -> None:
    with pytest.raises(AmountNotPayable):
        build(business(), amount=amount)


@given(st.text(max_size=300))
def test_remarks_fit_and_always_carry_our_reference(remarks: str) -> None:
    sent = str(build(business(), remarks=remarks).document["Remarks"])

    assert len(sent) <= 100
    assert sent.startswith(REFERENCE)
    assert sent.isprintable()


@pytest.mark.parametrize("kind", BusinessKind)
def test_a_request_echoed_by_a_timeout_reads_as_what_was_built(kind: BusinessKind) -> None:
    echo = json.dumps(build(business(kind)).document).encode()

    callback = read_payout_callback("timeout", echo)

    assert callback == PayoutCallback(
        outcome=OutcomeUnknown("queue timeout: the request was not processed in time"),
        reference=REFERENCE,
        conversation_id=None,
        msisdn=None,
        amount=AMOUNT,
        shortcode="600584",
        receiver_shortcode=business(kind).shortcode,
    )


@pytest.mark.parametrize("missing", ["Initiator", "PartyA", "PartyB", "CommandID"])
def test_an_echo_without_its_parties_is_unreadable(missing: str) -> None:
    document = dict(build(business()).document)
    del document[missing]

    assert isinstance(read_payout_callback("timeout", json.dumps(document).encode()), CallbackUnreadable)
