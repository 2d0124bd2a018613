"""What messages say fits two segments in every language; a provider's answer proves what it says and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.africastalking import messages as africastalking
from adapters.pindo import messages as pindo
from adapters.sms import DELIVERY, INCOMING, OPT_OUT, Delivery, DeliveryReport, Wish, cost_of, message_id_of
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.sms.message import Accepted, Cost, Refused, Text
from ledger.sms.segments import SEGMENTS_MAX, segments
from ledger.sms.templates import Language, Told, render

EXAMPLES = Path(__file__).parents[2] / "examples"
TO = Msisdn("254711000111")


def body_of(provider: str, name: str) -> bytes:
    """The body of an example."""
    return (EXAMPLES / provider / f"{name}.http").read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")[2].strip()


@pytest.mark.parametrize("told", Told)
@pytest.mark.parametrize("language", Language)
def test_the_longest_of_every_text_takes_two_segments_at_most(told: Told, language: Language) -> None:
    amount, day = "KES 250000000.00", "31/12/2026"
    longest = render(told, language, brand="B" * 20, amount=amount, reference="R" * 30, rest=amount, day=day)

    assert segments(longest) <= SEGMENTS_MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ő" * 70, 1),
        ("ő" * 71, 2),
        ("\U0001f600" * 36, 2),
    ],
)
def test_segments_are_counted_as_phones_do(text: str, expected: int) -> None:
    assert segments(text) == expected


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("sms_send_response_201", 201, Accepted),
        ("sms_send_response_201_queued", 201, Accepted),
        ("sms_send_response_201_mixed", 201, Accepted),
        ("sms_send_response_201_no_balance", 201, Refused),
        ("sms_send_response_201_invalid_sender", 201, Refused),
        ("sms_send_response_401", 401, NotSent),
        ("sms_send_response_201", 500, OutcomeUnknown),
    ],
)
def test_africas_talking_proves_by_its_body_and_not_by_201(name: str, status: int, kind: type) -> None:
    answer = africastalking.read_answer(status, body_of("africastalking", name), Text("africastalking", "", TO, "hi"))

    assert type(answer) is kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"SMSMessageData": []}',
        b'{"SMSMessageData": {"Message": "", "Recipients": [1]}}',
        b'{"SMSMessageData": {"Message": "", "Recipients": [{"number": "+254711000111", "statusCode": {}}]}}',
        b'{"SMSMessageData": {"Message": "", "Recipients": [{"number": "+254711000111", "statusCode": 101}]}}',
    ],
)
def test_an_answer_that_is_not_documented_proves_nothing(body: bytes) -> None:
    text = Text("africastalking", "", TO, "hi")

    assert isinstance(africastalking.read_answer(201, body, text), OutcomeUnknown)
    assert isinstance(pindo.read_answer(201, body, currency="USD"), OutcomeUnknown)


@pytest.mark.parametrize(
    ("name", "delivery"),
    [
        ("sms_dlr_success", Delivery.DELIVERED),
        ("sms_dlr_failed", Delivery.FAILED),
        ("sms_dlr_rejected", Delivery.FAILED),
        ("sms_dlr_sent", Delivery.UNDER_WAY),
        ("sms_dlr_submitted", Delivery.UNDER_WAY),
        ("sms_dlr_buffered", Delivery.UNDER_WAY),
    ],
)
def test_a_delivery_report_is_read(name: str, delivery: Delivery) -> None:
    report = africastalking.read_callback(DELIVERY, body_of("africastalking", name))

    assert isinstance(report, DeliveryReport)
    assert report.delivery is delivery


def test_a_wish_to_get_no_more_is_read() -> None:
    wish = africastalking.read_callback(OPT_OUT, body_of("africastalking", "sms_optout"))
    incoming = africastalking.read_callback(INCOMING, body_of("africastalking", "sms_incoming"))

    assert isinstance(wish, Wish)
    assert wish.wants_messages is False
    assert isinstance(incoming, Wish)


def test_pindo_is_read() -> None:
    taken = pindo.read_answer(201, body_of("pindo", "pindo_send_response_201"), currency="USD")
    refused = pindo.read_answer(409, body_of("pindo", "pindo_send_response_409"), currency="USD")
    report = pindo.read_callback(DELIVERY, body_of("pindo", "pindo_dlr"))

    assert isinstance(taken, Accepted)
    assert isinstance(refused, Refused)
    assert refused.elsewhere
    assert report == DeliveryReport("2214407", Delivery.DELIVERED, "DELIVRD")


def test_a_cost_is_exact_or_none() -> None:
    told = [cost_of("0.8000", "KES"), cost_of("0.0000001", "KES"), cost_of("NaN", "KES"), cost_of("-1", "KES")]

    assert told == [Cost("KES", 800_000), None, None, None]
    assert [message_id_of(one) for one in (7, "x", True, "", "a\x00", "y" * 101)] == ["7", "x", None, None, None, None]
