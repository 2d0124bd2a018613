"""Page tokens come back as they were given, and fit no other request."""

from __future__ import annotations

import base64

import pytest
from daftari.v1 import journal_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from api.conversion.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, page_of
from ledger.errors import ChoiceInvalid, PageTokenInvalid

CODES = st.from_regex(r"[a-z][a-z0-9.-]{1,60}", fullmatch=True)


def entries(ledger: str = "kenya", *, kind: str = "", account: str = "", reference: str = "") -> pb.ListEntriesRequest:
    return pb.ListEntriesRequest(ledger=ledger, kind=kind, account=account, reference=reference)


def with_token(request: pb.ListEntriesRequest, token: str) -> pb.ListEntriesRequest:
    asked = pb.ListEntriesRequest()
    asked.CopyFrom(request)
    asked.page_token = token
    return asked


@given(position=st.integers(min_value=0, max_value=2**63 - 1), size=st.integers(min_value=1, max_value=500))
def test_a_position_comes_back_whatever_the_next_size(position: int, size: int) -> None:
    token = page_of(entries()).next_token(position)
    asked = with_token(entries(), token)
    asked.page_size = size

    page = page_of(asked)

    assert (page.number(), page.size) == (position, size)


@given(path=CODES, currency=CODES)
def test_a_position_of_two_parts_comes_back(path: str, currency: str) -> None:
    request = pb.ListAccountsRequest(ledger="kenya")
    request.page_token = page_of(request, parts=2).next_token(path, currency)

    page = page_of(request, parts=2)

    assert (page.text(0), page.text(1)) == (path, currency)


def test_the_first_page_starts_at_nothing() -> None:
    page = page_of(entries())

    assert (page.size, page.text(), page.number()) == (PAGE_SIZE_DEFAULT, "", 0)


@given(data=st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    token = page_of(entries()).next_token(12345)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    place = data.draw(st.integers(min_value=0, max_value=len(raw) - 1))
    raw[place] ^= data.draw(st.integers(min_value=1, max_value=255))
    forged = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")

    with pytest.raises(PageTokenInvalid):
        page_of(with_token(entries(), forged))


@given(st.text(max_size=200))
def test_no_text_makes_anything_but_a_refusal(text: str) -> None:
    if not text:
        return

    with pytest.raises(PageTokenInvalid):
        page_of(with_token(entries(), text))


@pytest.mark.parametrize(
    "other",
    [entries("uganda"), entries(kind="fee"), entries(account="asset.bank"), entries(reference="R")],
    ids=["ledger", "kind", "account", "reference"],
)
def test_a_token_of_other_filters_is_refused(other: pb.ListEntriesRequest) -> None:
    token = page_of(entries()).next_token(1)

    with pytest.raises(PageTokenInvalid):
        page_of(with_token(other, token))


def test_a_token_of_another_list_is_refused() -> None:
    token = page_of(pb.ListLedgersRequest()).next_token("kenya")

    with pytest.raises(PageTokenInvalid):
        page_of(pb.ListAccountsRequest(page_token=token), parts=1)


def test_a_text_where_a_number_belongs_is_refused() -> None:
    request = with_token(entries(), page_of(entries()).next_token("kenya"))

    with pytest.raises(PageTokenInvalid):
        page_of(request).number()


@pytest.mark.parametrize("size", [-1, PAGE_SIZE_MAX + 1])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(ChoiceInvalid) as caught:
        page_of(pb.ListLedgersRequest(page_size=size))

    assert caught.value.field == "page_size"
