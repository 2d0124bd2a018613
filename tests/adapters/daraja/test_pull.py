"""Pull: what is asked, and the pages that come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters import documents
from adapters.collecting import Page, Registered
from adapters.daraja import pull
from adapters.daraja.answers import TokenRefused
from ledger.money import Money
from ledger.outbox.collecting import Payer, PayerForm, Received
from ledger.outbox.instruction import NotSent, OutcomeUnknown, Rejected
from tests.adapters.daraja.collecting import JSON, NOMINATED, PAYER, PULL_URL, SINCE, UNTIL, encode, names
from tests.adapters.daraja.examples import example, status_of

ROW = json.loads(example("pull-query-response.json"))["Response"][0][0]
RECEIVED = Received(
    receipt="UI1M4N557P",
    shortcode="600584",
    amount=Money("KES", 45_000),
    completed_at=datetime(2026, 9, 1, 8, 2, 9, tzinfo=UTC),
    payer=Payer(PayerForm.PLAIN, PAYER),
    reference="LN000417",
)
EARLIER = Received(
    receipt="UI18QASZS3",
    shortcode="600584",
    amount=Money("KES", 150_000),
    completed_at=datetime(2026, 9, 1, 7, 15, 54, tzinfo=UTC),
    payer=Payer(PayerForm.PLAIN, PAYER),
    reference="LN000417",
)


def read(status: int, body: bytes, *, offset: int = 0) -> pull.Listing:
    return pull.read_page(status, body, shortcode="600584", offset=offset)


def answer(rows: Any, **changes: Any) -> bytes:
    return encode(
        {"ResponseRefID": "x", "ResponseCode": "1000", "ResponseMessage": "Success", "Response": rows} | changes
    )


def page(rows: Any, *, offset: int = 0) -> Page:
    found = read(200, answer(rows), offset=offset)
    assert isinstance(found, Page)
    return found


def test_a_day_in_nairobi_is_asked_for_as_documented() -> None:
    request = pull.query("600584", since=SINCE, until=UNTIL, offset=0)

    assert list(request.document.items()) == list(json.loads(example("pull-query-request.json")).items())
    assert request.path == "/pulltransactions/v1/query"


def test_a_shortcode_is_registered_as_documented() -> None:
    request = pull.register("600584", nominated=NOMINATED, callback_url=PULL_URL)

    assert list(request.document.items()) == list(json.loads(example("pull-register-request.json")).items())
    assert request.path == "/pulltransactions/v1/register"


@given(since=st.integers(0, 10**15), length=st.integers(0, 48 * 3_600 * 10**6), seconds=st.integers(0, 10**9))
def test_the_seconds_asked_for_are_those_in_the_half_open_span(since: int, length: int, seconds: int) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=since)
    end = start + timedelta(microseconds=length)
    moment = start.replace(microsecond=0) + timedelta(seconds=seconds % (length // 10**6 + 3) - 1)

    document = pull.query("600584", since=start, until=end, offset=0).document

    written = f"{moment + timedelta(hours=3):%Y-%m-%d %H:%M:%S}"
    assert (str(document["StartDate"]) <= written <= str(document["EndDate"])) == (start <= moment < end)


def test_a_page_is_told_oldest_first_with_the_shortcode_that_was_asked_about() -> None:
    assert read(200, example("pull-query-response.json")) == Page((EARLIER, RECEIVED), None)


@pytest.mark.parametrize(
    "body",
    [
        example("pull-query-response-empty.json"),
        answer([[]], ResponseCode="1001"),
        answer([], ResponseCode=1001),
        answer(None, ResponseCode="1001"),
        answer([[]]),
        answer([]),
    ],
)
def test_nothing_that_came_in_is_an_empty_page(body: bytes) -> None:
    assert read(200, body) == Page((), None)


@pytest.mark.parametrize(
    "body",
    [
        answer([[ROW]], ResponseCode="1001"),
        answer([[ROW]], ResponseCode="1002"),
        answer([[ROW]], ResponseCode=None),
        answer(None),
        answer({"x": 1}),
        answer("x"),
        b"{}",
    ],
)
def test_a_code_that_contradicts_the_rows_or_is_not_documented_tells_nothing(body: bytes) -> None:
    assert isinstance(read(200, body), OutcomeUnknown)


def test_a_list_that_is_not_nested_reads_as_well() -> None:
    assert page([ROW]) == page([[ROW]]) == Page((RECEIVED,), None)


@pytest.mark.parametrize(
    ("count", "offset", "following"), [(1, 0, None), (99, 300, None), (100, 0, 100), (100, 200, 300)]
)
def test_a_full_page_may_be_followed_by_another(count: int, offset: int, following: int | None) -> None:
    assert page([[ROW] * count], offset=offset).next_offset == following


def test_rows_that_cannot_be_read_are_counted_and_take_nothing_from_the_others() -> None:
    broken = [None, 7, [ROW], {}, ROW | {"amount": "0"}, ROW | {"transactionId": "UI10000000"}, ROW | {"trxDate": "?"}]

    found = page([[ROW, *broken]])

    assert found == Page((RECEIVED,), None, unreadable=7)


def test_unreadable_rows_count_for_the_next_page_too() -> None:
    assert page([[ROW] * 60 + [{}] * 40]).next_offset == 100


@pytest.mark.parametrize("kind", ["c2b-pay-bill-debit", "C2B-Pay-Bill-Debit", "c2b-buy-goods-debit"])
def test_whatever_debits_a_customer_came_in(kind: str) -> None:
    assert page([[ROW | {"transactiontype": kind}]]).received == (RECEIVED,)


@pytest.mark.parametrize("kind", [None, "", "b2c-payment", "c2b-pay-bill-reversal", "c2b-pay-bill-credit", 7])
def test_a_row_of_another_kind_did_not_come_in(kind: Any) -> None:
    assert page([[ROW | {"transactiontype": kind}]]) == Page((), None, unreadable=1)


@pytest.mark.parametrize(
    "told",
    [
        "2026-09-01T11:02:09+03:00",
        "2026-09-01T08:02:09Z",
        "2026-09-01T08:02:09+0000",
        "2026-09-01T11:02:09.417+03:00",
        "2026-09-01T11:02:09",
        "2026-09-01 11:02:09",
        "20260901110209",
        20260901110209,
    ],
)
def test_a_time_is_read_in_each_form_and_is_east_african_where_it_names_no_zone(told: Any) -> None:
    assert page([[ROW | {"trxDate": told}]]).received == (RECEIVED,)


@pytest.mark.parametrize(
    "told", ["2026-09-01", "2026-13-01T11:02:09", "0001-01-01T00:00:00+03:00", "2026-09-01T11:02:60", "", None, 7]
)
def test_what_is_no_time_is_no_row(told: Any) -> None:
    assert page([[ROW | {"trxDate": told}]]) == Page((), None, unreadable=1)


def test_a_full_page_of_the_longest_rows_fits_into_what_is_read() -> None:
    row = ROW | {"billreference": "\u1e9e" * 20, "organizationname": "N" * 60, "amount": "250000.00"}

    body = json.dumps(json.loads(answer([[row] * 100])), indent=2).encode()

    assert len(body) <= documents.DOCUMENT_BYTES_MAX
    assert len(page([[row] * 100]).received) == 100


ERRORS: dict[str, type[object]] = {
    "error-gateway-503.html": OutcomeUnknown,
    "error-internal-500.json": OutcomeUnknown,
    "stk-push-error-busy.json": NotSent,
    "error-quota-500.json": NotSent,
    "error-spike-arrest-500.json": NotSent,
    "error-invalid-access-token-400.json": TokenRefused,
    "error-invalid-access-token-404.json": TokenRefused,
    "error-invalid-payload-400.json": Rejected,
    "error-no-apiproduct-401.json": Rejected,
    "error-not-found-404.json": Rejected,
}


@pytest.mark.parametrize(("name", "expected"), ERRORS.items())
def test_each_error_answer_is_read_for_what_it_proves(name: str, expected: type[object]) -> None:
    assert isinstance(read(status_of(name), example(name)), expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pull-register-response.json", Registered()),
        ("pull-register-response-already.json", Registered(before=True)),
    ],
)
def test_a_registration_is_read_in_either_spelling(name: str, expected: Registered) -> None:
    assert pull.read_register_answer(status_of(name), example(name)) == expected


@pytest.mark.parametrize("name", names("error-"))
def test_no_error_registers(name: str) -> None:
    told = pull.read_register_answer(status_of(name), example(name))

    assert isinstance(told, Rejected | NotSent | OutcomeUnknown | TokenRefused)


@pytest.mark.parametrize("code", ["1002", "0", None, ""])
def test_another_code_of_a_registration_proves_nothing(code: Any) -> None:
    assert isinstance(pull.read_register_answer(200, encode({"ResponseStatus": code})), OutcomeUnknown)


@hypothesis_settings(deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=500) | JSON.map(encode))
def test_nothing_makes_a_reader_raise(status: int, body: bytes) -> None:
    assert isinstance(read(status, body), OutcomeUnknown)
    assert isinstance(pull.read_register_answer(status, body), OutcomeUnknown)


@hypothesis_settings(deadline=None)
@given(rows=JSON)
def test_no_rows_make_the_reader_raise(rows: Any) -> None:
    found = read(200, answer(rows))

    # Text that no database can hold, and NaN, make the whole of a body unreadable.
    assert isinstance(found, OutcomeUnknown) or (isinstance(found, Page) and isinstance(rows, list))
    assert not isinstance(found, Page) or found.received == ()


@hypothesis_settings(deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(ROW)), JSON, max_size=3))
def test_a_mangled_row_is_a_receipt_only_with_what_is_needed_intact(changes: dict[str, Any]) -> None:
    row = ROW | changes

    found = read(200, answer([[row]]))

    for received in found.received if isinstance(found, Page) else ():
        assert Decimal(str(row["amount"])) * 100 == received.amount.minor_units
        assert str(row["transactionId"]) == received.receipt
        assert received.completed_at.tzinfo is UTC
